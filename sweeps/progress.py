"""The display of a running sweep: a snapshot as text, redrawn in place or written as plain lines."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from byol.errors import plural
from sweeps.record.rows import Ending, EndReason

_MAX_LINES = 6
"""Maximum number of running trials with a line of their own."""


@dataclass(frozen=True, kw_only=True)
class RunningTrial:
    """A running trial as of its last measurement."""

    name: str
    """Its levels and seed, as text."""
    step: int = 0
    """The last measured step."""
    steps_planned: int
    """Steps of the whole trial."""
    loss: float | None = None
    """The last measured loss."""
    representation_std: float | None = None
    """The last measured std."""
    wall_seconds: float = 0.0
    """Seconds since its start; of a trial in a pack, those of its own turns."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The state of a sweep at one moment."""

    planned: int
    """Planned trials."""
    done: int
    """Trials that have ended, in this run or before."""
    collapsed: int
    """Ended trials whose representation collapsed."""
    failed: int
    """Trials of this run that ended with an error."""
    running: tuple[RunningTrial, ...]
    """Running trials."""
    elapsed_seconds: float
    """Seconds since this run started."""
    seconds_left: float | None
    """Estimated seconds to the end; None before anything is known."""


def standing(counts: Mapping[str, int], *, with_state: int = 0) -> str:
    """How far a sweep is when a driver opens it.

    Args:
        counts: its trials, as `status` counts them.
        with_state: trials that were begun and have checkpoints.

    >>> standing({"planned": 15, "complete": 7, "pruned": 0, "failed": 1}, with_state=2)
    '7 of 15 trials are complete, 1 failed, 2 have checkpoints'
    """
    complete = counts["complete"]
    parts = [
        f"{complete:,} of {plural(counts['planned'], 'trial')} {'is' if complete == 1 else 'are'} complete"
    ]
    parts += [f"{counts[key]:,} {key}" for key in ("pruned", "failed") if counts[key]]
    if with_state:
        parts.append("1 has a checkpoint" if with_state == 1 else f"{with_state:,} have checkpoints")
    return ", ".join(parts)


def seconds_left(
    running: Iterable[RunningTrial],
    *,
    planned: int,
    done: int,
    finished: Sequence[float],
    expected: float | None = None,
) -> float | None:
    """Seconds of work that is left, for one trial after the other; None before anything is known.

    Args:
        running: the running trials, with the seconds since their starts.
        planned: how many trials there will be.
        done: how many of them have ended.
        finished: the seconds of trials that finished.
        expected: what one was expected to take, for as long as nothing better is known.
    """
    shares = [(trial, trial.step / max(1, trial.steps_planned)) for trial in running]
    # A trial's first measurement includes one-time costs, and says little about its pace.
    paces = [trial.wall_seconds / share for trial, share in shares if share >= 0.2]
    seconds = finished or paces or ([] if expected is None else [expected])
    if not seconds:
        return None
    return (planned - done - sum(share for _, share in shares)) * sum(seconds) / len(seconds)


def headline(snapshot: Snapshot) -> str:
    """Returns '12/48 done · 2 running · 34 left · 5 collapsed · 1:02 elapsed, about 3:10 left'."""
    parts = [
        f"{snapshot.done}/{snapshot.planned} done",
        f"{len(snapshot.running)} running",
        f"{snapshot.planned - snapshot.done - len(snapshot.running)} left",
        f"{snapshot.collapsed} collapsed",
    ]
    if snapshot.failed:
        parts.append(f"{snapshot.failed} failed")
    estimate = "" if snapshot.seconds_left is None else f", about {clock(snapshot.seconds_left)} left"
    parts.append(f"{clock(snapshot.elapsed_seconds)} elapsed{estimate}")
    return " · ".join(parts)


def running_line(trial: RunningTrial) -> str:
    """Returns 'step 40/100  loss 0.512  std 0.833  tau_base=0.99, seed 1'."""
    step = f"step {trial.step}/{trial.steps_planned}"
    return f"{step}  loss {_number(trial.loss)}  std {_number(trial.representation_std)}  {trial.name}"


def ended_line(name: str, trial: RunningTrial, ending: Ending) -> str:
    """Returns one line about a trial that has ended."""
    if ending.end_reason == EndReason.ERROR:
        return f"failed: {name}: {ending.error}"
    if ending.end_reason == EndReason.OUT_OF_MEMORY:
        return f"out of memory; will be retried alone: {name}: {ending.error}"
    if ending.end_reason == EndReason.INTERRUPTED:
        return f"will be tried again: {name}: {ending.error}"
    outcome = "collapsed" if ending.collapsed else ending.end_reason
    values = f"loss {_number(trial.loss)}, std {_number(trial.representation_std)}"
    return f"{outcome}: {name}: {values} at step {trial.step}"


def clock(seconds: float) -> str:
    """Returns the time as '0:07', '12:30' or '3:05:00'."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _number(value: float | None) -> str:
    return "    -" if value is None else f"{value:.3f}"


class Display:
    """Shows a sweep on a stream: a block redrawn in place on a terminal, plain lines elsewhere."""

    def __init__(
        self,
        stream: TextIO,
        *,
        columns: int = 100,
        now: Callable[[], float] = time.monotonic,
        interval: float = 30.0,
    ) -> None:
        """Prepares the display, and shows nothing yet.

        Args:
            stream: where to write.
            columns: width to which a redrawn line is cut.
            now: the clock, in seconds.
            interval: seconds between plain lines while no trial ends.
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
        """Shows a line at the next tick. Any thread may call this."""
        self._notes.append(line)

    def ended(self, line: str, snapshot: Snapshot, *, failed: bool = False) -> None:
        """Shows that a trial has ended; one that `failed` stays on the screen."""
        if self._redraws:
            if failed:
                self._erase()
                self._stream.write(f"{line}\n")
            self._draw(snapshot)
        else:
            self._write(f"{headline(snapshot)} · {line}")

    def tick(self, snapshot: Callable[[], Snapshot]) -> None:
        """Shows the current state, if it is due."""
        self._show_notes()
        if self._now() - self._last >= (0.5 if self._redraws else self._interval):
            self.show(snapshot())

    def show(self, snapshot: Snapshot) -> None:
        """Shows a state."""
        if self._redraws:
            self._draw(snapshot)
        else:
            lines = (headline(snapshot), *(running_line(trial) for trial in snapshot.running[:2]))
            self._write(" · ".join(lines))

    def close(self) -> None:
        """Shows the remaining notes and leaves the last state on the screen."""
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
        lines = [headline(snapshot), *(f"  {running_line(trial)}" for trial in snapshot.running[:_MAX_LINES])]
        if len(snapshot.running) > _MAX_LINES:
            lines.append(f"  and {len(snapshot.running) - _MAX_LINES} more")
        self._erase()
        self._stream.write("".join(f"{line[: self._columns - 1]}\n" for line in lines))
        self._stream.flush()
        self._drawn = len(lines)
        self._last = self._now()
