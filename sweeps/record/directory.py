"""The directory of a sweep: which driver may write to it, and which studies it may hold."""

import fcntl
import json
import os
import platform
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from byol.errors import plural
from sweeps.errors import DirectoryError
from sweeps.files import CHECKPOINTS, JOURNAL, LEDGER, LOCK, MANIFEST, REPORT, STUDY
from sweeps.record import same_study
from sweeps.record.ledger import FROM_STORE, Ledger
from sweeps.record.rows import SAMPLE
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
        same_study.check(ledger, str(out), study, trial_ids)
        samples = sum(row.design == SAMPLE for row in ledger.trials())
    problem = journal_problem(out) if samples else ""
    if problem:
        raise DirectoryError(
            f"{out}: holds {plural(samples, 'sample')} of a search, but cannot go on: {problem}; an "
            "empty --out with the --storage of the sweep resumes from the copy there"
        )


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
