"""The durable record of a sweep: one SQLite file, written by the driver, one transaction per measurement.

Ray's own state is never read back, because it is neither atomic nor plain data. In WAL mode a committed row
survives the driver's SIGKILL, and readers never block the driver. Every start of a trial has an attempt
number, and rows of older attempts are refused. So a driver or worker that was given up for dead cannot write
into a trial that another one is running. Every row carries a checksum, which is compared whenever it is read.
"""

import contextlib
import errno
import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

from byol.config import Scalar
from sweeps.errors import DirectoryError
from sweeps.record import checksums
from sweeps.record.rows import (
    LAST_VALUES,
    METRICS,
    Ending,
    EndReason,
    Fact,
    Measurement,
    MetricsRow,
    TrialRow,
    TrialState,
    count_trials,
)
from sweeps.record.schema import ADDED, FORMAT, OWN, PAGE_BYTES, PROVENANCE, create_tables, signed_columns
from sweeps.study.designs import Trial

_PLANNED = "trial_id, design, cell_id, seed, labels, settings, steps_planned"
_METRICS_COLUMNS = ", ".join(f'"{name}"' for name in (*METRICS, OWN))
FROM_STORE = (
    "Its copy in the sweep's store, if there is one, replaces it: `run` with the same --storage and an empty "
    "--out resumes from there"
)
"""What restores a damaged ledger in a sweep's directory."""


class Ledger:
    """The ledger of one sweep. One process writes; any number may read."""

    def __init__(
        self, path: Path, *, read_only: bool = False, name: str | None = None, remedy: str = FROM_STORE
    ) -> None:
        """Opens the file at `path`. Unless `read_only`, creates the file and its tables if necessary.

        Errors call the file `name`, which is None for its path, and end with the remedy.
        """
        self._name, self._remedy = name or str(path), remedy
        mode = "ro" if read_only else "rwc"
        self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None)
        self._path, self._inode = path, path.stat().st_ino
        self._db.row_factory = sqlite3.Row
        self._db.text_factory = _text
        self._db.create_function("checksum", -1, checksums.checksum, deterministic=True)
        self._signatures: dict[str, str] = {}
        """Table -> the expression of its rows' checksum."""
        if not read_only:
            self._db.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # of a new file; others keep theirs
            self._db.execute("PRAGMA journal_mode = WAL")
            # A commit reaches the operating system, not the disk: it survives any death of the process.
            self._db.execute("PRAGMA synchronous = NORMAL")
            with self.transaction():
                if not self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    self._db.execute(f"PRAGMA user_version = {FORMAT}")
                unsigned = create_tables(self._db)
                for table in ADDED:
                    values = ", ".join(f'"{column}"' for column in signed_columns(self._db, table))
                    self._signatures[table] = f"checksum({values})"
                for table in unsigned:
                    self._sign(table)

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def format(self) -> int | None:
        """The format of the file's tables; None if it cannot be read."""
        try:
            return int(self._db.execute("PRAGMA user_version").fetchone()[0])
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            return None

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def check_structure(self, tables: Sequence[str] = ()) -> None:
        """Checks the structure of some tables, or of the whole file; the rows are checked as they are read.

        Raises:
            DirectoryError: it is damaged.
        """
        with contextlib.closing(sqlite3.connect(":memory:")) as model:
            create_tables(model)
            expected = {table: checksums.columns(model, table) for table in tables or ADDED}
        checks = [f"integrity_check('{table}')" for table in tables] or ["integrity_check(1)"]
        problem = checksums.structure_problem(self._db, expected, optional=ADDED, checks=checks)
        if problem:
            raise self._damaged(problem)

    def check_rows(self) -> None:
        """Reads everything.

        Raises:
            DirectoryError: a row is damaged.
        """
        self.trials()
        self.facts()
        for rows in (self.metrics(), self.spectra()):
            for _ in rows:
                pass

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written within becomes durable at once, or not at all. May be nested.

        Raises:
            OSError: the file is gone. SQLite would go on to write to what nobody can open any more.
        """
        if self._db.in_transaction:
            yield
            return
        if self._path.stat().st_ino != self._inode:
            raise FileNotFoundError(errno.ENOENT, "was replaced by another file", str(self._path))
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # a full disk may have ended it
                self._db.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def as_of_now(self) -> Iterator[None]:
        """All that is read within is as of one moment, whatever a driver writes meanwhile."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            if self._db.in_transaction:  # a full disk may have ended it
                self._db.execute("ROLLBACK")

    def version(self) -> int:
        """A number that changes whenever others have written, and never by what is written through this."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def stop_reading(self) -> None:
        """Ends what another thread reads at this moment, which then raises sqlite3.OperationalError."""
        self._db.interrupt()

    def plan(self, trials: Iterable[tuple[Trial, int]], *, design: str = "") -> None:
        """Enters trials with their planned steps, in the order in which they run. Keeps existing results."""
        rows = [
            (position, *_planned_columns(trial, steps, design))
            for position, (trial, steps) in enumerate(trials)
        ]
        with self.transaction():
            self._db.executemany(
                f"INSERT INTO trials (position, {_PLANNED}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (trial_id) DO UPDATE SET position = excluded.position, "
                "labels = excluded.labels, design = excluded.design",
                rows,
            )
            self._sign("trials")

    def add(self, trial: Trial, steps: int, *, design: str) -> None:
        """Enters one more trial, after all others, unless the ledger has it."""
        with self.transaction():
            self._db.execute(
                f"INSERT INTO trials (position, {_PLANNED}) "
                "SELECT COALESCE(MAX(position) + 1, 0), ?, ?, ?, ?, ?, ?, ? FROM trials WHERE true "
                "ON CONFLICT (trial_id) DO NOTHING",
                _planned_columns(trial, steps, design),
            )
            self._sign("trials", "trial_id = ?", trial.trial_id)

    def start(self, trial_id: str) -> int:
        """Marks a trial as running; returns the number of this attempt, from 1. Earlier ones are refused."""
        with self.transaction():
            row = self._db.execute(
                "UPDATE trials SET state = 'RUNNING', attempt = attempt + 1, end_reason = NULL, "
                "error = NULL, traceback = NULL, collapsed = NULL, projection_collapsed = NULL, "
                "dimensional_collapse = NULL, onset_step = NULL, "
                "seconds_before = coalesce(wall_seconds, 0) WHERE trial_id = ? RETURNING attempt",
                (trial_id,),
            ).fetchone()
            self._sign("trials", "trial_id = ?", trial_id)
        return int(row["attempt"])

    def append(self, trial_id: str, attempt: int, measurement: Measurement) -> bool:
        """Records a measurement durably. Returns False if `attempt` is not the running one.

        Replaces the row of this step from an earlier attempt, and drops all later rows.
        """
        step = measurement.step
        changes = ", ".join(f'"{name}" = ?' for name in ("steps_run", *LAST_VALUES, *PROVENANCE))
        last = [_stored(getattr(measurement, name)) for name in LAST_VALUES]
        origin = [getattr(measurement, name) for name in PROVENANCE]
        values = [step, *last, *origin, measurement.wall_seconds, trial_id, attempt]
        with self.transaction():
            running = self._db.execute(
                f"UPDATE trials SET {changes}, wall_seconds = seconds_before + ? "
                "WHERE trial_id = ? AND attempt = ? AND state = 'RUNNING' RETURNING number",
                values,
            ).fetchone()
            if running is None:
                return False
            number = running["number"]
            for table in ("metrics", "spectra"):
                self._db.execute(f"DELETE FROM {table} WHERE number = ? AND step >= ?", (number, step))
            marks = ", ".join("?" * (2 + len(METRICS)))
            own = json.dumps(dict(measurement.own)) if measurement.own else None
            metrics = (number, *(_stored(getattr(measurement, name)) for name in METRICS), own)
            self._db.execute(f"INSERT INTO metrics (number, {_METRICS_COLUMNS}) VALUES ({marks})", metrics)
            self._db.executemany(
                "INSERT INTO spectra (number, step, level, eigenvalues) VALUES (?, ?, ?, ?)",
                [(number, step, level, eigenvalues) for level, eigenvalues in measurement.spectra.items()],
            )
            self._sign("trials", "number = ?", number)
            for table in ("metrics", "spectra"):
                self._sign(table, "number = ? AND step = ?", number, step)
        return True

    def end(self, trial_id: str, attempt: int, ending: Ending) -> bool:
        """Records how a trial ended. Returns False if `attempt` is not the running one."""
        with self.transaction():
            changed = self._db.execute(
                "UPDATE trials SET state = ?, end_reason = ?, collapsed = ?, projection_collapsed = ?, "
                "dimensional_collapse = ?, onset_step = ?, error = ?, traceback = ? "
                "WHERE trial_id = ? AND attempt = ? AND state = 'RUNNING'",
                (
                    ending.state,
                    ending.end_reason,
                    ending.collapsed,
                    ending.projection_collapsed,
                    ending.dimensional_collapse,
                    ending.onset_step,
                    ending.error,
                    ending.traceback,
                    trial_id,
                    attempt,
                ),
            )
            self._sign("trials", "trial_id = ?", trial_id)
        return changed.rowcount == 1

    def set_data_digest(self, trial_id: str, digest: str) -> None:
        """Enters on which data a trial ran."""
        with self.transaction():
            self._db.execute("UPDATE trials SET data_digest = ? WHERE trial_id = ?", (digest, trial_id))
            self._sign("trials", "trial_id = ?", trial_id)

    def interrupt(self) -> None:
        """Marks running trials as interrupted. Only for the driver that holds the directory's lock."""
        with self.transaction():
            self._db.execute(
                "UPDATE trials SET state = 'FAIL', end_reason = 'interrupted' WHERE state = 'RUNNING'"
            )
            self._sign("trials", "end_reason = 'interrupted'")

    def pending(self, *, retry_failed: bool) -> list[str]:
        """Returns the ids of the trials to run, in order: waiting or interrupted, and on request failed."""
        reasons = [EndReason.INTERRUPTED, *([EndReason.ERROR] if retry_failed else [])]
        rows = self._db.execute(
            "SELECT trial_id FROM trials WHERE state = 'WAITING' "
            f"OR end_reason IN ({', '.join('?' * len(reasons))}) ORDER BY position",
            reasons,
        )
        return [row["trial_id"] for row in rows]

    def rows(self, trial_id: str) -> list[MetricsRow]:
        """Returns the measurements of one trial in order of step."""
        query = "SELECT m.* FROM metrics m JOIN trials t USING (number) WHERE t.trial_id = ? ORDER BY m.step"
        return [_metrics_row(row) for row in self._read(query, "metrics", trial_id)]

    def trial(self, trial_id: str) -> TrialRow | None:
        """Returns one trial; None if it is not planned."""
        rows = self._read("SELECT * FROM trials WHERE trial_id = ?", "trials", trial_id)
        return next(map(_trial_row, rows), None)

    def trials(self) -> list[TrialRow]:
        """Returns all planned trials, in the order in which they run."""
        return [_trial_row(row) for row in self._read("SELECT * FROM trials ORDER BY position", "trials")]

    def metrics(self) -> Iterator[tuple[int | float | None, ...]]:
        """Yields all measurements in order: the trial's number, then the columns of METRICS."""
        # A left join: a damaged number, which is no trial's, is found and not left out.
        query = "SELECT m.* FROM metrics m LEFT JOIN trials t USING (number) ORDER BY t.position, m.step"
        present = self._present("metrics")
        for row in self._read(query, "metrics"):
            yield row["number"], *(_number(row[name]) if name in present else None for name in METRICS)

    def own_metrics(self) -> Iterator[tuple[int, int, dict[str, float]]]:
        """Yields metrics of the user's own in the order of `metrics`: the trial's number, step, values."""
        query = "SELECT m.* FROM metrics m JOIN trials t USING (number) {} ORDER BY t.position, m.step"
        if OWN in self._present("metrics"):
            for row in self._read(query.format(f"WHERE m.{OWN} IS NOT NULL"), "metrics"):
                yield row["number"], int(row["step"]), dict(json.loads(row[OWN]))

    def spectra(self) -> Iterator[tuple[int, int, str, bytes]]:
        """Yields all spectra in order: the trial's number, step, level, eigenvalues as float32."""
        query = (
            "SELECT s.* FROM spectra s LEFT JOIN trials t USING (number) ORDER BY t.position, s.step, s.level"
        )
        for row in self._read(query, "spectra"):
            yield row["number"], int(row["step"]), row["level"], row["eigenvalues"]

    def last_spectra(self, level: str) -> dict[int, bytes]:
        """The eigenvalues of one level at each trial's last measurement, by the trial's number."""
        query = (
            "SELECT s.* FROM spectra s JOIN trials t "
            "ON s.number = t.number AND s.step = t.steps_run WHERE s.level = ?"
        )
        return {row["number"]: row["eigenvalues"] for row in self._read(query, "spectra", level)}

    def first_accuracies(self) -> dict[int, float]:
        """The kNN accuracy of each trial's untrained encoder, by the trial's number."""
        query = "SELECT * FROM metrics WHERE step = 0 AND knn_accuracy IS NOT NULL"
        return {row["number"]: float(row["knn_accuracy"]) for row in self._read(query, "metrics")}

    def has_plan(self) -> bool:
        """Whether a driver has entered a sweep. Checks nothing."""
        query = "SELECT count(*) FROM facts WHERE key = ?"
        return bool(self._db.execute(query, (Fact.STUDY,)).fetchone()[0])

    def facts(self) -> dict[str, str]:
        """Returns the facts about the sweep as a whole: keys of Fact, and each data set's digest."""
        return {row["key"]: row["value"] for row in self._read("SELECT * FROM facts", "facts")}

    def set_fact(self, key: str, value: str) -> None:
        """Records a fact about the sweep as a whole, replacing its earlier value."""
        with self.transaction():
            self._db.execute("INSERT OR REPLACE INTO facts (key, value) VALUES (?, ?)", (key, value))
            self._sign("facts", "key = ?", key)

    def counts(self) -> dict[str, int]:
        """Counts the trials as `count_trials` does, including those that a search has yet to draw."""
        return count_trials(self.trials(), planned=int(self.facts().get(Fact.PLANNED, 0)))

    def _present(self, table: str) -> set[str]:
        """The columns that the file has; the writer of a read-only one has not added those that are new."""
        return set(checksums.columns(self._db, table))

    def _sign(self, table: str, where: str = "true", *values: Scalar) -> None:
        """Brings the checksums of rows up to date."""
        change = f"{checksums.COLUMN} = {self._signatures[table]}"
        self._db.execute(f"UPDATE {table} SET {change} WHERE {where}", values)

    def _read(self, query: str, table: str, *values: Scalar) -> Iterator[sqlite3.Row]:
        """Yields whole rows of a table, each checked against its checksum.

        Raises:
            DirectoryError: a row is damaged.
        """
        try:
            for row in self._db.execute(query, values):
                if checksums.COLUMN in row.keys() and not checksums.is_sound(row):  # noqa: SIM118
                    raise self._damaged(f"a row of {table} is not as it was written")
                yield row
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter in a column's name
            if isinstance(error, sqlite3.OperationalError | sqlite3.ProgrammingError):
                raise  # busy, closed, not a ledger: not the file's content
            raise self._damaged(str(error)) from None

    def _damaged(self, problem: str) -> DirectoryError:
        return DirectoryError(f"{self._name}: is damaged: {' '.join(problem.split())}. {self._remedy}")


def _text(stored: bytes) -> str:
    return stored.decode(errors="replace")  # a damaged text is found by its row's checksum


def _planned_columns(trial: Trial, steps: int, design: str) -> tuple[Scalar, ...]:
    """Returns the values of the columns _PLANNED."""
    labels, settings = json.dumps(trial.labels), json.dumps(trial.settings)
    return trial.trial_id, design, trial.cell_id, trial.seed, labels, settings, steps


def _stored(value: Scalar | None) -> Scalar | None:
    # SQLite has no NaN and would store null, which means "not measured".
    return "nan" if isinstance(value, float) and math.isnan(value) else value


def _number(value: float | str | None) -> float | None:
    return None if value is None else float(value)  # "nan" included


def _metrics_row(row: sqlite3.Row) -> MetricsRow:
    present = set(row.keys())
    values = {name: _number(row[name]) for name in METRICS if name != "step" and name in present}
    return MetricsRow(step=int(row["step"]), **values)


def _trial_row(row: sqlite3.Row) -> TrialRow:
    columns = dict(row)
    columns.pop(checksums.COLUMN, None)
    for name in ("collapsed", "projection_collapsed", "dimensional_collapse", "clean"):
        value = columns.get(name)
        columns[name] = None if value is None else bool(value)
    for name in columns.keys() & set(LAST_VALUES):
        columns[name] = _number(columns[name])
    state, reason = columns.pop("state"), columns.pop("end_reason")
    return TrialRow(
        state=TrialState(state),
        end_reason=None if reason is None else EndReason(reason),
        labels_json=columns.pop("labels"),
        settings_json=columns.pop("settings"),
        **columns,
    )
