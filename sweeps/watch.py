"""How far a sweep is, for whoever watches it from another process."""

import json
import math
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from byol.errors import plural
from sweeps import files
from sweeps.inspect import OF_TRIALS, status
from sweeps.progress import Display, RunningTrial, Snapshot, ended_line, seconds_left
from sweeps.record import directory
from sweeps.record.result_digests import TABLES
from sweeps.record.rows import Ending, EndReason, Fact, TrialRow, TrialState, count_trials
from sweeps.study.designs import describe

_ENDS_WITHIN_S = 45.0
_LOOK_EVERY_S = 0.5
_SHARE = 0.05
"""Largest share of the time that is spent on reading a ledger."""
_FAILURES = 3
"""How many trials that had failed before are shown."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What the ledgers say, without the results."""

    running: bool
    """Whether a driver is at work in any of the directories."""
    text: str
    """How many trials have ended."""
    stamp: str
    """Changes when a report would: with the tables while a driver writes them, and else with the ledger."""


def progress(folders: Sequence[Path]) -> Progress:
    """How far the sweeps in these directories are.

    Raises:
        DirectoryError: one holds no sweep.
    """
    at_work = [directory.is_locked(folder) for folder in folders]  # before anything is read
    stamps = [
        [*map(_written_ns, (folder / table for table in TABLES))] if busy else [_recorded_ns(folder)]
        for folder, busy in zip(folders, at_work, strict=True)
    ]
    counts = [status(folder) for folder in folders if directory.has_ledger(folder)]
    planned, waiting, running, collapsed = (
        sum(count.get(key, 0) for count in counts) for key in ("planned", "waiting", "running", "collapsed")
    )
    ended = planned - waiting - running
    text = f"{ended:,} of {plural(planned, 'trial')} ended, {running:,} running, {collapsed:,} collapsed"
    return Progress(running=any(at_work), text=text, stamp=str(stamps))


def _recorded_ns(out: Path) -> int:
    """When the ledger in `out` was last written; its latest rows are in a file beside it."""
    return max(_written_ns(out / name) for name in (files.LEDGER, f"{files.LEDGER}-wal"))


def _written_ns(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


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


def follow(out: Path, display: Display, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Shows how far the sweep in `out` is, until no driver is at work there.

    Args:
        out: the sweep's directory.
        display: shows it.
        sleep: waits for some seconds.
    """
    sweep = _Sweep(out)
    for row in [row for row in sweep.news() if row.end_reason == EndReason.ERROR][-_FAILURES:]:
        display.note(_ended_line(row))
    display.show(sweep.snapshot())
    at_work = True
    while at_work:
        at_work = directory.is_locked(out)  # before the ledger is read, so that the last look sees the end
        began = time.monotonic()
        for row in sweep.news():
            failed = row.end_reason == EndReason.ERROR
            display.ended(_ended_line(row), sweep.snapshot(), failed=failed)
        display.tick(sweep.snapshot)
        if at_work:
            sleep(max(_LOOK_EVERY_S, (time.monotonic() - began) / _SHARE))
    display.show(sweep.snapshot())
    display.close()


class _Sweep:
    """What another process has recorded. Its ledger is read only when it has changed, and then in one go."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._stamp, self._ended = 0, set[str]()
        self._rows: list[TrialRow] = []
        self._facts: dict[str, str] = {}

    def news(self) -> list[TrialRow]:
        """The trials that have ended since this was last asked."""
        stamp = _recorded_ns(self._out)
        if stamp == self._stamp:
            return []
        self._stamp = stamp
        with directory.open_ledger(self._out, tables=OF_TRIALS) as ledger:
            self._rows, self._facts = ledger.trials(), ledger.facts()
        ended = [row for row in self._rows if row.has_ended]
        news = [row for row in ended if row.trial_id not in self._ended]
        self._ended = {row.trial_id for row in ended}
        return news

    def snapshot(self) -> Snapshot:
        """What the driver itself shows, as far as its ledger tells."""
        counts = count_trials(self._rows, planned=int(self._facts.get(Fact.PLANNED, 0)))
        running = tuple(_running(row) for row in self._rows if row.state == TrialState.RUNNING)
        finished = [row.wall_seconds or 0.0 for row in self._rows if row.end_reason == EndReason.FINISHED]
        planned, done = counts["planned"], len(self._ended)
        left = seconds_left(running, planned=planned, done=done, finished=finished)
        workers = math.ceil(len(running) / int(self._facts.get(Fact.PACK, 1)))
        drivers = json.loads(self._facts.get(Fact.MANIFEST, "{}")).get("drivers", [])
        elapsed = datetime.now(UTC) - datetime.fromisoformat(drivers[-1]["started"]) if drivers else None
        return Snapshot(
            planned=planned,
            done=done,
            collapsed=counts["collapsed"],
            failed=counts["failed"],
            running=running,
            elapsed_seconds=elapsed.total_seconds() if elapsed else 0.0,
            seconds_left=left / workers if left is not None and running else None,
        )


def _running(row: TrialRow) -> RunningTrial:
    return RunningTrial(
        name=_name(row),
        step=row.steps_run,
        steps_planned=row.steps_planned,
        loss=row.loss,
        representation_std=row.representation_std,
        wall_seconds=(row.wall_seconds or 0.0) - row.seconds_before,
    )


def _name(row: TrialRow) -> str:
    return f"{describe(row.labels)}, seed {row.seed}"


def _ended_line(row: TrialRow) -> str:
    ending = Ending(
        state=row.state,
        end_reason=row.end_reason or EndReason.ERROR,
        collapsed=row.collapsed,
        error=row.error,
    )
    return ended_line(_name(row), _running(row), ending)


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
