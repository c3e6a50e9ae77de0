"""Checks every file of a sweep against its digests and the ledger: what is damaged, and what restores it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from byol.files import ENCODER, PREVIOUS_STATE, STATE
from byol.tensor_file import CheckpointError, verified_header
from sweeps import files
from sweeps.errors import RequestError, StorageError, one_line
from sweeps.record import directory, result_digests, texts
from sweeps.record.ledger import Ledger
from sweeps.record.rows import SAMPLE, Fact, TrialRow
from sweeps.record.tables import write_tables
from sweeps.storage.checkpoints import ENCODER_AGAIN
from sweeps.storage.store import Store
from sweeps.temporary import temporary_folder

_FROM_STORE = "`run` with the --storage of the sweep and an empty --out resumes from the copy there"
_AGAIN = "remove it: the next `run` sends it again"
_FROM_REPORT = "`report {out}` writes it again"
_STATE = "nothing: the next `run` takes the state before it, or starts the trial again"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    """A file, or a kind of files."""
    problem: str = ""
    """What is wrong; empty if nothing is."""
    remedy: str = ""
    """What restores it."""
    outdated: bool = False
    """Whether the problem is its age alone: it is as it was written, and the ledger has gone on since."""


def verify(out: Path) -> Iterator[Check]:
    """Checks the sweep in `out`, and changes nothing. While a driver runs there, what it writes may be older.

    Raises:
        DirectoryError: `out` holds no sweep.
    """
    damage = _ledger_problem(out / files.LEDGER, out)
    yield Check(name=files.LEDGER, problem=damage, remedy=_FROM_STORE if damage else "")
    if damage:
        yield from _readable_tables(out)
        return
    at_work = directory.is_locked(out)
    with directory.open_ledger(out) as ledger:
        rows, facts = {row.trial_id: row for row in ledger.trials()}, ledger.facts()
        tables = [*_tables(ledger, out, at_work=at_work)]
    derived = [
        *tables,
        *(_derived(out, name, text, outdated=at_work) for name, text in texts.problems(facts, out).items()),
    ]
    yield from derived
    yield _results(out, sound=all(check.outdated or not check.problem for check in derived))
    if any(row.design == SAMPLE for row in rows.values()):
        problem = directory.journal_problem(out)
        yield Check(name=files.JOURNAL, problem=problem, remedy=_FROM_STORE if problem else "")
    yield from _checkpoints(out / files.CHECKPOINTS, rows)
    if Fact.STORAGE in facts:
        yield from _store(Store(facts[Fact.STORAGE]), rows)


def _ledger_problem(path: Path, out: Path, name: str | None = None) -> str:
    """Reads a whole ledger; what is wrong with it."""
    if not path.exists() and not (out / files.TRIALS).exists():
        directory.open_ledger(out)  # says that there is no sweep
    try:
        with directory.open_ledger(path.parent, name=name, remedy="") as ledger:
            ledger.check_rows()
    except RequestError as error:
        return one_line(error).rstrip(" .")
    return ""


def _derived(out: Path, name: str, problem: str, *, outdated: bool) -> Check:
    """A check of what is made from the ledger."""
    remedy = _FROM_REPORT.format(out=out) if problem else ""
    return Check(name=name, problem=problem, remedy=remedy, outdated=bool(problem) and outdated)


def _tables(ledger: Ledger, out: Path, *, at_work: bool) -> Iterator[Check]:
    """Compares the tables with those that the ledger makes."""
    written = [
        *result_digests.written_tables(ledger.facts().get(Fact.TABLES)),
        result_digests.recorded(out),
    ]
    now = result_digests.of_tables(out)
    with temporary_folder("tables") as folder:
        write_tables(ledger, folder)
        current = result_digests.of_tables(folder)
    for table in result_digests.TABLES:
        problem, outdated = _table_problem(out / table), False
        if not problem and now.get(table) != current[table]:  # a driver may just have made it
            problem = f"{out / table}: is not what {files.LEDGER} says now"
            outdated = at_work or any(now.get(table) == digests.get(table) for digests in written)
        yield _derived(out, table, problem, outdated=outdated)


def _readable_tables(out: Path) -> Iterator[Check]:
    """Without a ledger, the tables are all there is."""
    for table in result_digests.TABLES:
        problem = _table_problem(out / table)
        yield Check(name=table, problem=problem, remedy=_FROM_STORE if problem else "")


def _table_problem(path: Path) -> str:
    try:
        pq.read_table(path, page_checksum_verification=True)
    except FileNotFoundError:
        return f"{path}: is missing"
    except (OSError, pa.ArrowException, MemoryError) as error:
        return f"{path}: cannot be read: {one_line(error)}"
    return ""


def _results(out: Path, *, sound: bool) -> Check:
    """Whether report, findings and effects are as they were written, from the tables beside them.

    Args:
        out: the sweep's directory.
        sound: whether nothing is wrong with study and tables but their age. Then results that are as they
            were written were made from earlier ones.
    """
    present = [name for name in result_digests.RESULTS if (out / name).exists()]
    changed = result_digests.changed(out)
    problem = ""
    if present and not (out / files.RESULT_DIGESTS).exists():
        problem = f"{out / files.RESULT_DIGESTS}: is missing, so that {', '.join(present)} cannot be checked"
    elif changed and (present or (out / files.RESULT_DIGESTS).exists()):
        problem = f"{out}: not as {files.RESULT_DIGESTS} says: {', '.join(changed)}"
    as_written = bool(changed) and not set(changed) & set(result_digests.RESULTS)
    return _derived(out, files.REPORT, problem, outdated=sound and as_written)


def _checkpoints(folder: Path, rows: dict[str, TrialRow]) -> Iterator[Check]:
    for trial in sorted(folder.iterdir() if folder.is_dir() else ()):
        if trial.name not in rows:
            yield Check(name=trial.name, problem=f"{trial}: is of no trial of this sweep", remedy="remove it")
            continue
        for name in (STATE, PREVIOUS_STATE, ENCODER):
            if (trial / name).exists():
                problem = _checkpoint_problem(trial / name, str(trial / name), trial.name)
                remedy = ENCODER_AGAIN if name == ENCODER else _STATE
                yield Check(
                    name=f"{files.CHECKPOINTS}/{trial.name}/{name}",
                    problem=problem,
                    remedy=remedy if problem else "",
                )


def _checkpoint_problem(content: Path | bytes, name: str, trial: str) -> str:
    try:
        verified_header(content, name, trial=trial)
    except (CheckpointError, OSError) as error:
        return one_line(error)
    return ""


def _store(store: Store, rows: dict[str, TrialRow]) -> Iterator[Check]:
    """Checks the copy of the ledger and the encoders in the store."""
    name = f"{store}/{files.LEDGER}"
    try:
        with temporary_folder("verify") as folder:
            copy = folder / files.LEDGER
            found = store.download(files.LEDGER, copy)
            problem = _ledger_problem(copy, copy.parent, name) if found else f"{name}: is missing"
            yield Check(name=name, problem=problem, remedy=_AGAIN if problem else "")
        for trial_id in rows:
            place = f"{files.CHECKPOINTS}/{trial_id}/{ENCODER}"
            content = store.read(place)
            if content is not None:
                problem = _checkpoint_problem(content, f"{store}/{place}", trial_id)
                yield Check(name=f"{store}/{place}", problem=problem, remedy=ENCODER_AGAIN if problem else "")
    except StorageError as error:
        yield Check(name=str(store), problem=one_line(error), remedy="try again when it can be reached")
