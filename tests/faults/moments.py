"""Moments of a driver, counted, so that a fault comes at the same one again.

A moment is a statement of SQLite, a file in the sweep's directory that is opened, renamed, removed or made,
or the start of a process.
"""

import contextlib
import itertools
import random
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FILE_EVENTS = ("open", "os.rename", "os.remove", "os.mkdir")


@dataclass
class Moments:
    """Counts moments, and does something at one of them."""

    folder: Path
    """The directory whose files count."""
    at: int = 0
    """The moment, from 1 on; 0 is none."""
    action: Callable[[], None] = lambda: None
    """What happens then, in the thread that got there."""
    count: int = 0
    """The moments up to now."""

    def passed(self, *_: object) -> None:
        """One more."""
        self.count += 1
        if self.count == self.at:
            self.action()


_current: Moments | None = None
_hooked = False


def _audit(event: str, values: Any) -> None:
    now = _current
    if now is None:
        return
    if event == "subprocess.Popen" or (event in _FILE_EVENTS and str(now.folder) in str(values[0])):
        now.passed()


def _statement(_: str) -> None:
    if _current is not None:
        _current.passed()


@contextlib.contextmanager
def counted(moments: Moments) -> Iterator[Moments]:
    """Counts the moments of this process. Connections to SQLite that were opened before do not count."""
    global _current, _hooked
    if not _hooked:
        sys.addaudithook(_audit)  # for the rest of the process
        _hooked = True
    real = sqlite3.connect

    def connect(*arguments: Any, **named: Any) -> sqlite3.Connection:
        db: sqlite3.Connection = real(*arguments, **named)
        db.set_trace_callback(_statement)
        return db

    sqlite3.connect = connect  # type: ignore[assignment]
    _current = moments
    try:
        yield moments
    finally:
        _current = None
        sqlite3.connect = real


def spread(total: int, count: int, seed: object) -> list[int]:
    """`count` of the moments 1 to `total`: one of each of as many stretches, drawn by the seed."""
    draws = random.Random(f"moments {seed}")
    edges = [1 + total * index // count for index in range(count + 1)]
    return [draws.randrange(low, max(high, low + 1)) for low, high in itertools.pairwise(edges)]
