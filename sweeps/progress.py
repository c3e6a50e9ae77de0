"""What a running sweep shows: a pure rendering of a snapshot, redrawn in place or written as plain lines."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

from sweeps.record.rows import Ending, EndReason

SHOWN = 6
"""Running trials that are shown one by one."""


@dataclass(frozen=True, kw_only=True)
class RunningTrial:
    """A trial that runs, as of its last measurement."""

    name: str
    """Its levels and seed, as text."""
    step: int = 0
    """The step last measured."""
    steps_planned: int
    """Steps of the whole trial."""
    loss: float | None = None
    """The loss last measured."""
    representation_std: float | None = None
    """The std last measured."""
    wall_seconds: float = 0.0
    """Since its start."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The state of a sweep at one moment."""

    planned: int
    """Trials of the study."""
    done: int
    """Trials that have ended, in this run or before."""
    collapsed: int
    """Of those, trials whose representation collapsed."""
    failed: int
    """Of those, trials that ended with an error."""
    running: tuple[RunningTrial, ...]
    """Trials under way."""
    elapsed_seconds: float
    """Since this run started."""
    seconds_left: float | None
    """Estimate; None before anything is known."""


def headline(now: Snapshot) -> str:
    """One line: '12/48 done · 2 running · 34 left · 5 collapsed · 1:02 elapsed, about 3:10 left'."""
    parts = [
        f"{now.done}/{now.planned} done",
        f"{len(now.running)} running",
        f"{now.planned - now.done - len(now.running)} left",
        f"{now.collapsed} collapsed",
    ]
    if now.failed:
        parts.append(f"{now.failed} failed")
    left = "" if now.seconds_left is None else f", about {clock(now.seconds_left)} left"
    parts.append(f"{clock(now.elapsed_seconds)} elapsed{left}")
    return " · ".join(parts)


def running_line(trial: RunningTrial) -> str:
    """One line: 'step 40/100  loss 0.512  std 0.833  tau_base=0.99, seed 1'."""
    step = f"step {trial.step}/{trial.steps_planned}"
    return f"{step}  loss {_number(trial.loss)}  std {_number(trial.representation_std)}  {trial.name}"


def ended_line(name: str, trial: RunningTrial, ending: Ending) -> str:
    """One line on a trial that has ended."""
    if ending.end_reason == EndReason.ERROR:
        return f"failed: {name}: {ending.error}"
    if ending.end_reason == EndReason.OUT_OF_MEMORY:
        return f"out of memory; will be retried alone: {name}: {ending.error}"
    what = "collapsed" if ending.collapsed else ending.end_reason
    values = f"loss {_number(trial.loss)}, std {_number(trial.representation_std)}"
    return f"{what}: {name}: {values} at step {trial.step}"


def clock(seconds: float) -> str:
    """'0:07', '12:30' or '3:05:00'."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _number(value: float | None) -> str:
    return "    -" if value is None else f"{value:.3f}"


class Display:
    """Shows a sweep on a stream: a block redrawn in place on a terminal, plain lines anywhere else."""

    def __init__(
        self,
        stream: TextIO,
        *,
        columns: int = 100,
        now: Callable[[], float] = time.monotonic,
        interval: float = 30.0,
    ) -> None:
        """Shows on `stream`; a plain line at least every `interval` seconds.

        Args:
            stream: where to.
            columns: width to which a redrawn line is cut.
            now: the clock, in seconds.
            interval: seconds between plain lines when nothing ends.
        """
        self._stream = stream
        self._columns = columns
        self._now = now
        self._interval = interval
        self._redraws = stream.isatty()
        self._notes: deque[str] = deque()
        self._drawn = 0
        self._last = now()

    def note(self, line: str) -> None:
        """Shows a line, from any thread, at the next occasion."""
        self._notes.append(line)

    def ended(self, line: str, snapshot: Snapshot) -> None:
        """Shows that a trial has ended."""
        if self._redraws:
            if line.startswith("failed"):
                self._erase()
                self._stream.write(f"{line}\n")
            self._draw(snapshot)
        else:
            self._write(f"{headline(snapshot)} · {line}")

    def tick(self, snapshot: Callable[[], Snapshot]) -> None:
        """Shows the current state, if it is time to."""
        self._show_notes()
        waited = self._now() - self._last
        if self._redraws and waited >= 0.5:
            self._draw(snapshot())
        elif not self._redraws and waited >= self._interval:
            current = snapshot()
            stds = " · ".join(running_line(trial) for trial in current.running[:2])
            self._write(" · ".join(part for part in (headline(current), stds) if part))

    def close(self) -> None:
        """Leaves the last state standing."""
        self._drawn = 0
        self._show_notes()

    def _show_notes(self) -> None:
        while self._notes:
            self._erase()
            self._stream.write(f"{self._notes.popleft()}\n")
            self._stream.flush()

    def _write(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()
        self._last = self._now()

    def _erase(self) -> None:
        if self._drawn:
            self._stream.write(f"\x1b[{self._drawn}F\x1b[J")
            self._drawn = 0

    def _draw(self, snapshot: Snapshot) -> None:
        lines = [headline(snapshot), *(f"  {running_line(trial)}" for trial in snapshot.running[:SHOWN])]
        if len(snapshot.running) > SHOWN:
            lines.append(f"  and {len(snapshot.running) - SHOWN} more")
        self._erase()
        self._stream.write("".join(f"{line[: self._columns - 1]}\n" for line in lines))
        self._stream.flush()
        self._drawn = len(lines)
        self._last = self._now()
