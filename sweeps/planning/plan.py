"""What a study will run and what that will take, before anything starts."""

import os
from dataclasses import dataclass

from sweeps.planning.estimates import Estimate, wall_seconds
from sweeps.planning.warnings import warnings
from sweeps.study import Study
from sweeps.study.designs import Cell, Trial


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a study will run, and what that is expected to take."""

    study: Study
    """The study."""
    cells: tuple[Cell, ...]
    """Its cells."""
    trials: tuple[Trial, ...]
    """Its trials, in the order in which they run; of a sequence, with all seeds that may run."""
    fewest: int
    """How many of them run in any case: fewer than all only in a sequence."""
    workers: int
    """Concurrent workers."""
    source: str | None
    """Where the times come from; None if there is no estimate."""
    trial_seconds: float | None
    """Estimated wall seconds of all trials together; None without an estimate."""
    wall_seconds: float | None
    """Estimated wall seconds of the sweep, from a simulation of its schedule; None without an estimate."""
    cost: float | None
    """Estimated cost, in the unit of the price; None without a price or an estimate."""
    fewest_trial_seconds: float | None
    """As trial_seconds, of the fewest trials."""
    fewest_wall_seconds: float | None
    """As wall_seconds, of the fewest trials."""
    fewest_cost: float | None
    """As cost, of the fewest trials."""
    warnings: tuple[str, ...]
    """What is allowed, but may surprise."""


def make_plan(
    study: Study, *, workers: int | None = None, estimate: Estimate | None = None, price: float | None = None
) -> Plan:
    """Counts what a study will run, and what that is expected to take. Starts nothing.

    >>> from sweeps.study import load_study
    >>> plan = make_plan(load_study("collapse-quickstart"), workers=2)
    >>> len(plan.cells), len(plan.trials)
    (5, 15)

    Args:
        study: the study.
        workers: concurrent workers; None is as many as this machine's CPUs hold.
        estimate: what trials take; None if that is unknown.
        price: of one hour of a worker, that is of the room that one trial, or pack, takes.
    """
    study = study.at_most()
    fewest = study.with_seeds(study.sequence.least) if study.sequence else study
    workers = workers or max(1, int((os.cpu_count() or 1) / study.resources.cpu))
    trial_seconds, sweep_seconds = _expected(study, estimate, workers)
    fewest_trial_seconds, fewest_sweep_seconds = _expected(fewest, estimate, workers)
    return Plan(
        study=study,
        cells=study.cells(),
        trials=study.trials(),
        fewest=fewest.trial_count,
        workers=workers,
        source=None if estimate is None else estimate.source,
        trial_seconds=trial_seconds,
        wall_seconds=sweep_seconds,
        cost=_cost(trial_seconds, price),
        fewest_trial_seconds=fewest_trial_seconds,
        fewest_wall_seconds=fewest_sweep_seconds,
        fewest_cost=_cost(fewest_trial_seconds, price),
        warnings=tuple(warnings(study)),
    )


def _expected(
    study: Study, estimate: Estimate | None, workers: int
) -> tuple[float, float] | tuple[None, None]:
    """Seconds of all trials together, and of the sweep."""
    if estimate is None:
        return None, None
    if study.search:  # its winner waits for the last sample
        rounds = -(-study.search.trials // workers) - (-len(study.seeds) // workers)
        return estimate.each * study.trial_count, estimate.each * rounds
    trials = study.trials()
    seconds = sum(estimate.seconds[trial.cell_id] for trial in trials)
    if study.sequence is None:
        return seconds, wall_seconds(trials, estimate, workers)
    least = study.with_seeds(study.sequence.least).trials()
    one = wall_seconds(trials[: len(study.cells())], estimate, workers)  # each later seed waits for a look
    return seconds, wall_seconds(least, estimate, workers) + one * (len(study.seeds) - study.sequence.least)


def _cost(seconds: float | None, price: float | None) -> float | None:
    return None if price is None or seconds is None else price * seconds / 3600
