"""The ledger's tables: how they are created, and what ledgers of earlier versions lack."""

import sqlite3

from sweeps.record import checksums
from sweeps.record.rows import LAST_VALUES, METRICS

FORMAT = 3
"""Version of the tables below; a ledger of another format is refused."""

PAGE_BYTES = 16384
"""Size of a page of a new ledger; spectra of several KB fill it better than SQLite's default of 4096."""

PROVENANCE = {
    "device": "TEXT",
    "commit": "TEXT",
    "clean": "INTEGER",
    "versions": "TEXT",
    "code": "TEXT",
    "data_digest": "TEXT",
}
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
    {", ".join(f'"{name}" {kind}' for name, kind in PROVENANCE.items())},
    error TEXT,
    traceback TEXT
)"""
OWN = "own"
"""Column of measurements: metrics of the user's own as JSON, column -> value; null where there are none."""
# Rows in the order in which they come, found by an index. In the order of their keys (WITHOUT ROWID), rows
# of several KB would fill less than half of each page: 9.8 KB a measurement with 3 KB of spectra, not 3.7.
_METRICS = f"""
CREATE TABLE IF NOT EXISTS metrics (
    number INTEGER NOT NULL,
    {", ".join(f"{name} REAL{' NOT NULL' * (name == 'step')}" for name in METRICS)},
    {OWN} TEXT,
    PRIMARY KEY (number, step)
)"""
_SPECTRA = """
CREATE TABLE IF NOT EXISTS spectra (
    number INTEGER NOT NULL, step REAL NOT NULL, level TEXT NOT NULL, eigenvalues BLOB NOT NULL,
    PRIMARY KEY (number, step, level)
)"""
_FACTS = "CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
ADDED = {
    "trials": {**dict.fromkeys(LAST_VALUES, "REAL"), **PROVENANCE, checksums.COLUMN: "INTEGER"},
    "metrics": {**dict.fromkeys(METRICS, "REAL"), OWN: "TEXT", checksums.COLUMN: "INTEGER"},
    "spectra": {checksums.COLUMN: "INTEGER"},
    "facts": {checksums.COLUMN: "INTEGER"},
}
"""Columns that ledgers of this format lack if they were begun before the columns existed: null there. The
checksum is the last."""


def create_tables(db: sqlite3.Connection) -> list[str]:
    """Creates tables and columns that are missing. Returns the tables whose rows need new checksums.

    Raises:
        sqlite3.DatabaseError: a row is damaged, and would get a checksum that says it is not.
    """
    for table in (_TRIALS, _METRICS, _SPECTRA, _FACTS):
        db.execute(table)
    unsigned = []
    for table, added in ADDED.items():
        present = checksums.columns(db, table)
        missing = [name for name in added if name not in present]
        if not missing:
            continue
        if checksums.COLUMN in present:  # it is over all columns before it, so it comes again after them
            if not all(map(checksums.is_sound, db.execute(f"SELECT * FROM {table}"))):
                raise sqlite3.DatabaseError(f"a row of {table} is not as it was written")
            db.execute(f"ALTER TABLE {table} DROP COLUMN {checksums.COLUMN}")
        for name in (*(name for name in missing if name != checksums.COLUMN), checksums.COLUMN):
            db.execute(f'ALTER TABLE {table} ADD COLUMN "{name}" {added[name]}')
        unsigned.append(table)
    return unsigned


def signed_columns(db: sqlite3.Connection, table: str) -> list[str]:
    """The columns of a table that its rows' checksum is over, in order; the checksum comes after them."""
    names = [*checksums.columns(db, table)]
    assert names[-1] == checksums.COLUMN
    return names[:-1]
