"""The environment is Ray's while it is needed, and then what it was."""

import contextlib
import os

import pytest

from sweeps.engine.environment import ray_environment


def test_the_environment_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    monkeypatch.setenv("MALLOC_TOP_PAD_", "7")
    before = dict(os.environ)
    with ray_environment(threads=3):
        assert os.environ["OMP_NUM_THREADS"] == "3"
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
        assert os.environ["MALLOC_TOP_PAD_"] == "7", "what the user has set for the allocator stays"
        assert os.environ["MALLOC_TRIM_THRESHOLD_"] == str(2**29)
    assert dict(os.environ) == before


def test_it_is_given_back_after_an_error_and_threads_are_left_to_a_cluster() -> None:
    before = dict(os.environ)
    with contextlib.suppress(RuntimeError), ray_environment():
        assert os.environ.get("OMP_NUM_THREADS") == before.get("OMP_NUM_THREADS")
        raise RuntimeError
    assert dict(os.environ) == before
