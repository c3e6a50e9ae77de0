"""A disk that fills up or becomes read-only at any moment, and a store that vanishes: nothing wrong is kept.

On a small tmpfs, which needs root; without it the tests are skipped.
"""

import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import run_sweep
from sweeps import files
from sweeps.errors import RequestError, one_line
from sweeps.options import RunOptions
from sweeps.simulated import TRAINER
from tests.faults import ALL
from tests.faults.injected import REFUSED, SAME
from tests.faults.moments import Moments, counted, spread
from tests.faults.real import tables
from tests.faults.simulated_sweep import run_simulated
from tests.faults.test_damaged_files import COMMANDS, ENCODER, STUDY, TRIAL, run_command
from tests.sweeps.conftest import SMALL
from tests.sweeps.tensor_files import tensor_file

MOMENTS = 20 if ALL else 3
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """An empty disk of 8 MiB: the log of SQLite takes megabytes, too."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("needs root, to mount a small disk")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> None:
    """Leaves no byte."""
    with (disk / "ballast").open("ab", buffering=0) as ballast:
        for size in (65_536, 4_096, 1):
            try:
                while ballast.write(bytes(size)):
                    pass
            except OSError:
                continue


def read_only(disk: Path, on: bool = True) -> None:
    subprocess.run(["mount", "-o", f"remount,{'ro' if on else 'rw'}", str(disk)], check=on)


def disturbed(out: Path, options: RunOptions, moment: int, fault: Callable[[], None]) -> str:
    """Runs the sweep with a fault at a moment; the error in one line, "" if there was none."""
    with counted(Moments(out, moment, fault)):
        try:
            run_simulated(STUDY, out, options)
        except (OSError, sqlite3.Error, RequestError) as error:
            text = one_line(error)
            assert text
            return text
    return ""


def moments(folder: Path) -> int:
    """How many an undisturbed run passes."""
    with counted(Moments(folder / "counted")) as counting:
        run_simulated(STUDY, folder / "counted")
    return counting.count


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "sweep"
    run_simulated(STUDY, out)
    return out


# A file system does not become read-only while a file is open for writing, as the ledger is.
@pytest.mark.parametrize(
    ("where", "fault"), [("directory", "disk"), ("store", "disk"), ("store", "read-only")]
)
def test_a_disk_that_fails_at_any_moment(
    tmp_path: Path, small_disk: Path, whole: Path, injected: Callable[..., None], fault: str, where: str
) -> None:
    total, stopped = moments(tmp_path), 0
    for moment in spread(total, MOMENTS, f"{fault} {where}"):
        out = small_disk / "sweep" if where == "directory" else tmp_path / "sweep"
        options = RunOptions(storage=str(small_disk / "store") if where == "store" else None)
        happens = (lambda: fill(small_disk)) if fault == "disk" else (lambda: read_only(small_disk))
        told = disturbed(out, options, moment, happens)
        stopped += bool(told)
        if fault == "disk":
            (small_disk / "ballast").unlink()
        else:
            read_only(small_disk, False)
        run_simulated(STUDY, out, options)
        assert tables(out) == tables(whole), (moment, told)
        injected(fault, SAME)
        for path in (out, *small_disk.iterdir()):
            shutil.rmtree(path, ignore_errors=True)
    assert stopped > MOMENTS / 4, "the fault was felt"


def test_a_store_that_vanishes(
    tmp_path: Path, small_disk: Path, whole: Path, injected: Callable[..., None]
) -> None:
    """Its folder is replaced by a file, as a mount that is gone leaves a place that is no folder."""
    total, store = moments(tmp_path), small_disk / "store"

    def vanish() -> None:
        store.rename(small_disk / "gone")
        store.touch()

    for moment in spread(total, MOMENTS, "vanished"):
        out, options = tmp_path / "sweep", RunOptions(storage=str(store))
        store.mkdir()
        told = disturbed(out, options, moment, vanish)
        assert str(store) in told
        store.unlink()
        (small_disk / "gone").rename(store)
        run_simulated(STUDY, out, options)
        assert tables(out) == tables(whole), (moment, told)
        injected("vanished", SAME)
        shutil.rmtree(out)
        shutil.rmtree(store)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("fault", ["disk", "read-only"])
def test_every_command_on_a_full_or_read_only_disk(
    tmp_path: Path, small_disk: Path, whole: Path, injected: Callable[..., None], command: str, fault: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("analysis.api.report", lambda results: "<html>the report</html>")
    study, out = tmp_path / "small.yaml", small_disk / "sweep"
    study.write_text(SMALL + "estimate: {seconds_per_trial: 10, hardware: here}\n")
    shutil.copytree(whole, out)
    (out / ENCODER).parent.mkdir(parents=True)
    (out / ENCODER).write_bytes(tensor_file(b"weights", TRIAL))
    (out / files.TRIALS).unlink()  # so that something is to be written
    fill(small_disk) if fault == "disk" else read_only(small_disk)
    status, printed, error = run_command(command, study, out)
    told = f"{status}\n{printed}\n{error}"
    assert "Traceback" not in told
    if status:
        assert status in (1, 2), told
        assert error.count("\n") == 1, told
        assert "o space left" in error or "Read-only" in error or "full" in error or "readonly" in error, told
    injected("disk commands" if fault == "disk" else "read-only", REFUSED if status else SAME)
    (small_disk / "ballast").unlink() if fault == "disk" else read_only(small_disk, False)
    assert run_sweep.main(["report", str(out)], trainer=TRAINER) == 0
    assert tables(out) == tables(whole)
