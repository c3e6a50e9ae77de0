"""How a run ends: the running trials have some time to save their states, and what is lost is said."""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from safetensors.torch import load_file

from byol.files import STATE
from byol.measure.collapse import CollapseRule
from sweeps import files
from sweeps.engine import heartbeat
from sweeps.engine.driver import Bookkeeper
from sweeps.engine.runtime import Interruption
from sweeps.engine.stopping import SAVE_SECONDS, Stopping
from sweeps.progress import Display
from sweeps.record.directory import has_ledger
from sweeps.record.ledger import Ledger
from sweeps.study import Study
from sweeps.tracker import Tracker
from tests.faults import ALL
from tests.sweeps.conftest import plan_sweep
from tests.sweeps.engine.real_sweeps import table, trained
from tests.sweeps.record.test_ledger import measurement


class Run:
    """A run whose first two trials are running, with a clock that the test moves."""

    def __init__(self, tracker: Tracker, ledger: Ledger, stream: io.StringIO, ids: list[str]) -> None:
        self.tracker, self.ledger, self._stream, self.ids = tracker, ledger, stream, ids
        self.now, self.saved, self.interruption = 0.0, set[str](), Interruption()
        self.told_over: list[str] = []
        for trial_id in ids:
            tracker.started(trial_id)

    def stopping(self, *, saves: bool = True) -> Stopping:
        return Stopping(
            self.interruption,
            self.tracker,
            "run",
            saves=saves,
            has_saved=lambda run, trial_id: trial_id in self.saved,
            now=lambda: self.now,
        )

    def shown(self) -> list[str]:
        self.tracker.tick()
        lines = self._stream.getvalue().splitlines()
        self._stream.truncate(0)
        self._stream.seek(0)
        return lines


@pytest.fixture
def run(tmp_path: Path, small: Study, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    stream, told = io.StringIO(), list[str]()
    monkeypatch.setattr(heartbeat, "tell_all_to_end", told.append)
    with plan_sweep(tmp_path, small) as ledger:
        tracker = Tracker(ledger, Display(stream), small.trials(), rule=CollapseRule())
        run = Run(tracker, ledger, stream, [trial.trial_id for trial in small.trials()[:2]])
        monkeypatch.setattr(heartbeat, "tell_run_is_over", run.told_over.append)
        yield run
    assert told in ([], ["run"])


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_while_ray_starts_is_answered_at_once(
    capfd: pytest.CaptureFixture[str], first: signal.Signals
) -> None:
    interruption = Interruption()
    interruption.handle(first, None)
    assert interruption.stop_all()
    assert capfd.readouterr().err.startswith("Interrupted: the sweep ends as soon as ")
    with pytest.raises(KeyboardInterrupt):
        interruption.handle(signal.SIGINT, None)
    assert capfd.readouterr().err == ""


def test_an_interruption_while_trials_run_is_answered_by_the_run(capfd: pytest.CaptureFixture[str]) -> None:
    interruption = Interruption()
    interruption.in_run = True
    interruption.handle(signal.SIGINT, None)
    assert interruption.stop_all()
    assert capfd.readouterr().err == ""


def test_a_run_ends_when_the_running_trials_have_saved_their_states(run: Run) -> None:
    stopping = run.stopping()
    assert not stopping.stop_all()
    run.interruption.requested = True
    assert not stopping.stop_all()
    assert run.shown() == [
        "stopping: saving 2 running trials, for at most 30 s; Ctrl-C again ends it at once"
    ]
    run.now, run.saved = 1.0, {run.ids[0]}
    assert not stopping.stop_all()
    assert not run.interruption.at_once
    assert run.told_over == []
    run.now, run.saved = 2.0, {*run.ids}
    assert stopping.stop_all()
    assert run.interruption.at_once
    assert run.told_over == ["run"], "idle trials return, or Ray would wait before it kills them"
    assert run.shown() == ["saved 2 running trials"]
    assert stopping.stop_all()
    assert run.shown() == []


def test_a_trial_that_ends_meanwhile_is_not_waited_for(run: Run) -> None:
    stopping, run.interruption.requested = run.stopping(), True
    assert not stopping.stop_all()
    run.now, run.saved = 1.0, {run.ids[0]}
    run.tracker.returned(run.ids[1])
    assert stopping.stop_all()
    assert run.shown()[-1] == "saved 1 running trial"


def test_a_trial_that_saves_nothing_ends_the_waiting_at_the_limit(run: Run) -> None:
    stopping, run.interruption.requested = run.stopping(), True
    assert not stopping.stop_all()
    run.now, run.saved = SAVE_SECONDS - 0.1, {run.ids[0]}
    assert not stopping.stop_all()
    run.now = SAVE_SECONDS + 0.1
    assert stopping.stop_all()
    name = run.tracker.running[run.ids[1]]
    assert run.shown()[-1] == (
        f"saved 1 of 2 running trials; what these did since their last checkpoints is lost: {name}"
    )


def test_a_trial_that_starts_while_the_sweep_ends_is_recorded_and_saved_too(run: Run, small: Study) -> None:
    """Ray starts one in a place that becomes free. Its first measurement would be missing for good."""
    stopping, run.interruption.requested = run.stopping(), True
    assert not stopping.stop_all()
    late = small.trials()[2].trial_id
    bookkeeper = Bookkeeper(run.tracker, run.interruption, set())
    trial = SimpleNamespace(config={"pack": [{"id": late}]})
    bookkeeper.on_trial_start(0, [], trial)
    bookkeeper.on_trial_result(0, [], trial, {**measurement(0).to_report(), "of": late})
    row = run.ledger.trial(late)
    assert row is not None
    assert (row.state, row.wall_seconds is None) == ("RUNNING", False)
    run.now, run.saved = 1.0, {*run.ids}
    assert not stopping.stop_all(), "it waits for that trial as well"
    run.now, run.saved = 2.0, {*run.ids, late}
    assert stopping.stop_all()


def test_of_a_measurement_ray_tune_keeps_the_step_alone(run: Run) -> None:
    """It would keep statistics of each number for every trial, until the sweep ends."""
    bookkeeper = Bookkeeper(run.tracker, run.interruption, set())
    result = {**measurement(5).to_report(), "of": run.ids[0], "done": False, "pid": 1}
    bookkeeper.on_trial_result(0, [], SimpleNamespace(config={"pack": [{"id": run.ids[0]}]}), result)
    assert result == {"step": 5, "done": False, "pid": 1}
    (recorded,) = run.ledger.rows(run.ids[0])
    assert recorded.loss == measurement(5).loss


def test_a_second_ctrl_c_says_what_is_lost(run: Run) -> None:
    stopping = run.stopping()
    with stopping.in_run():
        run.interruption.handle(2, None)
        assert not stopping.stop_all()
        run.interruption.handle(15, None)
        assert not stopping.stop_all(), "an orderly shutdown may be asked for twice"
        run.interruption.handle(2, None)
        assert stopping.stop_all()
        assert run.shown()[-1].startswith("saved 0 of 2 running trials; what these did since their last")
        with pytest.raises(KeyboardInterrupt):
            run.interruption.handle(2, None)
    assert not run.interruption.in_run


def test_a_control_service_that_does_not_answer_ends_the_waiting(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a SIGTERM to all processes, Ray's among them."""
    answer = threading.Event()
    monkeypatch.setattr("sweeps.engine.stopping._ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(heartbeat, "tell_all_to_end", lambda _: answer.wait(20) and None)
    stopping, run.interruption.requested = run.stopping(), True
    assert stopping.stop_all()
    answer.set()
    assert run.shown()[-1].startswith("saved 0 of 2 running trials")


def test_without_checkpoints_nothing_is_waited_for(run: Run) -> None:
    stopping, run.interruption.requested = run.stopping(saves=False), True
    assert stopping.stop_all()
    assert run.shown() == ["stopping: 2 running trials, and without checkpoints nothing is saved"]


def test_with_no_trial_running_nothing_is_waited_for(run: Run) -> None:
    for trial_id in run.ids:
        run.tracker.returned(trial_id)
    run.shown()
    stopping, run.interruption.requested = run.stopping(), True
    assert stopping.stop_all()
    assert run.shown() == ["stopping: no trial is running"]


def test_an_error_that_ends_the_sweep_waits_for_nothing(run: Run) -> None:
    stopping = run.stopping()
    run.interruption.request()
    assert stopping.stop_all()
    assert run.shown() == []


def run_command(study: Path, out: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "run_sweep", "run", str(study), "--out", str(out), "--workers", "2"]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def wait_for_a_trial(driver: "subprocess.Popen[str]", out: Path) -> None:
    """Waits until a trial has measured its start, and trains."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and driver.poll() is None:
        if has_ledger(out):
            with Ledger(out / files.LEDGER, read_only=True) as ledger:
                if any(row.state == "RUNNING" and row.wall_seconds is not None for row in ledger.trials()):
                    return
        time.sleep(0.05)
    driver.kill()
    raise AssertionError(driver.communicate())


@pytest.mark.ray
@pytest.mark.timeout(400)
@pytest.mark.skipif(not ALL, reason="takes minutes: make faults")
def test_a_sweep_that_is_stopped_with_ctrl_c_resumes_where_it_was_bit_for_bit(tmp_path: Path) -> None:
    """With the learner in byol/, whose trials have no checkpoint but that of the moment of the stop."""
    study, out, whole = tmp_path / "study.yaml", tmp_path / "out", tmp_path / "whole"
    study.write_text(trained(steps=2000, eval_every=1000, seeds=1))
    with run_command(study, out) as driver:
        try:
            wait_for_a_trial(driver, out)
            time.sleep(0.5)
            os.killpg(driver.pid, signal.SIGINT)  # a terminal also sends it to Ray's processes
            shown, errors = driver.communicate(timeout=120)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(driver.pid, signal.SIGKILL)
    assert (errors, driver.returncode) == ("", 130)
    found = re.search(r"\nstopping: saving ([12]) running trials?, .*\nsaved ([12]) running trials?\n", shown)
    assert found, shown
    assert found[1] == found[2]
    states = [*out.glob(f"checkpoints/*/{STATE}")]
    interrupted = [row for row in table(out, "trials") if row["end_reason"] == "interrupted"]
    assert {path.parent.name for path in states} <= {row["trial_id"] for row in interrupted}
    steps = {path.parent.name: int(load_file(path)["step_index"]) for path in states}
    assert max(steps.values()) % 1000 > 0, "of the moment, between two measurements"
    before = {row["trial_id"]: row["attempt"] for row in table(out, "trials")}
    for folder in (out, whole):
        with run_command(study, folder) as driver:
            shown, errors = driver.communicate(timeout=200)
        assert (errors, driver.returncode) == ("", 0), shown
    rows, undisturbed = table(out, "metrics"), table(whole, "metrics")
    for row in (*rows, *undisturbed):
        del row["samples_per_second"]
    assert rows == undisturbed
    for row in table(out, "trials"):
        assert row["attempt"] == before[row["trial_id"]] + 1
