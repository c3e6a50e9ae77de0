"""Runs what is missing of a search: its samples, then its winner on fresh seeds."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sweeps.engine.driver import Driver
from sweeps.record.ledger import Ledger
from sweeps.record.rows import SAMPLE, WINNER
from sweeps.record.samples import is_settled, settle, winner
from sweeps.search.pruner import Pruner
from sweeps.search.searcher import LedgerSearch
from sweeps.study import Resources, Study
from sweeps.study.designs import Trial
from sweeps.study.samples import corner_samples, fresh_trials
from sweeps.study.spaces import Search
from sweeps.tracker import Tracker


@dataclass(frozen=True, kw_only=True)
class SearchRun:
    """A search in progress. `Sweep` creates it."""

    study: Study
    """The study that the search is part of."""
    search: Search
    """Its space, sampler, objectives and scheduler."""
    journal: Path
    """File of the Optuna study."""
    ledger: Ledger
    """The record."""
    tracker: Tracker
    """Enters and records trials."""
    steps: Callable[[Trial], int]
    """Returns the optimiser steps of a trial."""
    retry_failed: bool
    """Whether trials that ended with an error run again."""

    def execute(self, driver: Driver, *, resources: Resources, workers: int) -> None:
        """Runs the missing samples, then the missing trials of the winner, until done or interrupted.

        Args:
            driver: runs trials.
            resources: what one trial occupies.
            workers: maximum concurrent trials.
        """
        if self.is_sample_missing:
            scheduler = self.scheduler()
            with contextlib.closing(self.searcher()) as searcher:
                driver.search(searcher, scheduler, resources=resources, workers=workers)
            if driver.interruption.stop_all():
                return
        trials = self.plan_winner()
        if trials:
            driver.run(trials, resources=resources, workers=workers)

    @property
    def is_sample_missing(self) -> bool:
        """Whether a sample must still be drawn, or run again."""
        if not is_settled(self.ledger, self.study):
            return True
        pending = set(self.ledger.pending(retry_failed=self.retry_failed))
        return any(row.design == SAMPLE and row.trial_id in pending for row in self.ledger.trials())

    def searcher(self) -> LedgerSearch:
        """Returns what suggests the samples. The caller closes it."""
        return LedgerSearch(
            self.search,
            name=self.study.name,
            reference=self.study.reference,
            journal=self.journal,
            ledger=self.ledger,
            enter=lambda trial: self.tracker.add(trial, self.steps(trial), design=SAMPLE),
            retry_failed=self.retry_failed,
        )

    def scheduler(self) -> Pruner | None:
        """Returns what stops samples early; None if nothing does. Shows it the samples of earlier runs."""
        if self.search.scheduler.kind == "none":
            return None
        length = self.steps(corner_samples(self.study.reference, self.search)[0])
        scheduler = Pruner(self.search, length)
        for row in self.ledger.trials():
            if row.design == SAMPLE and row.has_ended:
                scheduler.learn(row.trial_id, self.ledger.rows(row.trial_id))
        return scheduler

    def plan_winner(self) -> list[Trial]:
        """Enters the winner with the study's seeds, and returns the trials still to run."""
        best = winner(self.ledger.trials(), self.search)
        if best is not None:
            for trial in fresh_trials(best.trial, self.study.seeds):
                self.tracker.add(trial, best.steps_planned, design=WINNER)
        settle(self.ledger, self.study)
        pending = set(self.ledger.pending(retry_failed=self.retry_failed))
        rows = [row for row in self.ledger.trials() if row.trial_id in pending]
        for row in rows:
            self.tracker.add(row.trial, row.steps_planned, design=row.design)
        return [row.trial for row in rows]
