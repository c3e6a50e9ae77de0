"""Records the events of a running sweep: each goes to the ledger first, then to the display and the loggers.

Imports no Ray: the engine's callback calls it, and so could anything else that runs trials.
"""

import dataclasses
import math
import time
from collections.abc import Iterable, Sequence

from byol.errors import plural
from byol.measure.collapse import CollapseRule
from sweeps.loggers.feed import Feed
from sweeps.planning.estimates import Estimate
from sweeps.progress import Display, RunningTrial, Snapshot, ended_line, seconds_left
from sweeps.record.endings import ending
from sweeps.record.ledger import Ledger
from sweeps.record.rows import Ending, EndReason, Fact, Measurement, TrialState
from sweeps.study.designs import Trial, describe

OUT_OF_MEMORY_ADVICE = (
    "it also ran out of memory alone on a GPU: make batch_size, image_size, the encoder or the heads "
    "smaller, or set precision: bf16"
)
"""Added to the error of a trial that ran out of memory twice."""


class Tracker:
    """Records starts, measurements and ends of trials. Used by the engine's callback."""

    def __init__(
        self,
        ledger: Ledger,
        display: Display,
        trials: Iterable[Trial],
        *,
        rule: CollapseRule,
        estimate: Estimate | None = None,
        planned: int = 0,
        feeds: Sequence[Feed] = (),
    ) -> None:
        """Tracks `trials`, which the ledger already has.

        Args:
            ledger: the record.
            display: shows the progress.
            trials: the trials at the start; a search adds more.
            rule: when a trial counts as collapsed, and whether that ends it.
            estimate: how long trials are expected to take; None if unknown.
            planned: how many trials there will be, if more are to be added.
            feeds: loggers that get a copy.
        """
        self._feeds = feeds
        self._estimate = estimate
        self._pack = 1
        """The most trials that a worker has at present."""
        self._ledger = ledger
        self._display = display
        self._trials = {trial.trial_id: trial for trial in trials}
        self._planned = planned
        self._rule = rule
        self._attempts: dict[str, int] = {}
        self._running: dict[str, RunningTrial] = {}
        rows = ledger.trials()
        self._steps = {row.trial_id: row.steps_planned for row in rows}
        pending = set(ledger.pending(retry_failed=True))
        self._collapsed = {row.trial_id: row.collapsed is True for row in rows if row.trial_id not in pending}
        """Id of a trial that has ended -> whether it collapsed."""
        self._failed = 0
        self._ran_out_of_memory: list[str] = []
        self._lost: list[str] = []
        self._lost_in_pack: list[str] = []
        self._seconds: list[float] = []
        """Wall seconds of the trials that finished in this run."""
        self._began = time.monotonic()
        self._max_running = 1

    def add(self, trial: Trial, steps: int, *, design: str) -> None:
        """Enters one more trial to run."""
        self._ledger.add(trial, steps, design=design)
        self._trials[trial.trial_id] = trial
        self._steps[trial.trial_id] = steps

    def to_retry_alone(self) -> list[Trial]:
        """Returns the trials that ran out of memory beside others and have not run again."""
        return self._pending_of(self._ran_out_of_memory)

    def to_try_again(self) -> list[Trial]:
        """Returns the trials that `lost` has recorded and that have not run again."""
        lost = dict.fromkeys((*self._lost_in_pack, *self._lost))
        return self._pending_of(name for name in lost if name not in self._ran_out_of_memory)

    def died_at_once(self) -> bool:
        """Whether among them are some that were alone, whose processes died within a moment."""
        return any(trial.trial_id in self._lost for trial in self.to_try_again())

    def in_packs(self, trials: int) -> None:
        """Tells how many trials a worker runs in turns from now on, at most."""
        if trials != self._pack:
            self._pack, self._max_running = trials, 1
        self._ledger.set_fact(Fact.PACK, str(trials))

    def _pending_of(self, trial_ids: Iterable[str]) -> list[Trial]:
        pending = set(self._ledger.pending(retry_failed=False))
        return [self._trials[trial_id] for trial_id in trial_ids if trial_id in pending]

    def started(self, trial_id: str) -> None:
        """Records that a trial has started or restarted."""
        self._attempts[trial_id] = self._ledger.start(trial_id)
        trial = self._trials[trial_id]
        name = f"{describe(trial.labels)}, seed {trial.seed}"
        self._running[trial_id] = RunningTrial(name=name, steps_planned=self._steps[trial_id])
        self._max_running = max(self._max_running, len(self._running))
        for feed in self._feeds:
            feed.started(trial)

    def measured(self, trial_id: str, measurement: Measurement) -> None:
        """Records a measurement of a running trial."""
        if not self._ledger.append(trial_id, self._attempts[trial_id], measurement):
            return
        self._running[trial_id] = dataclasses.replace(
            self._running[trial_id],
            step=measurement.step,
            loss=measurement.loss,
            representation_std=measurement.representation_std,
            wall_seconds=measurement.wall_seconds,
        )
        for feed in self._feeds:
            feed.measured(trial_id, measurement)

    def returned(self, trial_id: str, *, pruned: bool = False) -> None:
        """Records that a trial's training has ended: finished, diverged, collapsed, `pruned` or too early."""
        rows = self._ledger.rows(trial_id)
        end = ending(rows, self._steps[trial_id], self._rule)
        if end is None and pruned:
            end = Ending(state=TrialState.PRUNED, end_reason=EndReason.PRUNED)
        last = rows[-1].step if rows else 0
        error = f"training ended at step {last} of {self._steps[trial_id]} without a reason"
        self._end(trial_id, end or Ending(state=TrialState.FAIL, end_reason=EndReason.ERROR, error=error))

    def failed(self, trial_id: str, error: str, traceback: str, *, out_of_memory: bool = False) -> None:
        """Records that a trial has raised an error, or that its process has died too often.

        A trial that runs out of memory for the first time waits to be retried alone.
        """
        one_line = " ".join(error.split())
        state, reason = TrialState.FAIL, EndReason.ERROR
        if out_of_memory and trial_id not in self._ran_out_of_memory:
            self._ran_out_of_memory.append(trial_id)
            state, reason = TrialState.WAITING, EndReason.OUT_OF_MEMORY
        elif out_of_memory:
            one_line = f"{one_line}; {OUT_OF_MEMORY_ADVICE}"
        self._end(trial_id, Ending(state=state, end_reason=reason, error=one_line, traceback=traceback))

    def lost(self, trial_id: str, error: str, traceback: str, *, in_pack: bool = False) -> None:
        """Records that a trial could not go on, for a reason that need not be its own.

        It waits to be tried again, alone, once the others have run: once after it was in a pack, and once
        after its processes have all died within a moment, as on a node that dies. Then it has failed.
        """
        earlier = self._lost_in_pack if in_pack else self._lost
        if trial_id in earlier:
            self.failed(trial_id, error, traceback)
            return
        earlier.append(trial_id)
        end = Ending(
            state=TrialState.WAITING,
            end_reason=EndReason.INTERRUPTED,
            error=" ".join(error.split()),
            traceback=traceback,
        )
        self._end(trial_id, end)

    def hung(self, trial_ids: Sequence[str]) -> None:
        """Shows that the process of some trials hangs and is killed. Each is recorded as a start more."""
        first, *others = trial_ids
        trial = self._running.get(first)
        name = trial.name if trial else first
        more = f", and {plural(len(others), 'other')} of its pack" if others else ""
        self._display.note(f"hangs, so its process is killed and it starts again: {name}{more}")

    @property
    def running(self) -> dict[str, str]:
        """The running trials, id -> name."""
        return {trial_id: trial.name for trial_id, trial in self._running.items()}

    def note(self, line: str) -> None:
        """Shows a line."""
        self._display.note(line)

    def tick(self) -> None:
        """Lets the display show the current state."""
        self._display.tick(self.snapshot)

    def snapshot(self) -> Snapshot:
        """Returns the current state of the sweep."""
        return Snapshot(
            planned=max(self._planned, len(self._steps)),
            done=len(self._collapsed),
            collapsed=sum(self._collapsed.values()),
            failed=self._failed,
            running=tuple(self._running.values()),
            elapsed_seconds=time.monotonic() - self._began,
            seconds_left=self._seconds_left(),
        )

    def _end(self, trial_id: str, end: Ending) -> None:
        if trial_id not in self._running:
            return
        trial = self._running.pop(trial_id)
        if not self._ledger.end(trial_id, self._attempts[trial_id], end):
            return
        for feed in self._feeds:
            feed.ended(trial_id, end)
        if end.state != TrialState.WAITING:
            self._collapsed[trial_id] = end.collapsed is True
        self._failed += end.end_reason == EndReason.ERROR
        if end.end_reason == EndReason.FINISHED:
            self._seconds.append(trial.wall_seconds)
        failed = end.end_reason == EndReason.ERROR
        self._display.ended(ended_line(trial.name, trial, end), self.snapshot(), failed=failed)

    def _seconds_left(self) -> float | None:
        seconds = seconds_left(
            self._running.values(),
            planned=max(self._planned, len(self._steps)),
            done=len(self._collapsed),
            finished=self._seconds,
            expected=self._estimate.each if self._estimate else None,
        )
        return None if seconds is None else seconds / math.ceil(self._max_running / self._pack)
