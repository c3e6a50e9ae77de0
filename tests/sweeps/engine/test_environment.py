"""Ray's environment variables are set while needed, and then restored."""

import contextlib
import os

import pytest

from sweeps.engine.environment import ray_environment


def test_the_environment_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    monkeypatch.setenv("MALLOC_TOP_PAD_", "7")
    before = dict(os.environ)
    with ray_environment(threads=3):
        assert os.environ["OMP_NUM_THREADS"] == "3"
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
        assert os.environ["MALLOC_TOP_PAD_"] == "7", "the user's own setting of the allocator is kept"
        assert os.environ["MALLOC_TRIM_THRESHOLD_"] == str(2**29)
        assert os.environ["MALLOC_ARENA_MAX"] == "2"
    assert dict(os.environ) == before


def test_it_is_restored_after_an_error_and_a_cluster_decides_on_threads() -> None:
    before = dict(os.environ)
    with contextlib.suppress(RuntimeError), ray_environment():
        assert os.environ.get("OMP_NUM_THREADS") == before.get("OMP_NUM_THREADS")
        raise RuntimeError
    assert dict(os.environ) == before
