"""Runs a search: its samples first, and then its winner on fresh seeds."""

from collections.abc import Callable
from pathlib import Path

from sweeps import files
from sweeps.record.ledger import Ledger
from sweeps.record.rows import SAMPLE, WINNER
from sweeps.search import samples
from sweeps.search.pruner import Pruner
from sweeps.search.searcher import LedgerSearch
from sweeps.study import Study
from sweeps.study.designs import Trial
from sweeps.tracker import Tracker


def run_search(
    study: Study,
    out: Path,
    *,
    ledger: Ledger,
    tracker: Tracker,
    execute: Callable[..., bool],
    steps: Callable[[Trial], int],
    retry_failed: bool,
) -> None:
    """Runs what is missing of a search.

    Args:
        study: the study, which has a search.
        out: its directory.
        ledger: the record.
        tracker: keeps the books.
        execute: runs trials, or a searcher's; says whether it was not asked to end.
        steps: optimiser steps of a trial.
        retry_failed: whether trials that ended with an error run again.
    """
    assert study.search
    ledger.note("planned", str(study.trial_count))
    if not samples.is_settled(ledger, study) or _samples_left(ledger, retry_failed):
        scheduler = _scheduler(study, ledger, steps)
        searcher = LedgerSearch(
            study.search,
            name=study.name,
            reference=study.reference,
            journal=out / files.JOURNAL,
            ledger=ledger,
            enter=lambda trial: tracker.entered(trial, steps(trial), design=SAMPLE),
            retry_failed=retry_failed,
        )
        try:
            if not execute([], searcher=searcher, scheduler=scheduler):
                return
        finally:
            searcher.close()
    best = samples.winner(ledger.trials(), study.search)
    if best is not None:
        for trial in samples.fresh_trials(samples.stored_trial(best), study.seeds):
            tracker.entered(trial, best["steps_planned"], design=WINNER)
    samples.settle(ledger, study)
    left = {*ledger.left(retry_failed=retry_failed)}
    winners = [row for row in ledger.trials() if row["trial_id"] in left]
    for row in winners:
        tracker.entered(samples.stored_trial(row), row["steps_planned"], design=row["design"])
    if winners:
        execute([samples.stored_trial(row) for row in winners])


def _samples_left(ledger: Ledger, retry_failed: bool) -> bool:
    left = {*ledger.left(retry_failed=retry_failed)}
    return any(row["design"] == SAMPLE and row["trial_id"] in left for row in ledger.trials())


def _scheduler(study: Study, ledger: Ledger, steps: Callable[[Trial], int]) -> Pruner | None:
    """The scheduler, taught what earlier runs have measured: Ray forgets it."""
    assert study.search
    own = study.search.scheduler
    if own.kind == "none":
        return None
    length = steps(samples.corner_samples(study.reference, study.search)[0])
    scheduler = Pruner(study.search, length)
    for row in ledger.trials():
        if row["design"] == SAMPLE and samples.is_over(row):
            scheduler.learn(row["trial_id"], ledger.rows(row["trial_id"]))
    return scheduler
