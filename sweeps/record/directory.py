"""The directory of a sweep: which driver may write to it, and which studies it may hold."""

import dataclasses
import fcntl
import json
import os
import platform
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from byol.own_parts import OtherPartError, check_source, named_parts
from sweeps.errors import DirectoryError
from sweeps.files import CHECKPOINTS, JOURNAL, LEDGER, LOCK, MANIFEST, REPORT, STUDY
from sweeps.record.ledger import FROM_STORE, Ledger
from sweeps.record.rows import SAMPLE, Fact, TrialRow
from sweeps.record.schema import FORMAT
from sweeps.study import Study

_OBSERVED_S = 1.0
"""How long a driver tries to lock its directory: whoever looks whether it is locked locks it for a moment."""


def check(out: Path, study: Study, trial_ids: set[str]) -> None:
    """Checks that `out` is free, or holds a sweep that `study` extends. Changes nothing.

    A study extends another of the same name if it has the same collapse rule and plans all of its
    trials: more levels, factors, cells or seeds are fine. A search may only grow in samples and seeds, and
    the least and most seeds of a sequence stay.

    Raises:
        DirectoryError: neither is the case, or `out` is locked or cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise DirectoryError(f"{out}: must be a directory, but is a file")
    existing = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    if not os.access(existing, os.W_OK):
        raise DirectoryError(f"{out}: cannot be written: no permission to write to {existing}")
    _refuse_if_locked(out)
    if not has_ledger(out):
        foreign = [name for name in (STUDY, MANIFEST, REPORT, CHECKPOINTS) if (out / name).exists()]
        if foreign:
            lost = f"a {LEDGER} that holds no plan" if (out / LEDGER).exists() else f"no {LEDGER}"
            raise DirectoryError(
                f"{out}: must be empty or hold a sweep, but has {foreign[0]} and {lost}; if that was lost, "
                "an empty --out with the --storage of the sweep resumes from there"
            )
        return
    with open_ledger(out) as ledger:
        check_study(ledger, str(out), study, trial_ids)
        samples = sum(row.design == SAMPLE for row in ledger.trials())
    problem = journal_problem(out) if samples else ""
    if problem:
        raise DirectoryError(
            f"{out}: holds {samples} samples of a search, but cannot go on: {problem}; an empty --out with "
            "the --storage of the sweep resumes from the copy there"
        )


def check_study(ledger: Ledger, place: str, study: Study, trial_ids: set[str]) -> None:
    """Checks that the ledger at `place` is of a sweep that `study` extends, as `check` defines it.

    Raises:
        DirectoryError: it is not.
    """
    facts, rows = ledger.facts(), ledger.trials()
    if facts[Fact.STUDY] != study.name:
        raise DirectoryError(f'{place}: holds the study "{facts[Fact.STUDY]}", not "{study.name}"')
    if facts[Fact.COLLAPSE] != rule_text(study):
        raise DirectoryError(
            f"{place}: holds {study.name} with another collapse rule: {facts[Fact.COLLAPSE]}"
        )
    _check_same_search(place, study, facts.get(Fact.SEARCH, ""))
    _check_same_sequence(place, study, facts.get(Fact.SEQUENCE, ""))
    if study.search:
        for row in rows:
            _refuse_changed_parts(place, row)
        _check_search(place, study, rows)
        return
    unplanned = [row for row in rows if row.trial_id not in trial_ids]
    if unplanned:
        _refuse_changed_parts(place, unplanned[0])
        labels = ", ".join(f"{key}={value}" for key, value in unplanned[0].labels.items())
        raise DirectoryError(
            f"{place}: holds another study: {len(unplanned)} of its {len(rows)} trials are not planned by "
            f"{study.name}, such as {labels}, seed {unplanned[0].seed}"
        )


def _refuse_changed_parts(place: str, row: TrialRow) -> None:
    """Says so where the source of a part of the user's own has changed since a trial was planned."""
    for key, name, code in named_parts(row.settings):
        try:
            check_source(key, name, code)
        except OtherPartError as error:
            raise DirectoryError(
                f"{place}: the source of its trials' {key} has changed ({error}): with another they are "
                "other trials, which need another directory"
            ) from None


def _check_same_search(place: str, study: Study, recorded: str) -> None:
    requested = search_text(study)
    if requested == recorded:
        return
    old, new = json.loads(recorded or "{}"), json.loads(requested or "{}")
    changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    difference = ", ".join(changed) if old and new else f"it was {'a search' if old else 'a design'}"
    raise DirectoryError(
        f"{place}: holds {study.name} with another search: only its trials and seeds may grow "
        f"(differs: {difference})"
    )


def _check_same_sequence(place: str, study: Study, recorded: str) -> None:
    """A sequence that is begun must go on as planned: its looks share one error rate."""
    if recorded and recorded != sequence_text(study):
        planned = json.loads(recorded)
        raise DirectoryError(
            f"{place}: holds {study.name} with seeds: {{min: {planned['least']}, max: {planned['most']}, "
            "until: decided}, which must not change: their error rate holds for the looks that were planned"
        )


def _check_search(place: str, study: Study, rows: Sequence[TrialRow]) -> None:
    assert study.search
    samples = [row for row in rows if row.design == SAMPLE]
    if len(samples) > study.search.trials:
        raise DirectoryError(
            f"{place}: search.trials: must be at least the {len(samples)} samples that it holds, "
            f"but got {study.search.trials}"
        )
    seeds = {row.seed for row in rows if row.design != SAMPLE} - set(study.seeds)
    if seeds:
        raise DirectoryError(
            f"{place}: holds another study: its winner ran with seeds that {study.name} does not name, "
            f"such as {min(seeds)}"
        )


def search_text(study: Study) -> str:
    """Returns the parts of a search that must not change, as JSON; empty for a design."""
    return study.search.text(study.reference) if study.search else ""


def sequence_text(study: Study) -> str:
    """Returns the study's sequence of seeds as JSON; empty where their number is fixed."""
    return json.dumps(dataclasses.asdict(study.sequence)) if study.sequence else ""


def rule_text(study: Study) -> str:
    """Returns the study's collapse rule as JSON."""
    return json.dumps(dataclasses.asdict(study.collapse), sort_keys=True)


def journal_problem(out: Path) -> str:
    """What is wrong with the journal of the search in `out`, as one line; empty if nothing is seen to be.

    A last line without an end is not: its driver died while it wrote it.
    """
    path = out / JOURNAL
    if not path.exists():
        return f"no {JOURNAL}"
    lines = path.read_bytes().splitlines(keepends=True)
    if not lines:
        return f"{path}: is empty"
    for number, line in enumerate(lines, 1):
        try:
            whole = isinstance(json.loads(line), dict)
        except ValueError:
            whole = not line.endswith(b"\n") and number == len(lines)
        if not whole:
            return f"{path}: is damaged: line {number}"
    return ""


def has_ledger(out: Path) -> bool:
    """Returns whether `out` holds a ledger with a plan. A driver may have died before it planned anything."""
    if not (out / LEDGER).exists():
        return False
    try:
        with Ledger(out / LEDGER, read_only=True) as ledger:
            return _has_plan(ledger)
    except sqlite3.Error:
        return True  # open_ledger says what is wrong


def _has_plan(ledger: Ledger) -> bool:
    try:
        return ledger.has_plan()
    except sqlite3.OperationalError as error:
        return "no such table" not in str(error)
    except (sqlite3.DatabaseError, UnicodeDecodeError):  # the latter in a message of SQLite
        return True  # damaged: open_ledger says what is wrong


def open_ledger(
    out: Path, *, name: str | None = None, remedy: str = FROM_STORE, tables: Sequence[str] = ()
) -> Ledger:
    """Opens the ledger in `out` read-only.

    Args:
        out: the directory.
        name: what errors call the file; None is its path.
        remedy: what restores it if it is damaged, a sentence.
        tables: those that will be read, whose structure is checked; empty is all of them.

    Raises:
        DirectoryError: there is none, it is damaged, or it has another format.
    """
    place = name or str(out / LEDGER)
    if not (out / LEDGER).exists():
        raise DirectoryError(
            f"{name}: holds no sweep. {remedy}" if name else f"{out}: holds no sweep (no {LEDGER})"
        )
    try:
        ledger = Ledger(out / LEDGER, read_only=True, name=place, remedy=remedy)
    except sqlite3.Error as error:
        raise DirectoryError(f"{place}: cannot be read: {error}") from None
    try:
        if not _has_plan(ledger):
            rule = f"{out}: holds no sweep ({LEDGER} holds no plan yet)"
            raise DirectoryError(f"{name}: holds no sweep. {remedy}" if name else rule)
        if ledger.format not in (None, FORMAT):
            raise DirectoryError(
                f"{place}: was written by another version of this tool (format {ledger.format}, "
                f"this one writes {FORMAT}): use that version, or start in a new directory"
            )
        ledger.check_structure(tables)
        ledger.facts()
    except BaseException:
        ledger.close()
        raise
    return ledger


@contextmanager
def driver_lock(out: Path) -> Iterator[None]:
    """Creates `out` if necessary and locks it for this driver. The lock ends with the driver's process.

    Raises:
        DirectoryError: another driver has locked it, or it cannot be created.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = os.open(out / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise DirectoryError(f"{out}: cannot be written: {error.strerror}") from None
    try:
        _lock_or_refuse(out, lock, fcntl.LOCK_EX, within_s=_OBSERVED_S)
        os.ftruncate(lock, 0)
        os.write(lock, f"process {os.getpid()} on {platform.node()}\n".encode())
        yield
    finally:
        os.close(lock)


def is_locked(out: Path) -> bool:
    """Whether a driver is at work in `out`."""
    try:
        _refuse_if_locked(out)
    except DirectoryError:
        return True
    return False


def _refuse_if_locked(out: Path) -> None:
    if (out / LOCK).exists():
        with (out / LOCK).open("rb") as lock:
            _lock_or_refuse(out, lock.fileno(), fcntl.LOCK_SH)  # released as the file closes


def _lock_or_refuse(out: Path, lock: int, kind: int, *, within_s: float = 0.0) -> None:
    until = time.monotonic() + within_s
    while True:
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                holder = os.read(lock, 200).decode(errors="replace").strip()
                raise DirectoryError(f"{out}: is in use by another driver ({holder})") from None
        time.sleep(_OBSERVED_S / 20)
