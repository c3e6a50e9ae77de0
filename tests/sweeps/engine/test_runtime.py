"""Signals and the time budget, and what fits on a machine."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sweeps.engine.runtime import interruptible, room
from sweeps.errors import RequestError
from sweeps.inspect import status
from sweeps.study import Resources, Study, study_from_text
from tests.sweeps.conftest import SMALL
from tests.sweeps.engine.real_sweeps import DRIVER, run_study, table, wait_for_results


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_signals_request_the_end_and_handlers_are_restored(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with interruptible() as interruption:
        assert not interruption.stop_all()
        os.kill(os.getpid(), number)
        assert interruption.stop_all()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(
    ("resources", "available", "trials"),
    [
        (Resources(), {"CPU": 2.0}, 2),
        (Resources(cpu=0.5), {"CPU": 2.0}, 4),
        (Resources(cpu=1, gpu=0.4), {"CPU": 16.0, "GPU": 2.0}, 4),
        (Resources(cpu=4, gpu=0.1), {"CPU": 16.0, "GPU": 2.0}, 4),
        (Resources(gpu=2), {"CPU": 16.0, "GPU": 5.0}, 2),
        (Resources(gpu=1), {"CPU": 16.0}, 1),
    ],
)
def test_how_many_trials_fit(resources: Resources, available: dict[str, float], trials: int) -> None:
    assert room(resources, available) == trials


@pytest.mark.ray
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("one_ray")
def test_a_time_budget_leaves_whole_replicates_first(tmp_path: Path) -> None:
    study = study_from_text(SMALL.replace("steps: 20", "steps: 20, weight_decay: 3"), "f")
    outcome, _ = run_study(tmp_path, study, workers=1, time_budget=18.0)
    assert (outcome.interrupted, outcome.out_of_time) == (True, True)
    states = [row["state"] for row in table(tmp_path, "trials")]
    assert 1 <= states.count("COMPLETE") < 8
    assert states == sorted(states, key=["COMPLETE", "FAIL", "WAITING"].index)
    outcome, _ = run_study(tmp_path, study, time_budget=0.001)
    assert (outcome.out_of_time, outcome.counts["complete"]) == (True, states.count("COMPLETE"))


@pytest.mark.ray
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("one_ray")
def test_a_trial_larger_than_the_machine_is_refused_before_anything_starts(
    tmp_path: Path, small: Study
) -> None:
    with pytest.raises(RequestError, match=r"resources\.cpu: must be at most the \d+ of this machine"):
        run_study(tmp_path / "out", small, cpus_per_trial=1000)
    assert not (tmp_path / "out").exists()


@pytest.mark.ray
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("one_ray")
def test_an_interrupted_sweep_says_so_and_resumes(tmp_path: Path) -> None:
    text = SMALL.replace("steps: 20", "steps: 20, weight_decay: 2")
    (tmp_path / "small.yaml").write_text(text)
    out = tmp_path / "out"
    interrupt_a_run(tmp_path / "small.yaml", out)
    counts, before = status(out), {row["trial_id"]: row for row in table(out, "trials")}
    assert counts["running"] == 0
    assert counts["complete"] >= 1
    assert counts["waiting"] + counts["interrupted"] >= 1
    outcome, _ = run_study(out, study_from_text(text, "f"))
    assert outcome.counts["complete"] == 8
    for row in table(out, "trials"):
        restarted = before[row["trial_id"]]["state"] != "COMPLETE"
        assert row["attempt"] == before[row["trial_id"]]["attempt"] + restarted
    assert len(table(out, "metrics")) == 40


def interrupt_a_run(study: Path, out: Path) -> None:
    """Starts the command line in its own process, and ends it as a terminal does once a trial is complete.

    The other signals: SIGUSR1 within a process in tests/sweeps/storage, all three in `make faults`.
    """
    command = [sys.executable, "-c", DRIVER, "run", str(study), "--out", str(out), "--workers", "1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as driver:
        try:
            wait_for_results(out, 1)
            os.killpg(driver.pid, signal.SIGINT)  # a terminal also sends it to Ray's processes
            shown, errors = driver.communicate(timeout=90)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(driver.pid, signal.SIGKILL)
    assert errors == ""
    assert driver.returncode == 130
    assert "Interrupted. Run the same command again to resume." in shown
    assert "\x1b" not in shown
