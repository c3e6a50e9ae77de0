"""The Sweep object: what `open` and `finish` change, who is refused, and what an error leaves behind."""

import contextlib
import dataclasses
import io
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from byol.files import PREVIOUS_STATE, STATE
from sweeps import files
from sweeps.errors import DirectoryError, EngineError
from sweeps.inspect import status
from sweeps.record import directory
from sweeps.record.ledger import Ledger
from sweeps.record.rows import Ending, EndReason, TrialState
from sweeps.simulated import TRAINER
from sweeps.study import Study
from sweeps.sweep import Sweep
from tests.sweeps.conftest import SMALL, plan_sweep

FINISH = """
import sys
from pathlib import Path
from sweeps.study import study_from_text
from sweeps.sweep import Sweep
with Sweep.open(study_from_text(sys.argv[1], "f"), Path(sys.argv[2])) as sweep:
    assert sweep.is_complete
    outcome = sweep.finish()
assert (outcome.ran, outcome.interrupted, outcome.counts["complete"]) == (False, False, 8)
print(sorted({"ray", "optuna", "torch"} & set(sys.modules)))
"""


def complete_sweep(out: Path, study: Study, count: int = 8) -> None:
    """A sweep of which `count` trials are complete and the others wait."""
    with plan_sweep(out, study) as ledger:
        for trial in study.trials()[:count]:
            ending = Ending(state=TrialState.COMPLETE, end_reason=EndReason.FINISHED, collapsed=False)
            ledger.end(trial.trial_id, ledger.start(trial.trial_id), ending)


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces the connection to Ray, so that `execute` gets as far as the first trial."""
    from sweeps.engine import runtime

    @contextlib.contextmanager
    def connected(*arguments: Any) -> Iterator[dict[str, float]]:
        yield {"CPU": 2.0}

    monkeypatch.setattr(runtime, "connected", connected)


@pytest.mark.parametrize("exists", [False, True])
def test_opening_a_fresh_directory_changes_nothing(tmp_path: Path, small: Study, exists: bool) -> None:
    out = tmp_path / "out"
    if exists:
        out.mkdir()
    with Sweep.open(small, out, trainer=TRAINER) as sweep:
        assert not sweep.is_complete
        assert list(tmp_path.rglob("*")) == [out] * exists
    assert list(tmp_path.rglob("*")) == [out] * exists


@pytest.mark.parametrize("count", [7, 8])
def test_a_sweep_is_complete_if_no_planned_trial_is_left(tmp_path: Path, small: Study, count: int) -> None:
    complete_sweep(tmp_path, small, count)
    with Sweep.open(small, tmp_path, trainer=TRAINER) as sweep:
        assert sweep.is_complete == (count == 8)
    grown = dataclasses.replace(small, seeds=(0, 1, 2))
    with Sweep.open(grown, tmp_path, trainer=TRAINER) as sweep:
        assert not sweep.is_complete


@pytest.mark.timeout(60)
def test_finishing_a_complete_sweep_renews_texts_and_tables_without_ray(tmp_path: Path, small: Study) -> None:
    complete_sweep(tmp_path, small)
    (tmp_path / files.STUDY).write_text("title: Old title")
    (tmp_path / "trials.parquet").write_text("old")
    retitled = SMALL + "title: New title\n"
    command = [sys.executable, "-c", FINISH, retitled, str(tmp_path)]
    process = subprocess.run(command, capture_output=True, text=True)
    found = f"nothing is left to run in {tmp_path}: 8 of 8 trials are complete"
    assert (process.returncode, process.stderr, process.stdout) == (0, "", f"{found}\n[]\n")
    assert "New title" in (tmp_path / files.STUDY).read_text()
    states = pq.read_table(tmp_path / "trials.parquet", columns=["state"])["state"].to_pylist()
    assert states == ["COMPLETE"] * 8
    for name in ("metrics", "spectra"):
        assert pq.read_table(tmp_path / f"{name}.parquet").num_rows == 0


@pytest.mark.timeout(60)
@pytest.mark.usefixtures("no_ray")
@pytest.mark.parametrize(("method", "count"), [("finish", 8), ("execute", 5)])
def test_a_second_driver_is_refused_and_changes_nothing(
    tmp_path: Path, small: Study, method: str, count: int
) -> None:
    complete_sweep(tmp_path, small, count)
    with Sweep.open(small, tmp_path, trainer=TRAINER) as second, directory.driver_lock(tmp_path):
        names = {path.name for path in tmp_path.iterdir()}
        with pytest.raises(DirectoryError, match="is in use by another driver"):
            getattr(second, method)()
        assert {path.name for path in tmp_path.iterdir()} == names
        with pytest.raises(DirectoryError, match="is in use by another driver"):
            contextlib.ExitStack().enter_context(Sweep.open(small, tmp_path, trainer=TRAINER))
    assert (status(tmp_path)["complete"], status(tmp_path)["waiting"]) == (count, 8 - count)


@pytest.mark.timeout(30)
def test_a_resumed_sweep_says_what_it_found(
    tmp_path: Path, small: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sweeps.engine import runtime

    def connected(*arguments: Any) -> None:
        raise EngineError("no cluster answers")

    def shown(study: Study) -> str:
        stream = io.StringIO()
        opened = Sweep.open(study, tmp_path, trainer=TRAINER, stream=stream)
        with opened as sweep, pytest.raises(EngineError):
            sweep.execute()
        return stream.getvalue()

    monkeypatch.setattr(runtime, "connected", connected)
    assert "resuming" not in shown(small)
    complete_sweep(tmp_path, small, count=4)
    assert f"resuming {tmp_path}: 4 of 8 trials are complete\nsmall: 8 trials" in shown(small)
    with directory.driver_lock(tmp_path), Ledger(tmp_path / files.LEDGER) as ledger:
        failed, *begun = small.trials()[4:]
        ending = Ending(state=TrialState.FAIL, end_reason=EndReason.ERROR, error="no memory")
        ledger.end(failed.trial_id, ledger.start(failed.trial_id), ending)
        for trial in begun:
            ledger.start(trial.trial_id)
    for trial, name in zip(small.trials()[3:7], (STATE, STATE, STATE, PREVIOUS_STATE), strict=True):
        (tmp_path / files.CHECKPOINTS / trial.trial_id).mkdir(parents=True)
        (tmp_path / files.CHECKPOINTS / trial.trial_id / name).touch()
    grown = dataclasses.replace(small, seeds=(0, 1, 2))
    found = "4 of 12 trials are complete, 1 failed, 2 have checkpoints\n"
    assert f"resuming {tmp_path}: {found}" in shown(grown)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("error", [EngineError("no cluster answers"), KeyboardInterrupt()])
def test_an_error_does_not_wait_for_what_is_prepared_beside_rays_start(
    tmp_path: Path, small: Study, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    from sweeps.engine import runtime

    def connected(*arguments: Any) -> None:
        raise error

    released = threading.Event()
    monkeypatch.setattr(runtime, "connected", connected)
    monkeypatch.setattr(Sweep, "_controls", lambda _: released.wait(60))
    with Sweep.open(small, tmp_path, trainer=TRAINER) as sweep, pytest.raises(type(error)):
        sweep.execute()
    assert not released.is_set()
    released.set()


@pytest.mark.timeout(60)
@pytest.mark.usefixtures("no_ray")
@pytest.mark.parametrize(("method", "count"), [("finish", 8), ("execute", 5)])
def test_after_an_error_the_ledger_is_closed_and_the_directory_unlocked(
    tmp_path: Path, small: Study, monkeypatch: pytest.MonkeyPatch, method: str, count: int
) -> None:
    def write_to_full_disk(*arguments: Any) -> None:
        raise OSError("disk full")

    complete_sweep(tmp_path, small, count)
    monkeypatch.setattr("sweeps.record.refresh.tables_written", write_to_full_disk)
    with Sweep.open(small, tmp_path, trainer=TRAINER) as sweep:
        with pytest.raises(OSError, match="disk full"):
            getattr(sweep, method)()
        with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
            sweep.ledger.facts()
        with directory.driver_lock(tmp_path):
            pass
