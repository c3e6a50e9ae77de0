"""How far a sweep is, for whoever watches it from another process."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sweeps import files
from sweeps.inspect import status
from sweeps.record import directory

_ENDS_WITHIN_S = 45.0
_LOOK_EVERY_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What the ledgers say, without the results."""

    running: bool
    """Whether a driver is at work in any of the directories."""
    text: str
    """How many trials have ended."""
    stamp: str
    """Changes when anything was recorded."""


def progress(folders: Sequence[Path]) -> Progress:
    """How far the sweeps in these directories are.

    Raises:
        DirectoryError: one holds no sweep.
    """
    running = any(directory.is_locked(folder) for folder in folders)  # before the ledger is read
    stamp = "-".join(str(_changed_ns(folder)) for folder in folders)
    counts = [status(folder) for folder in folders if (folder / files.LEDGER).exists()]
    planned, waiting, at_work, collapsed = (
        sum(count.get(key, 0) for count in counts) for key in ("planned", "waiting", "running", "collapsed")
    )
    ended = planned - waiting - at_work
    text = f"{ended:,} of {planned:,} trials ended, {at_work:,} running, {collapsed:,} collapsed"
    return Progress(running=running, text=text, stamp=stamp)


def _changed_ns(folder: Path) -> int:
    """When the ledger was last written; its latest rows are in a file beside it."""
    ledger = folder / files.LEDGER
    written = [path for path in (ledger, ledger.with_name(f"{ledger.name}-wal")) if path.exists()]
    return max((path.stat().st_mtime_ns for path in written), default=0)


def has_begun(folders: Sequence[Path], show: Callable[[str], None], within_s: float = 300.0) -> bool:
    """Whether a driver is at work, or begins within some seconds; false at once where all has ended."""
    until, told = time.monotonic() + within_s, False
    while True:
        there = [folder for folder in folders if (folder / files.LEDGER).exists()]
        if any(directory.is_locked(folder) for folder in there):
            return True
        if len(there) == len(folders) and not any(_is_open(folder) for folder in there):
            return False
        if time.monotonic() >= until:
            return False
        if not told:  # a driver starts Ray before it takes the directory, which may take a minute
            show("Waiting for a driver to begin.")
            told = True
        time.sleep(_LOOK_EVERY_S)


def _is_open(folder: Path) -> bool:
    counts = status(folder)
    return bool(counts["waiting"] or counts["running"])


@contextmanager
def watcher(program: Path, out: Path, port: int) -> Iterator[None]:
    """A process of its own that watches `out` while the sweep runs here, so that it cannot slow the driver.

    Args:
        program: run_sweep.py.
        out: the sweep's directory.
        port: to serve on; 0 is any that is free.
    """
    command = [sys.executable, str(program), "report", str(out), "--watch", "--port", str(port)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield
        process.wait(_ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        process.terminate()
        process.wait()
