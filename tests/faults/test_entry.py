"""A driver killed, or out of disk, while it enters a directory leaves one that the next driver enters."""

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeps import files
from sweeps.options import RunOptions
from sweeps.record.directory import has_ledger
from sweeps.record.ledger import Ledger
from sweeps.study import Study
from sweeps.sweep import Sweep
from tests.faults import ALL
from tests.faults.injected import SAME
from tests.faults.simulated_sweep import entered, run_simulated
from tests.sweeps.conftest import SMALL

TABLES = (files.TRIALS, files.METRICS, files.SPECTRA)

ENTER = """
import os, sqlite3, sys
from pathlib import Path
from sweeps.study import study_from_text
from tests.faults.simulated_sweep import entered
from sweeps.record import manifest
manifest.git_state()  # starts a process, and not again
study, folder, stride = study_from_text(sys.argv[1], "small.yaml"), Path(sys.argv[2]), int(sys.argv[3])
moment, last, active = 0, None, False
def passed(*_):
    global moment
    if active:
        moment += 1
        if moment == last:
            os._exit(9)
def connect(*arguments, connect=sqlite3.connect, **named):
    db = connect(*arguments, **named)
    db.set_trace_callback(passed)
    return db
sqlite3.connect = connect
def audit(event, values):
    if event in ("open", "os.rename", "os.remove", "os.mkdir") and str(folder) in str(values[0]):
        passed()
sys.addaudithook(audit)
last, killed = 1, 9
while killed:
    child = os.fork()
    if not child:
        active = True
        with entered(study, folder / str(last)):
            pass
        os._exit(0)
    killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert killed in (0, 9), killed
    last += stride
print(last - stride)
"""


def tables(out: Path) -> list[bytes]:
    return [(out / name).read_bytes() for name in TABLES]


@pytest.mark.timeout(1200 if ALL else 180)
def test_a_driver_killed_at_any_moment_of_its_entry_leaves_a_directory_to_enter(
    tmp_path: Path, small: Study, injected: Callable[..., None]
) -> None:
    with entered(small, tmp_path / "whole"):
        pass
    whole = tables(tmp_path / "whole")
    stride = 1 if ALL else 11
    command = [sys.executable, "-c", ENTER, SMALL, str(tmp_path), str(stride)]
    process = subprocess.run(command, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    moments = int(process.stdout)
    assert moments > 60, "statements and file operations of an entry"
    states = set()
    for last in range(1, moments + 1, stride):
        out = tmp_path / str(last)
        planned = has_ledger(out)
        if planned:
            with Ledger(out / files.LEDGER, read_only=True) as ledger:
                assert len(ledger.trials()) == 8, "a plan is whole"
        states.add((out.exists(), planned))
        with entered(small, out):
            pass
        assert tables(out) == whole, last
        assert not [*out.rglob(".*.partial")], last
        injected("entry", SAME)
    assert len(states) > 1, "killed before and after the plan was there"


@pytest.mark.parametrize("pages", range(1, 10, 2))
def test_a_disk_that_is_full_during_the_entry_leaves_a_directory_to_enter(
    tmp_path: Path, small: Study, monkeypatch: pytest.MonkeyPatch, pages: int,
    injected: Callable[..., None],
) -> None:  # fmt: skip
    real = sqlite3.connect

    def connect(*arguments: object, **named: object) -> sqlite3.Connection:
        db: sqlite3.Connection = real(*arguments, **named)  # type: ignore[call-overload]
        db.execute(f"PRAGMA max_page_count = {pages}")
        return db

    with entered(small, tmp_path / "whole"):
        pass
    out = tmp_path / "out"
    with monkeypatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setattr(sqlite3, "connect", connect)
        with pytest.raises(sqlite3.OperationalError, match="full"):
            stack.enter_context(entered(small, out))
    assert not has_ledger(out)
    with entered(small, out):
        pass
    assert tables(out) == tables(tmp_path / "whole")
    injected("disk", SAME)


def test_a_directory_killed_before_its_plan_does_not_empty_the_store(tmp_path: Path, small: Study) -> None:
    """What SQLite left beside the killed driver's ledger is not applied to the one that is fetched."""
    killed, store = tmp_path / "killed", str(tmp_path / "store")
    killed.mkdir()
    begun = "import os, sys; from pathlib import Path; from sweeps.record.ledger import Ledger; "
    begun += "ledger = Ledger(Path(sys.argv[1])); os._exit(0)"
    subprocess.run([sys.executable, "-c", begun, str(killed / files.LEDGER)], check=True)
    assert (killed / f"{files.LEDGER}-wal").exists()
    assert not has_ledger(killed)
    options = RunOptions(storage=store)
    run_simulated(small, tmp_path / "other", options)
    for out in (killed, tmp_path / "fresh"):
        with entered(small, out, options) as sweep:
            assert sweep.ledger.counts()["complete"] == 8, out


def test_an_error_before_the_plan_leaves_the_store_as_it_was(
    tmp_path: Path, small: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    options = RunOptions(storage=str(tmp_path / "store"))
    with monkeypatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setattr(Sweep, "_plan", interrupt)
        with pytest.raises(KeyboardInterrupt):
            stack.enter_context(entered(small, tmp_path / "out", options))
    for out in ("out", "elsewhere"):
        run_simulated(small, tmp_path / out, options)
