"""Every file of a store is damaged in turn: the sweep resumes with the same tables, or is refused by name."""

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeps import files
from sweeps.errors import RequestError, StorageError
from sweeps.options import RunOptions
from sweeps.record import directory, result_digests
from sweeps.storage import lease
from sweeps.study import study_from_text
from sweeps.verify import verify
from tests.faults.damage import HOWS, damage
from tests.faults.injected import REFUSED, SAME
from tests.faults.simulated_sweep import entered, run_simulated
from tests.faults.test_damaged_files import SEEDS, TABLES
from tests.sweeps.conftest import SMALL

STUDY = study_from_text(SMALL, "small.yaml")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    run_simulated(STUDY, out)
    return out


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A directory and its store, with five complete trials."""
    folder = tmp_path_factory.mktemp("half")
    run_simulated(STUDY, folder / "out", RunOptions(storage=str(folder / "store")), trials=5)
    return folder / "out", folder / "store"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", [files.LEDGER, files.STUDY, files.MANIFEST, lease.LEASE])
@pytest.mark.parametrize("fresh", [True, False])
def test_a_sweep_resumes_from_a_damaged_store_or_is_refused(
    tmp_path: Path, whole: Path, half: tuple[Path, Path], name: str, how: str, fresh: bool,
    injected: Callable[..., None],
) -> None:  # fmt: skip
    for seed in SEEDS if how in ("flipped", "cut") else range(1):
        out, store = tmp_path / f"out{seed}", tmp_path / f"store{seed}"
        shutil.copytree(half[1], store)
        if not fresh:
            shutil.copytree(half[0], out)
        damage(store / name, how, seed)
        os.utime(store, (0, 0))
        for path in store.glob(lease.LEASE):
            os.utime(path, (0, 0))  # long ago
        try:
            run_simulated(STUDY, out, RunOptions(storage=str(store)))
        except RequestError as error:
            told = str(error)
            assert name == files.LEDGER, told
            assert name in told, told
            assert str(store) in told, told
            assert not re.search(r"byol-sweeps-\d|\.partial|\n", told), told
            injected("stored", REFUSED)
        else:
            assert [(out / table).read_bytes() for table in TABLES] == [
                (whole / table).read_bytes() for table in TABLES
            ]
            injected("stored", SAME)


def test_a_damaged_lease_is_waited_for_and_then_taken_over(tmp_path: Path, half: tuple[Path, Path]) -> None:
    store = tmp_path / "store"
    shutil.copytree(half[1], store)
    (store / lease.LEASE).write_bytes(b"\xff{")
    options = RunOptions(storage=str(store), mirror_every=0.1)
    with pytest.raises(StorageError, match=r"driver\.json: is damaged, .* its lease ends in 1 s"):
        run_simulated(STUDY, tmp_path / "out", options)
    os.utime(store / lease.LEASE, (0, 0))
    run_simulated(STUDY, tmp_path / "out", options)


def test_verify_checks_the_copy_in_the_store(tmp_path: Path, half: tuple[Path, Path]) -> None:
    run_simulated(STUDY, tmp_path / "out", RunOptions(storage=str(tmp_path / "store")), trials=1)
    assert not any(check.problem for check in verify(tmp_path / "out"))
    damage(tmp_path / "store" / files.LEDGER, "cut", 0)
    (problem,) = [check.problem for check in verify(tmp_path / "out") if check.problem]
    assert problem.startswith(f"file://{tmp_path}/store/{files.LEDGER}: is damaged")


def test_verify_meets_a_driver_that_makes_a_table_meanwhile(
    half: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = result_digests.of_tables
    monkeypatch.setattr(result_digests, "of_tables", lambda out: {} if out == half[0] else found(out))
    told = {check.name: check.problem for check in verify(half[0])}
    assert all("is not what" in told[table] for table in TABLES)


def test_what_killed_processes_left_is_removed_at_the_next_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead, store, out = 2**22 + 1, tmp_path / "store", tmp_path / "out"
    store.mkdir()
    out.mkdir()
    temporary, alive = (tmp_path / f"byol-sweeps-{os.getuid()}-ledger-{name}" for name in ("abc", "def"))
    temporary.mkdir()
    alive.mkdir()
    lock = os.open(alive, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)  # as its process does, whatever its number here
    left = [store / f".ledger.sqlite.{dead}.partial", out / "ledger.sqlite.mirror"]
    for path in left:
        path.touch()
    with entered(STUDY, out, RunOptions(storage=str(store))):
        pass
    os.close(lock)
    assert [path.exists() for path in (*left, temporary, alive)] == [False, False, False, True]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"op_code": 0}\n{"op_code": 1}\n', ""),
        (b'{"op_code": 0}\n{"op_co', ""),
        (b'{"op_code": 0}\n{"op_\n{"op_code": 1}\n', "optuna.journal: is damaged: line 2"),
        (b"", "optuna.journal: is empty"),
        (None, "no optuna.journal"),
    ],
)
def test_a_damaged_journal_of_a_search_is_named(tmp_path: Path, content: bytes | None, problem: str) -> None:
    if content is not None:
        (tmp_path / files.JOURNAL).write_bytes(content)
    assert directory.journal_problem(tmp_path).endswith(problem)
    assert bool(directory.journal_problem(tmp_path)) == bool(problem)
