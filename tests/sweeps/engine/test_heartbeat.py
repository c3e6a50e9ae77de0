"""When a trial counts as hung: by the driver's clock alone, and never for the driver's own silence."""

from collections.abc import Mapping

import pytest

from byol.pulse import beat, beats, is_told_to_end, tell_to_end
from sweeps.engine import heartbeat
from sweeps.engine.heartbeat import (
    LOADING_SECONDS,
    Heartbeat,
    Watch,
    has_saved,
    tell_all_to_end,
    tell_run_is_over,
)


class Table:
    """A stand-in for the table of signs of life, and a clock that the test moves."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.now = 0.0

    def watch(self, limit: float) -> Watch:
        return Watch("run", limit, read=self.values.get, now=lambda: self.now)

    def passes(self, seconds: float, watch: Watch, running: Mapping[str, object]) -> list[str]:
        """Lets time pass as in the driver's loop, which comes round ten times a second."""
        found = []
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            if watch.is_due:
                found += watch.hung(running)
        return found


def test_a_trial_without_a_sign_of_life_is_found_once_a_limit() -> None:
    table = Table()
    watch, running = table.watch(60), {"a": "p", "b": "q"}
    assert table.passes(50, watch, running) == []
    table.values["run/b"] = b"1"
    assert table.passes(30, watch, running) == ["a"]
    assert table.passes(40, watch, running) == ["b"]
    assert {*table.passes(90, watch, running)} == {"a", "b"}, "what outlives its end is found again"


def test_a_slow_trial_with_signs_of_life_is_left_alone() -> None:
    table = Table()
    watch = table.watch(60)
    for count in range(20):
        table.values["run/a"] = f"{count}".encode()
        assert table.passes(50, watch, {"a": "p"}) == []


def test_another_process_has_the_whole_limit() -> None:
    table = Table()
    watch = table.watch(60)
    assert table.passes(55, watch, {"a": "p"}) == []
    assert table.passes(55, watch, {"a": "q"}) == []
    assert table.passes(20, watch, {}) == []
    assert table.passes(55, watch, {"a": "q"}) == [], "it waited for a machine"
    assert table.passes(20, watch, {"a": "q"}) == ["a"]


def test_a_driver_that_was_stopped_for_an_hour_finds_nothing() -> None:
    table = Table()
    watch = table.watch(60)
    table.passes(10, watch, {"a": "p"})
    table.now += 3600
    assert table.passes(30, watch, {"a": "p"}) == []


def test_the_count_rises() -> None:
    before = beats()
    beat()
    assert beats() == before + 1


def test_loading_is_a_sign_of_life_for_some_hours_only() -> None:
    now = 0.0
    heart = Heartbeat("run", ["a"], limit=60, now=lambda: now)
    heart.loading = True
    heart._is_alive()
    now = LOADING_SECONDS - 1
    assert heart._is_alive()
    now = LOADING_SECONDS
    assert not heart._is_alive(), "a load that never returns is found"
    beat()
    assert heart._is_alive()
    assert not heart._is_alive()
    now, heart.loading = 0.0, False
    assert not heart._is_alive(), "only batches and measurements count now"


def test_a_worker_hears_that_its_trial_is_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    table: dict[str, str] = {}
    monkeypatch.setattr(heartbeat, "_read", table.get)
    monkeypatch.setattr(heartbeat, "_write", table.__setitem__)
    heart = Heartbeat("run", ["a"], limit=60)
    try:
        tell_all_to_end("another run")
        heart._listen()
        assert not is_told_to_end()
        tell_all_to_end("run")
        heart._listen()
        assert is_told_to_end()
        assert not has_saved("run", "a")
        heart.saved("a")
        assert (has_saved("run", "a"), has_saved("run", "b")) == (True, False)
        loading = Heartbeat("run", ["b", "c"], limit=60)
        loading.loading = True
        loading._listen()
        assert has_saved("run", "b"), "it has not begun, so there is nothing to lose"
        assert has_saved("run", "c"), "nor has another of its pack"
    finally:
        tell_to_end(False)


def test_an_idle_trial_waits_until_its_run_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    table: dict[str, str] = {}
    monkeypatch.setattr(heartbeat, "_read", table.get)
    monkeypatch.setattr(heartbeat, "_write", table.__setitem__)
    looks = 0

    def sleep(_: float) -> None:
        nonlocal looks
        looks += 1
        tell_run_is_over("run" if looks == 3 else "another run")

    monkeypatch.setattr("time.sleep", sleep)
    Heartbeat("run", ["a"], limit=60).wait_for_end()
    assert looks == 3
    now = iter(range(0, 10**6, 100))
    Heartbeat("a third run", ["a"], limit=60, now=lambda: next(now)).wait_for_end()  # the driver is gone
    assert looks < 12
