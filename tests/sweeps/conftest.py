"""A small study, one Ray for all tests of a module that need it, and an object store."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from sweeps.study import Resources, Study, study_from_text

if TYPE_CHECKING:
    from tests.sweeps.storage.object_store import ObjectStore

SMALL = """
name: small
question: Does it run?
reference: {dataset: fashion-mnist-8k, steps: 20, eval_every: 5}
factors:
  encoder_norm: [batch, group]
  heads:
    batch: {projector_norm: batch, predictor_norm: batch}
    none: {projector_norm: none, predictor_norm: none}
seeds: 2
"""


@pytest.fixture
def small() -> Study:
    """Two factors of two levels each, two seeds: 8 trials of 5 measurements."""
    return study_from_text(SMALL, "small.yaml")


@pytest.fixture(scope="module")
def one_ray() -> Iterator[None]:
    """Starts Ray once for all tests of a module."""
    from sweeps.engine import runtime

    with runtime.connected(None, Resources()):
        yield


@pytest.fixture
def object_store(monkeypatch: pytest.MonkeyPatch) -> Iterator["ObjectStore"]:
    """An S3 server on loopback, and an environment with credentials for it."""
    from tests.sweeps.storage.object_store import ENVIRONMENT, ObjectStore

    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    store = ObjectStore()
    yield store
    store.stop()
    store.start()
    store.reset()
    store.stop()
