"""The small study of the other tests."""

from tests.sweeps.conftest import small

__all__ = ["small"]
