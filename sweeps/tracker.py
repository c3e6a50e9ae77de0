"""Keeps the books of a running sweep: each event goes to the ledger first, then to the display.

Knows no Ray: the engine's callback calls it, and so could anything else that runs trials.
"""

import dataclasses
import time
from collections.abc import Mapping

from byol.measure.collapse import CollapseRule
from sweeps.planning.estimates import Estimate
from sweeps.progress import Display, RunningTrial, Snapshot, ended_line
from sweeps.record.endings import ending
from sweeps.record.ledger import Ledger
from sweeps.record.rows import Ending, Measurement
from sweeps.study.designs import Trial, describe

OUT_OF_MEMORY_ADVICE = (
    "it did so alone on a GPU, too: make batch_size, image_size, the encoder or the heads smaller, "
    "or set precision: bf16"
)
"""Follows the error of a trial that ran out of memory twice."""


class Tracker:
    """Records starts, measurements and ends of trials."""

    def __init__(
        self,
        ledger: Ledger,
        display: Display,
        trials: Mapping[str, Trial],
        *,
        rule: CollapseRule,
        estimate: Estimate | None = None,
        planned: int = 0,
    ) -> None:
        """Keeps the books of `trials`, which the ledger holds already, by id.

        Args:
            ledger: the record.
            display: shows how it goes.
            trials: by id. More may be `entered`.
            rule: when a trial counts as collapsed, and whether that ends it.
            estimate: what trials are expected to take; None if nothing is known.
            planned: how many trials there will be, where more are to be entered.
        """
        self._estimate = estimate
        self._ledger = ledger
        self._display = display
        self.trials = dict(trials)
        """By id."""
        self._planned = planned
        self._rule = rule
        self._attempts: dict[str, int] = {}
        self._running: dict[str, RunningTrial] = {}
        stored = ledger.trials()
        self._steps = {row["trial_id"]: row["steps_planned"] for row in stored}
        waiting = set(ledger.left(retry_failed=True))
        self._ended = {row["trial_id"]: row["collapsed"] == 1 for row in stored}
        self._ended = {key: value for key, value in self._ended.items() if key not in waiting}
        self._failed = 0
        self.alone: list[str] = []
        """Trials that ran out of memory beside others, and are still to be tried alone."""
        self._seconds: list[float] = []
        self._began = time.monotonic()
        self._most_at_once = 1

    def entered(self, trial: Trial, steps: int, *, design: str) -> None:
        """One more trial is to run."""
        self._ledger.add(trial, steps, design=design)
        self.trials[trial.trial_id] = trial
        self._steps[trial.trial_id] = steps

    def alone_left(self) -> list[str]:
        """Those of `alone` that have not run again yet."""
        left = {*self._ledger.left(retry_failed=False)}
        return [trial_id for trial_id in self.alone if trial_id in left]

    def started(self, trial_id: str) -> None:
        """A trial has started, or started again."""
        self._attempts[trial_id] = self._ledger.start(trial_id)
        trial = self.trials[trial_id]
        name = f"{describe(trial.labels)}, seed {trial.seed}"
        self._running[trial_id] = RunningTrial(name=name, steps_planned=self._steps[trial_id])
        self._most_at_once = max(self._most_at_once, len(self._running))

    def measured(self, trial_id: str, measurement: Measurement) -> None:
        """A running trial has measured."""
        if not self._ledger.append(trial_id, self._attempts[trial_id], measurement):
            return
        row = measurement.row
        self._running[trial_id] = dataclasses.replace(
            self._running[trial_id],
            step=int(row["step"] or 0),
            loss=row["loss"],
            representation_std=row["representation_std"],
            wall_seconds=measurement.wall_seconds,
        )

    def returned(self, trial_id: str, *, pruned: bool = False) -> None:
        """A trial's training has ended: finished, diverged, collapsed, `pruned` by a scheduler, too early."""
        rows = self._ledger.rows(trial_id)
        end = ending(rows, self._steps[trial_id], self._rule)
        if end is None and pruned:
            end = Ending(state="PRUNED", end_reason="pruned")
        last = int(rows[-1]["step"] or 0) if rows else 0
        early = f"training ended at step {last} of {self._steps[trial_id]} without a reason"
        self._end(trial_id, end or Ending(state="FAIL", end_reason="error", error=early))

    def failed(self, trial_id: str, error: str, traceback: str, *, out_of_memory: bool = False) -> None:
        """A trial has raised an error, or its process has died too often.

        A trial that runs out of memory for the first time is left for another attempt, alone.
        """
        one_line = " ".join(error.split())
        if out_of_memory and trial_id not in self.alone:
            self.alone.append(trial_id)
            self._end(trial_id, Ending(state="FAIL", end_reason="interrupted", error=one_line))
            return
        if out_of_memory:
            one_line = f"{one_line}; {OUT_OF_MEMORY_ADVICE}"
        self._end(trial_id, Ending(state="FAIL", end_reason="error", error=one_line, traceback=traceback))

    def tick(self) -> None:
        """Gives the display a chance to show the current state."""
        self._display.tick(self.snapshot)

    def snapshot(self) -> Snapshot:
        """The state of the sweep now."""
        return Snapshot(
            planned=max(self._planned, len(self._steps)),
            done=len(self._ended),
            collapsed=sum(self._ended.values()),
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
        if end.end_reason != "interrupted":
            self._ended[trial_id] = end.collapsed is True
        self._failed += end.end_reason == "error"
        if end.end_reason == "finished":
            self._seconds.append(trial.wall_seconds)
        self._display.ended(ended_line(trial.name, trial, end), self.snapshot())

    def _seconds_left(self) -> float | None:
        shares = [(trial, trial.step / max(1, trial.steps_planned)) for trial in self._running.values()]
        # A trial's first measurement comes after all that happens once, and says little of its pace.
        begun = [trial.wall_seconds / share for trial, share in shares if share >= 0.2]
        expected = [self._estimate.each] if self._estimate else []
        known = self._seconds or begun or expected
        if not known:
            return None
        trials = max(self._planned, len(self._steps)) - len(self._ended) - sum(share for _, share in shares)
        return trials * sum(known) / len(known) / self._most_at_once
