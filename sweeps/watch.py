"""How far a sweep is, for whoever watches it from another process."""

import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sweeps.inspect import status
from sweeps.record import directory
from sweeps.record.refresh import changed_ns

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
    stamp = "-".join(str(changed_ns(folder)) for folder in folders)
    counts = [status(folder) for folder in folders if directory.has_ledger(folder)]
    planned, waiting, at_work, collapsed = (
        sum(count.get(key, 0) for count in counts) for key in ("planned", "waiting", "running", "collapsed")
    )
    ended = planned - waiting - at_work
    text = f"{ended:,} of {planned:,} trials ended, {at_work:,} running, {collapsed:,} collapsed"
    return Progress(running=running, text=text, stamp=stamp)


def has_begun(
    folders: Sequence[Path],
    show: Callable[[str], None],
    *,
    ended: Callable[[], bool] | None = None,
    within_s: float = 300.0,
) -> bool:
    """Waits until a driver is at work and has a plan. Whether one is.

    Args:
        folders: the sweeps' directories.
        show: is told what is waited for.
        ended: whether the process that runs the driver has ended, which alone ends the waiting. Without it
            the driver is another's: it has some seconds to begin, and none where no trial is left to run.
        within_s: those seconds.
    """
    until, told = time.monotonic() + within_s, False
    while True:
        if any(directory.has_ledger(folder) and directory.is_locked(folder) for folder in folders):
            return True
        in_vain = time.monotonic() >= until or not any(map(_is_open, folders)) if ended is None else ended()
        if in_vain:
            return False
        if not told:  # a driver starts Ray before it takes the directory, which may take a minute
            show("Waiting for a driver to begin.")
            told = True
        time.sleep(_LOOK_EVERY_S)


def _is_open(folder: Path) -> bool:
    """Whether trials are left to run, as far as anything is known."""
    if not directory.has_ledger(folder):
        return True
    counts = status(folder)
    return bool(counts["waiting"] or counts["running"] or counts["interrupted"])


def parent_has_ended() -> bool:
    """In a process of `watcher`: whether the block has ended, or the process that it is in."""
    return bool(select.select([sys.stdin], [], [], 0)[0])


@contextmanager
def watcher(program: Path, out: Path, port: int) -> Iterator[None]:
    """A process of its own that watches `out` while the sweep runs here, so that it cannot slow the driver.

    Args:
        program: run_sweep.py.
        out: the sweep's directory.
        port: to serve on; 0 is any that is free.
    """
    command = [sys.executable, str(program), "report", str(out), "--watch", "--of-run", "--port", str(port)]
    # In a session of its own: a Ctrl-C is for the driver, which then ends gracefully, and the page is served.
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    )
    assert process.stdin is not None
    try:
        yield
        process.stdin.close()  # for `parent_has_ended`
        process.wait(_ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        process.terminate()
        process.stdin.close()
        process.wait()
