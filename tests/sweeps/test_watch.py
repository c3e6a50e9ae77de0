"""Whether a driver is at work, and the process of `run --watch` that serves the report beside it."""

import contextlib
import dataclasses
import io
import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import run_sweep
from sweeps import files
from sweeps.inspect import status
from sweeps.options import RunOutcome
from sweeps.progress import Display
from sweeps.record import directory
from sweeps.record.ledger import Ledger
from sweeps.record.refresh import renew
from sweeps.record.rows import Ending, EndReason, Fact, TrialRow, TrialState
from sweeps.study import Study
from sweeps.watch import follow, has_begun, progress
from tests.sweeps.conftest import SMALL, plan_sweep
from tests.sweeps.record.test_ledger import measurement
from tests.sweeps.test_sweep import complete_sweep


def interrupted_sweep(out: Path, study: Study) -> None:
    """A sweep of which a Ctrl-C has cut off the last trial."""
    complete_sweep(out, study, 7)
    with Ledger(out / files.LEDGER) as ledger:
        ledger.start(study.trials()[-1].trial_id)
        ledger.interrupt()


def test_an_interrupted_trial_is_left_to_run(tmp_path: Path, small: Study) -> None:
    said: list[str] = []
    complete_sweep(tmp_path / "complete", small)
    assert not has_begun([tmp_path / "complete"], said.append)
    assert said == []
    interrupted_sweep(tmp_path / "out", small)
    assert not has_begun([tmp_path / "out"], said.append, within_s=0.1)
    assert said == ["Waiting for a driver to begin."]


def test_a_driver_has_begun_once_it_has_a_plan(tmp_path: Path, small: Study) -> None:
    with directory.driver_lock(tmp_path):
        Ledger(tmp_path / files.LEDGER).close()
        assert not has_begun([tmp_path], lambda _: None, within_s=0.0)
        assert progress([tmp_path]).text.startswith("0 of 0 trials")
    plan_sweep(tmp_path, small).close()
    with directory.driver_lock(tmp_path):
        assert has_begun([tmp_path], lambda _: None, within_s=0.0)
        assert progress([tmp_path]).text.startswith("0 of 8 trials")


def test_a_page_is_built_again_when_the_driver_has_written_its_tables_and_when_it_has_ended(
    tmp_path: Path, small: Study
) -> None:
    trial_id = small.trials()[0].trial_id
    with plan_sweep(tmp_path, small) as ledger:
        with directory.driver_lock(tmp_path):
            renew(ledger, tmp_path)
            stamps = [progress([tmp_path]).stamp]
            time.sleep(0.02)
            ledger.append(trial_id, ledger.start(trial_id), measurement(0))
            stamps.append(progress([tmp_path]).stamp)
            assert stamps[1] == stamps[0], "the tables do not have it yet"
            renew(ledger, tmp_path)
            stamps.append(progress([tmp_path]).stamp)
            ledger.append(trial_id, 1, measurement(5))
        stamps.append(progress([tmp_path]).stamp)  # it was killed: a report now has what is in the ledger
    assert len({*stamps}) == 3


def test_beside_a_driver_its_end_alone_ends_the_waiting(tmp_path: Path, small: Study) -> None:
    complete_sweep(tmp_path, small)
    answers = iter([False, True])
    assert not has_begun([tmp_path], lambda _: None, ended=lambda: next(answers), within_s=0.0)
    assert [*answers] == []


def told(shown: Callable[[], str], words: str) -> str:
    """What the process shows up to the line with these words."""
    text, deadline = "", time.monotonic() + 60
    while words not in text or not text.endswith("\n"):
        assert time.monotonic() < deadline, text
        time.sleep(0.1)
        text += shown()
    return text


@pytest.mark.timeout(180)
def test_run_serves_the_report_from_the_drivers_plan_to_its_end(
    tmp_path: Path, small: Study, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, study_file = tmp_path / "out", tmp_path / "small.yaml"
    complete_sweep(out, small)  # of which the driver may have more seeds to run
    (out / files.STUDY).write_text(SMALL)
    study_file.write_text(SMALL)
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def recorded(*arguments: Any, **options: Any) -> "subprocess.Popen[bytes]":
        started.append(popen(*arguments, **options))
        return started[-1]

    def run(*_: Any, **__: Any) -> RunOutcome:
        """Takes the directory when the other process waits, as after a slow start of Ray."""
        told(lambda: capfd.readouterr().err, "Waiting for a driver")
        assert os.getsid(started[0].pid) != os.getsid(0), "a Ctrl-C must not end it"
        with directory.driver_lock(out):
            line = told(lambda: capfd.readouterr().err, "Live while the sweep runs: ")
            with urllib.request.urlopen(f"{line.split()[-1]}state", timeout=10) as answer:
                state = json.load(answer)
            assert (state["running"], state["progress"].partition(",")[0]) == (True, "8 of 8 trials ended")
        return RunOutcome(counts=status(out), interrupted=False, ran=False)

    monkeypatch.setattr(subprocess, "Popen", recorded)
    monkeypatch.setattr("sweeps.run.run", run)
    assert run_sweep.main(["run", str(study_file), "--out", str(out), "--watch"]) == 0
    [process] = started
    assert process.returncode == 0, "it has ended by itself"


def test_what_is_left_is_shared_by_the_workers(tmp_path: Path, small: Study) -> None:
    """Four of eight trials are halfway after 10 s of their own turns: one worker needs 120 s for the rest."""
    stream = io.StringIO()
    with plan_sweep(tmp_path, small) as ledger:
        for trial in small.trials()[:4]:
            row = dataclasses.replace(measurement(10), wall_seconds=10.0)
            ledger.append(trial.trial_id, ledger.start(trial.trial_id), row)
        for pack, left in (("1", "0:30"), ("2", "1:00"), ("8", "2:00")):
            ledger.set_fact(Fact.PACK, pack)
            follow(tmp_path, Display(stream), sleep=lambda _: None)
            assert f"about {left} left" in stream.getvalue().splitlines()[-1]


def test_status_follows_a_sweep_until_its_driver_ends(tmp_path: Path, small: Study) -> None:
    """First what is, with the latest failures; then each trial that ends; at last the end."""
    stream, ids = io.StringIO(), [trial.trial_id for trial in small.trials()]
    fail = Ending(state=TrialState.FAIL, end_reason=EndReason.ERROR, error="ValueError: boom")
    with plan_sweep(tmp_path, small) as ledger, contextlib.ExitStack() as driver:
        for trial_id in ids[:4]:
            ledger.end(trial_id, ledger.start(trial_id), fail)
        driver.enter_context(directory.driver_lock(tmp_path))
        attempt = ledger.start(ids[4])
        row = dataclasses.replace(measurement(5), loss=0.25, representation_std=0.75, wall_seconds=10.0)
        ledger.append(ids[4], attempt, row)
        looks = 0

        def sleep(seconds: float) -> None:
            nonlocal looks
            looks += 1
            assert seconds >= 0.5
            if looks == 1:
                finish = Ending(state=TrialState.COMPLETE, end_reason=EndReason.FINISHED, collapsed=True)
                ledger.end(ids[4], attempt, finish)
            elif looks == 3:
                ledger.end(ids[5], ledger.start(ids[5]), fail)
                driver.close()

        follow(tmp_path, Display(stream), sleep=sleep)
    first, *failed, ended, last_failed, last = stream.getvalue().splitlines()
    assert first == (
        "4/8 done · 1 running · 3 left · 0 collapsed · 4 failed · 0:00 elapsed, about 2:30 left · "
        "step 5/20  loss 0.250  std 0.750  encoder_norm=batch, heads=batch, seed 1"
    )
    assert len(failed) == 3
    assert all(line.endswith("seed 0: ValueError: boom") for line in failed)
    assert ended.startswith("5/8 done · 0 running · 3 left · 1 collapsed · 4 failed")
    assert ended.endswith(
        "collapsed: encoder_norm=batch, heads=batch, seed 1: loss 0.250, std 0.750 at step 5"
    )
    assert last_failed.endswith("failed: encoder_norm=batch, heads=none, seed 1: ValueError: boom")
    assert last.startswith("6/8 done · 0 running · 2 left · 1 collapsed · 5 failed")
    assert looks == 3


def test_a_ledger_that_has_not_changed_is_not_read_again(
    tmp_path: Path, small: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    read = Ledger.trials

    def counted(ledger: Ledger) -> list[TrialRow]:
        reads.append(1)
        return read(ledger)

    monkeypatch.setattr(Ledger, "trials", counted)
    with plan_sweep(tmp_path, small), contextlib.ExitStack() as driver:
        driver.enter_context(directory.driver_lock(tmp_path))
        looks = iter(range(10))
        follow(tmp_path, Display(io.StringIO()), sleep=lambda _: driver.close() if next(looks) == 9 else None)
    assert len(reads) == 1


@pytest.mark.timeout(60)
def test_status_watch_ends_quietly(
    tmp_path: Path, small: Study, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.nice", lambda _: 0)
    interrupted_sweep(tmp_path, small)

    def follow(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sweeps.watch.follow", follow)
    with directory.driver_lock(tmp_path):
        assert run_sweep.main(["status", str(tmp_path), "--watch"]) == 0
    assert capsys.readouterr() == ("", "")
    complete_sweep(tmp_path / "complete", small)
    assert run_sweep.main(["status", str(tmp_path / "complete"), "--watch"]) == 0
    printed = capsys.readouterr()
    assert printed.err == "No driver is at work there.\n"
    assert "     8 complete\n" in printed.out
    with pytest.raises(SystemExit, match="2"):
        run_sweep.main(["status", str(tmp_path), "--watch", "--json"])
