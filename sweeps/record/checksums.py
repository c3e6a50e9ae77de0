"""Checksums of the ledger's rows, and what is wrong with a ledger's file.

SQLite trusts the disk. A flipped bit in a number is a number, and one in a pointer may hide rows. So each row
carries a checksum of its values, the file's structure is checked when it is opened to be read, and the tables
must have the columns that this version creates.
"""

import sqlite3
import struct
import zlib
from collections.abc import Container, Mapping, Sequence

COLUMN = "checksum"
"""The last column of each table. A ledger of an earlier version lacks it until a driver opens it."""

_Columns = Mapping[str, tuple[object, ...]]


def checksum(*values: float | str | bytes | None) -> int:
    """CRC-32 of a row's values, as SQLite returns them. Finds any flipped bit.

    >>> checksum(1, 0.5, None, "a") == checksum(1, 0.5, None, "a")
    True
    >>> len({checksum(1, 0.5), checksum(0.5, 1), checksum(1, None), checksum("1", 0.5), checksum(1, 0.25)})
    5
    """
    numbers = [value for value in values if type(value) is float]
    others = [
        (index, zlib.crc32(value) if isinstance(value, bytes) else value)
        for index, value in enumerate(values)
        if type(value) is not float
    ]
    return zlib.crc32(struct.pack(f"<{len(numbers)}d", *numbers), zlib.crc32(repr(others).encode()))


def of_text(text: str) -> str:
    """CRC-32 of a text, as eight hexadecimal digits."""
    return f"{zlib.crc32(text.encode()):08x}"


def is_sound(row: sqlite3.Row) -> bool:
    """Whether a row that ends with its checksum has the values it was written with."""
    *values, stored = row
    return bool(stored == checksum(*values))


def columns(db: sqlite3.Connection, table: str) -> _Columns:
    """The columns of a table, by name: type, whether null is refused, default, place in the primary key."""
    return {row[1]: tuple(row)[2:6] for row in db.execute(f"PRAGMA table_info({table})")}


def structure_problem(
    db: sqlite3.Connection,
    tables: Mapping[str, _Columns],
    *,
    optional: Mapping[str, Container[str]],
    checks: Sequence[str],
) -> str | None:
    """What is wrong with a file's structure, as one line; None if nothing is.

    Args:
        db: the file.
        tables: table -> its columns.
        optional: table -> those of its columns that a file of an earlier version lacks.
        checks: SQLite's own to run; one of a whole file takes 8 ms a megabyte.
    """
    try:
        for check in checks:
            (found,) = db.execute(f"PRAGMA {check}").fetchone()
            if found != "ok":
                return " ".join(str(found).split())
        for table, expected in tables.items():
            present = columns(db, table)
            for name, column in expected.items():
                if present.get(name, column if name in optional[table] else None) != column:
                    return f"{table}.{name} is not as it was created"
            extra = present.keys() - expected.keys()
            if extra:
                return f"{table} has an unknown column {min(extra)!r}"
    except (sqlite3.Error, UnicodeDecodeError) as error:
        return str(error)
    return None
