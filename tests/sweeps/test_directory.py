"""Who may write to a sweep's directory, and with which study."""

import subprocess
import sys
from pathlib import Path

import pytest

from sweeps import directory
from sweeps.directory import DirectoryError, check, has_ledger, held
from sweeps.ledger import Ledger
from sweeps.study import Study, study_from_text
from tests.sweeps.conftest import SMALL

HOLDER = """
import sys, time
from pathlib import Path
from sweeps.directory import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def ids(study: Study) -> set[str]:
    return {trial.trial_id for trial in study.trials()}


def fill(out: Path, study: Study) -> None:
    with held(out), Ledger(out / directory.LEDGER) as ledger:
        ledger.note("study", study.name)
        ledger.note("collapse", directory.rule_text(study))
        ledger.plan((trial, 20) for trial in study.trials())


def test_a_second_driver_is_refused_and_a_dead_one_blocks_nobody(tmp_path: Path, small: Study) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(DirectoryError, match=rf"in use by another driver \(process {holder.pid} on "):
            check(tmp_path, small, ids(small))
        with pytest.raises(DirectoryError, match="in use by another driver"), held(tmp_path):
            pass
        holder.kill()
        holder.wait()
    check(tmp_path, small, ids(small))
    with held(tmp_path):
        pass


def test_the_same_study_and_a_grown_one_fit(tmp_path: Path, small: Study) -> None:
    fill(tmp_path, small)
    check(tmp_path, small, ids(small))
    for grown in (
        SMALL.replace("seeds: 2", "seeds: 3"),
        SMALL.replace("[batch, group]", "[batch, group, layer]"),
        SMALL.replace("seeds: 2", "  tau_base: [0.99, 0.5]\nseeds: [1, 0]"),
        SMALL.replace("Does it run?", "Does it run well?"),
    ):
        study = study_from_text(grown, "f")
        check(tmp_path, study, ids(study))


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("name: small", "name: other", 'holds the study "small", not "other"'),
        ("seeds: 2", "seeds: 1", "4 of its 8 trials are not planned by small as it stands, such as"),
        ("steps: 20", "steps: 40", "8 of its 8 trials are not planned"),
        ("seeds: 2", "seeds: 2\ncollapse: {patience: 9}", "with another collapse rule"),
    ],
)
def test_another_study_is_refused(tmp_path: Path, small: Study, good: str, bad: str, message: str) -> None:
    fill(tmp_path, small)
    study = study_from_text(SMALL.replace(good, bad), "f")
    with pytest.raises(DirectoryError, match=message):
        check(tmp_path, study, ids(study))


def test_foreign_and_broken_directories_are_refused(tmp_path: Path, small: Study) -> None:
    check(tmp_path / "new", small, ids(small))
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(DirectoryError, match="must be a directory"):
        check(tmp_path / "file", small, ids(small))
    (tmp_path / "report.html").write_text("somebody's")
    with pytest.raises(DirectoryError, match=r"has report\.html and no ledger\.sqlite"):
        check(tmp_path, small, ids(small))
    (tmp_path / "ledger.sqlite").write_text("not a database at all, but long enough to look like one" * 20)
    with pytest.raises(DirectoryError, match=r"ledger\.sqlite: cannot be read: file is not a database"):
        check(tmp_path, small, ids(small))


def test_a_driver_that_died_before_it_planned_anything_blocks_nobody(tmp_path: Path, small: Study) -> None:
    with Ledger(tmp_path / "ledger.sqlite"):
        pass
    check(tmp_path, small, ids(small))
    (tmp_path / "ledger.sqlite").write_bytes(b"")
    assert not has_ledger(tmp_path)
    check(tmp_path, small, ids(small))
