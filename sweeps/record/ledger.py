"""The durable record of a sweep: one SQLite file, written by the driver, one transaction per measurement.

Ray's own state is never read back, because it is neither atomic nor plain data. In WAL mode a committed row
survives the driver's SIGKILL, and readers never block the driver. Every start of a trial has an attempt
number, and rows of older attempts are refused. So a driver or worker that was given up for dead cannot write
into a trial that another one is running.
"""

import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

from byol.config import Scalar
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
)
from sweeps.study.designs import Trial

FORMAT = 3
"""Version of the tables below; a ledger of another format is refused."""

_PROVENANCE = {"device": "TEXT", "commit": "TEXT", "clean": "INTEGER", "versions": "TEXT"}
"""Columns of trials that say where the last measurement was made."""
_TRIALS = f"""
CREATE TABLE IF NOT EXISTS trials (
    number INTEGER PRIMARY KEY,
    trial_id TEXT UNIQUE NOT NULL,
    position INTEGER NOT NULL,
    design TEXT NOT NULL,
    cell_id TEXT NOT NULL,
    seed INTEGER NOT NULL,
    labels TEXT NOT NULL,
    settings TEXT NOT NULL,
    steps_planned INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'WAITING',
    attempt INTEGER NOT NULL DEFAULT 0,
    end_reason TEXT,
    collapsed INTEGER,
    projection_collapsed INTEGER,
    dimensional_collapse INTEGER,
    onset_step INTEGER,
    steps_run INTEGER NOT NULL DEFAULT 0,
    {", ".join(f"{name} REAL" for name in LAST_VALUES)},
    wall_seconds REAL,
    seconds_before REAL NOT NULL DEFAULT 0,
    {", ".join(f'"{name}" {kind}' for name, kind in _PROVENANCE.items())},
    error TEXT,
    traceback TEXT
)"""
_PLANNED = "trial_id, design, cell_id, seed, labels, settings, steps_planned"
_METRICS = f"""
CREATE TABLE IF NOT EXISTS metrics (
    number INTEGER NOT NULL, {", ".join(f"{name} REAL" for name in METRICS)}, PRIMARY KEY (number, step)
) WITHOUT ROWID"""
_SPECTRA = """
CREATE TABLE IF NOT EXISTS spectra (
    number INTEGER NOT NULL, step REAL NOT NULL, level TEXT NOT NULL, eigenvalues BLOB NOT NULL,
    PRIMARY KEY (number, step, level)
) WITHOUT ROWID"""
_COLUMNS = {
    "trials": {**dict.fromkeys(LAST_VALUES, "REAL"), **_PROVENANCE},
    "metrics": dict.fromkeys(METRICS, "REAL"),
}
"""Columns that a ledger of this format may lack, for some were added later: they are null there."""
_FACTS = "CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"


class Ledger:
    """The ledger of one sweep. One process writes; any number may read."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Opens the file at `path`. Unless `read_only`, creates the file and its tables if necessary."""
        mode = "ro" if read_only else "rwc"
        self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        if not read_only:
            self._db.execute("PRAGMA journal_mode = WAL")
            # A commit reaches the operating system, not the disk: it survives any death of the process.
            self._db.execute("PRAGMA synchronous = NORMAL")
            with self._transaction():
                new = not self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
                for table in (_TRIALS, _METRICS, _SPECTRA, _FACTS):
                    self._db.execute(table)
                for table, columns in _COLUMNS.items():
                    for name in columns.keys() - self._present(table):
                        self._db.execute(f'ALTER TABLE {table} ADD COLUMN "{name}" {columns[name]}')
                if new:
                    self._db.execute(f"PRAGMA user_version = {FORMAT}")

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def format(self) -> int:
        """The format of the file's tables."""
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def plan(self, trials: Iterable[tuple[Trial, int]], *, design: str = "") -> None:
        """Enters trials with their planned steps, in the order in which they run. Keeps existing results."""
        rows = [
            (position, *_planned_columns(trial, steps, design))
            for position, (trial, steps) in enumerate(trials)
        ]
        with self._transaction():
            self._db.executemany(
                f"INSERT INTO trials (position, {_PLANNED}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (trial_id) DO UPDATE SET position = excluded.position, "
                "labels = excluded.labels, design = excluded.design",
                rows,
            )

    def add(self, trial: Trial, steps: int, *, design: str) -> None:
        """Enters one more trial, after all others, unless the ledger has it."""
        self._db.execute(
            f"INSERT INTO trials (position, {_PLANNED}) "
            "SELECT COALESCE(MAX(position) + 1, 0), ?, ?, ?, ?, ?, ?, ? FROM trials WHERE true "
            "ON CONFLICT (trial_id) DO NOTHING",
            _planned_columns(trial, steps, design),
        )

    def start(self, trial_id: str) -> int:
        """Marks a trial as running; returns the number of this attempt, from 1. Earlier ones are refused."""
        row = self._db.execute(
            "UPDATE trials SET state = 'RUNNING', attempt = attempt + 1, end_reason = NULL, error = NULL, "
            "traceback = NULL, collapsed = NULL, projection_collapsed = NULL, dimensional_collapse = NULL, "
            "onset_step = NULL, seconds_before = coalesce(wall_seconds, 0) "
            "WHERE trial_id = ? RETURNING attempt",
            (trial_id,),
        ).fetchone()
        return int(row["attempt"])

    def append(self, trial_id: str, attempt: int, measurement: Measurement) -> bool:
        """Records a measurement durably. Returns False if `attempt` is not the running one.

        Replaces the row of this step from an earlier attempt, and drops all later rows.
        """
        step = measurement.step
        changes = ", ".join(f'"{name}" = ?' for name in ("steps_run", *LAST_VALUES, *_PROVENANCE))
        last = [_stored(getattr(measurement, name)) for name in LAST_VALUES]
        origin = [getattr(measurement, name) for name in _PROVENANCE]
        values = [step, *last, *origin, measurement.wall_seconds, trial_id, attempt]
        with self._transaction():
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
            marks = ", ".join("?" * (1 + len(METRICS)))
            metrics = (number, *(_stored(getattr(measurement, name)) for name in METRICS))
            names = ", ".join(f'"{name}"' for name in METRICS)
            self._db.execute(f"INSERT INTO metrics (number, {names}) VALUES ({marks})", metrics)
            self._db.executemany(
                "INSERT INTO spectra VALUES (?, ?, ?, ?)",
                [(number, step, level, eigenvalues) for level, eigenvalues in measurement.spectra.items()],
            )
        return True

    def end(self, trial_id: str, attempt: int, ending: Ending) -> bool:
        """Records how a trial ended. Returns False if `attempt` is not the running one."""
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
        return changed.rowcount == 1

    def interrupt(self) -> None:
        """Marks running trials as interrupted. Only for the driver that holds the directory's lock."""
        self._db.execute(
            "UPDATE trials SET state = 'FAIL', end_reason = 'interrupted' WHERE state = 'RUNNING'"
        )

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
        return [_metrics_row(row) for row in self._db.execute(query, (trial_id,))]

    def trial(self, trial_id: str) -> TrialRow | None:
        """Returns one trial; None if it is not planned."""
        row = self._db.execute("SELECT * FROM trials WHERE trial_id = ?", (trial_id,)).fetchone()
        return None if row is None else _trial_row(row)

    def trials(self) -> list[TrialRow]:
        """Returns all planned trials, in the order in which they run."""
        return [_trial_row(row) for row in self._db.execute("SELECT * FROM trials ORDER BY position")]

    def metrics(self) -> Iterator[tuple[int | float | None, ...]]:
        """Yields all measurements in order: the trial's number, then the columns of METRICS."""
        present = self._present("metrics")
        columns = ", ".join(f'm."{name}"' if name in present else f'NULL AS "{name}"' for name in METRICS)
        query = f"SELECT m.number, {columns} FROM metrics m JOIN trials t USING (number)"
        for row in self._db.execute(f"{query} ORDER BY t.position, m.step"):
            number, *values = row
            yield number, *map(_read, values)

    def spectra(self) -> Iterator[tuple[int, int, str, bytes]]:
        """Yields all spectra in order: the trial's number, step, level, eigenvalues as float32."""
        query = "SELECT s.* FROM spectra s JOIN trials t USING (number) ORDER BY t.position, s.step, s.level"
        for row in self._db.execute(query):
            yield row["number"], int(row["step"]), row["level"], row["eigenvalues"]

    def last_spectra(self, level: str) -> dict[int, bytes]:
        """The eigenvalues of one level at each trial's last measurement, by the trial's number."""
        query = (
            "SELECT s.number, s.eigenvalues FROM spectra s JOIN trials t "
            "ON s.number = t.number AND s.step = t.steps_run WHERE s.level = ?"
        )
        return {row["number"]: row["eigenvalues"] for row in self._db.execute(query, (level,))}

    def first_accuracies(self) -> dict[int, float]:
        """The kNN accuracy of each trial's untrained encoder, by the trial's number."""
        query = "SELECT number, knn_accuracy FROM metrics WHERE step = 0 AND knn_accuracy IS NOT NULL"
        return {row["number"]: float(row["knn_accuracy"]) for row in self._db.execute(query)}

    def facts(self) -> dict[str, str]:
        """Returns the facts about the sweep as a whole: keys of Fact, and each data set's digest."""
        return {row["key"]: row["value"] for row in self._db.execute("SELECT key, value FROM facts")}

    def set_fact(self, key: str, value: str) -> None:
        """Records a fact about the sweep as a whole, replacing its earlier value."""
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (key, value))

    def counts(self) -> dict[str, int]:
        """Counts the trials as `count_trials` does, including those that a search has yet to draw."""
        return count_trials(self.trials(), planned=int(self.facts().get(Fact.PLANNED, 0)))

    def _present(self, table: str) -> set[str]:
        """The columns that the file has; the writer of a read-only one has not added those that are new."""
        return {row["name"] for row in self._db.execute(f"PRAGMA table_info({table})")}

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._db)


class _Transaction:
    """BEGIN IMMEDIATE, then COMMIT, or ROLLBACK on an error."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.execute("COMMIT" if kind is None else "ROLLBACK")


def _planned_columns(trial: Trial, steps: int, design: str) -> tuple[Scalar, ...]:
    """Returns the values of the columns _PLANNED."""
    labels, settings = json.dumps(trial.labels), json.dumps(trial.settings)
    return trial.trial_id, design, trial.cell_id, trial.seed, labels, settings, steps


def _stored(value: Scalar | None) -> Scalar | None:
    # SQLite has no NaN and would store null, which means "not measured".
    return "nan" if isinstance(value, float) and math.isnan(value) else value


def _read(value: float | str | None) -> float | None:
    return None if value is None else float(value)  # "nan" included


def _metrics_row(row: sqlite3.Row) -> MetricsRow:
    values = {name: _read(row[name]) for name in row.keys() if name not in ("number", "step")}  # noqa: SIM118
    return MetricsRow(step=int(row["step"]), **values)


def _trial_row(row: sqlite3.Row) -> TrialRow:
    columns = dict(row)
    for name in ("collapsed", "projection_collapsed", "dimensional_collapse", "clean"):
        value = columns.get(name)
        columns[name] = None if value is None else bool(value)
    for name in columns.keys() & set(LAST_VALUES):
        columns[name] = _read(columns[name])
    state, reason = columns.pop("state"), columns.pop("end_reason")
    return TrialRow(
        state=TrialState(state),
        end_reason=None if reason is None else EndReason(reason),
        labels_json=columns.pop("labels"),
        settings_json=columns.pop("settings"),
        **columns,
    )


def count_trials(trials: Sequence[TrialRow], *, planned: int = 0) -> dict[str, int]:
    """Counts trials for `status`, by state and by outcome.

    Args:
        trials: all trials in the ledger.
        planned: how many there will be, if a search has yet to draw some.
    """
    to_draw = max(0, planned - len(trials))

    def in_state(state: TrialState) -> int:
        return sum(trial.state == state for trial in trials)

    def ended_by(reason: EndReason) -> int:
        return sum(trial.end_reason == reason for trial in trials)

    return {
        "planned": len(trials) + to_draw,
        "waiting": in_state(TrialState.WAITING) + to_draw,
        "running": in_state(TrialState.RUNNING),
        "complete": in_state(TrialState.COMPLETE),
        "pruned": in_state(TrialState.PRUNED),
        "failed": ended_by(EndReason.ERROR),
        "interrupted": ended_by(EndReason.INTERRUPTED),
        "collapsed": sum(trial.collapsed is True for trial in trials),
        "projection_collapsed": sum(trial.projection_collapsed is True for trial in trials),
        "dimensional_collapse": sum(trial.dimensional_collapse is True for trial in trials),
        "diverged": ended_by(EndReason.DIVERGED),
    }
