"""Which driver may write to a sweep's directory, and with which study."""

import contextlib
import fcntl
import re
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sweeps import files
from sweeps.errors import DirectoryError
from sweeps.inspect import status
from sweeps.record import directory, same_study
from sweeps.record.directory import check, driver_lock, has_ledger
from sweeps.record.ledger import Ledger
from sweeps.study import Study, load_study, study_from_text
from sweeps.study.samples import corner_samples, fresh_trials
from tests.sweeps.conftest import SMALL, plan_sweep

HOLDER = """
import sys, time
from pathlib import Path
from sweeps.record.directory import driver_lock
with driver_lock(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


def ids(study: Study) -> set[str]:
    return {trial.trial_id for trial in study.trials()}


SEARCH = """name: found
reference: {steps: 20}
search:
  trials: 2
  space:
    lr: {low: 0.001, high: 10, log: true}
seeds: 2
"""


def plan_search(out: Path) -> Study:
    """Plans a search of two samples whose winner ran with two seeds."""
    study = study_from_text(SEARCH, "f")
    assert study.search is not None
    ledger = plan_sweep(out, study)
    samples = corner_samples(study.reference, study.search)[:2]
    with ledger:
        ledger.set_fact("search", same_study.search_text(study))
        for trial in samples:
            ledger.add(trial, 20, design="search")
        for trial in fresh_trials(samples[0], study.seeds):
            ledger.add(trial, 20, design="winner")
    (out / files.JOURNAL).write_text("{}\n")
    return study


def test_a_search_may_grow_in_samples_and_seeds(tmp_path: Path) -> None:
    check(tmp_path, plan_search(tmp_path), set())
    for old, new in (
        ("trials: 2", "trials: 9"),
        ("seeds: 2", "seeds: [0, 1, 7]"),
        ("name: found", "name: found\ntitle: T"),
    ):
        check(tmp_path, study_from_text(SEARCH.replace(old, new), "f"), set())
    (tmp_path / files.JOURNAL).unlink()
    with pytest.raises(
        DirectoryError, match=r"holds 2 samples of a search, but cannot go on: no optuna\.journal"
    ):
        check(tmp_path, study_from_text(SEARCH, "f"), set())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("low: 0.001", "low: 0.01", r"only its trials and seeds may grow \(differs: space\)"),
        ("steps: 20", "steps: 30", r"\(differs: reference: steps is 30 now and was 20\)"),
        ("{steps: 20}", "{}", r"\(differs: reference: steps is not set now and was 20\)"),
        ("trials: 2", "trials: 2\n  trial_seed: 5", "holds found with another search"),
        (
            "trials: 2",
            "trials: 2\n  objectives: {effective_rank: maximize}",
            "holds found with another search",
        ),
        ("trials: 2", "trials: 1", "search.trials: must be at least the 2 samples that it holds, but got 1"),
        ("seeds: 2", "seeds: [1]", "its winner ran with seeds that found does not name, such as 0"),
        (SEARCH, "name: found\nfactors: {lr: [0.1]}", r"\(differs: it was a search\)"),
    ],
)
def test_another_search_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    plan_search(tmp_path)
    study = study_from_text(SEARCH.replace(old, new), "f")
    with pytest.raises(DirectoryError, match=message) as error:
        check(tmp_path, study, ids(study))
    assert "\n" not in str(error.value)


def test_a_search_in_the_directory_of_a_design_is_refused(tmp_path: Path) -> None:
    plan_sweep(tmp_path, study_from_text("name: found\nfactors: {lr: [0.1]}", "f")).close()
    with pytest.raises(DirectoryError, match=r"with another search: .* \(differs: it was a design\)"):
        check(tmp_path, study_from_text(SEARCH, "f"), set())


def test_a_second_driver_is_refused_but_a_dead_one_does_not_block(tmp_path: Path, small: Study) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(DirectoryError, match=rf"in use by another driver \(process {holder.pid} on "):
            check(tmp_path, small, ids(small))
        with pytest.raises(DirectoryError, match="in use by another driver"), driver_lock(tmp_path):
            pass
        holder.kill()
        holder.wait()
    check(tmp_path, small, ids(small))
    with driver_lock(tmp_path):
        pass


def test_who_looks_whether_a_directory_is_locked_refuses_no_driver_and_deceives_nobody(
    tmp_path: Path, small: Study
) -> None:
    (tmp_path / files.LOCK).touch()
    with (tmp_path / files.LOCK).open("rb") as observer:
        fcntl.flock(observer, fcntl.LOCK_SH)  # as `is_locked` does, for a moment
        assert not directory.is_locked(tmp_path)
        check(tmp_path, small, ids(small))
        threading.Timer(0.2, lambda: fcntl.flock(observer, fcntl.LOCK_UN)).start()
        with driver_lock(tmp_path):
            assert directory.is_locked(tmp_path)


def test_the_same_study_and_a_grown_one_fit(tmp_path: Path, small: Study) -> None:
    plan_sweep(tmp_path, small).close()
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
        ("seeds: 2", "seeds: 1", "4 of its 8 trials are not planned by small, such as"),
        ("steps: 20", "steps: 40", "with other settings: steps is 40 now and was 20; go on "),
        (
            "[batch, group]",
            "[batch, layer]",
            "4 of its 8 trials are not planned by small, such as enc.*group",
        ),
        ("seeds: 2", "seeds: 2\ncollapse: {patience: 9}", "with another collapse rule"),
    ],
)
def test_another_study_is_refused(tmp_path: Path, small: Study, good: str, bad: str, message: str) -> None:
    plan_sweep(tmp_path, small).close()
    study = study_from_text(SMALL.replace(good, bad), "f")
    with pytest.raises(DirectoryError, match=message):
        check(tmp_path, study, ids(study))


@pytest.mark.parametrize(
    ("begun_with", "now", "message"),
    [
        (["lr=0.05"], [], "lr is 0.1 now and was 0.05; "),
        ([], ["view1.hue=0.2", "lr=0.05"], "lr is 0.05 now and was 0.1, view1.hue is 0.2 now and was 0.1; "),
        (
            ["dataset=cifar10", "steps=30"],
            ["preset=simsiam"],
            r"dataset is 'fashion-mnist-8k' now and was 'cifar10'(, \w+ is .* was .*){2}, and \d+ more",
        ),
    ],
)
def test_settings_that_differ_are_named_with_what_goes_on(
    tmp_path: Path, begun_with: list[str], now: list[str], message: str
) -> None:
    begun = study_from_text(SMALL, "f", begun_with)
    plan_sweep(tmp_path, begun).close()
    (tmp_path / files.STUDY).write_text(begun.to_yaml())
    changed = study_from_text(SMALL, "f", now)
    with pytest.raises(DirectoryError) as error:
        check(tmp_path, changed, ids(changed))
    assert re.search(f"holds small with other settings: {message}", str(error.value))
    assert str(error.value).endswith("the --set that it was begun with, or take another place for this one")
    check(tmp_path, load_study(tmp_path / files.STUDY), ids(begun))


def test_settings_that_differ_in_several_levels_are_all_named(tmp_path: Path) -> None:
    levels = "  speed:\n    slow: {lr: 0.1}\n    fast: {lr: 0.2}\n    faster: {lr: 0.4}\n"
    text = SMALL.replace("factors:\n", f"factors:\n{levels}")
    plan_sweep(tmp_path, study_from_text(text, "f")).close()
    changed = study_from_text(text.replace("0.2", "0.25").replace("0.4", "0.5"), "f")
    with pytest.raises(DirectoryError, match=r"lr is 0\.25 now and was 0\.2, lr is 0\.5 now and was 0\.4; "):
        check(tmp_path, changed, ids(changed))


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
    with pytest.raises(DirectoryError, match=r"ledger\.sqlite: is damaged: file is not a database"):
        check(tmp_path, small, ids(small))


def test_a_driver_that_died_before_it_planned_anything_does_not_block(tmp_path: Path, small: Study) -> None:
    with Ledger(tmp_path / "ledger.sqlite"):
        pass
    check(tmp_path, small, ids(small))
    (tmp_path / "ledger.sqlite").write_bytes(b"")
    assert not has_ledger(tmp_path)
    check(tmp_path, small, ids(small))
    # Another process may look before the driver has made its first table.
    with pytest.raises(DirectoryError, match=r"holds no sweep \(ledger\.sqlite holds no plan yet\)"):
        status(tmp_path)


def test_a_ledger_of_another_format_is_refused(tmp_path: Path, small: Study) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.set_fact("study", small.name)
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as file:
        file.execute("PRAGMA user_version = 1")
    with pytest.raises(DirectoryError, match=r"another version of this tool \(format 1, this one writes 3\)"):
        check(tmp_path, small, ids(small))
