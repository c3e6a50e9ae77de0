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
    """Its trials, in the order in which they run."""
    workers: int
    """Concurrent trials."""
    source: str | None
    """Where the times come from; None if there is no estimate."""
    trial_seconds: float | None
    """Estimated wall seconds of all trials together; None without an estimate."""
    wall_seconds: float | None
    """Estimated wall seconds of the sweep, from a simulation of its schedule; None without an estimate."""
    cost: float | None
    """Estimated cost, in the unit of the price; None without a price or an estimate."""
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
        workers: concurrent trials; None is as many as this machine's CPUs hold.
        estimate: what trials take; None if that is unknown.
        price: of one hour of a worker, that is of the room that one trial takes.
    """
    cells = study.cells()
    trials = study.trials()
    workers = workers or max(1, int((os.cpu_count() or 1) / study.resources.cpu))
    trial_seconds = sweep_seconds = None
    if estimate is not None and study.search:  # its winner waits for the last sample
        rounds = -(-study.search.trials // workers) - (-len(study.seeds) // workers)
        trial_seconds, sweep_seconds = estimate.each * study.trial_count, estimate.each * rounds
    elif estimate is not None:
        trial_seconds = sum(estimate.seconds[trial.cell_id] for trial in trials)
        sweep_seconds = wall_seconds(trials, estimate, workers)
    return Plan(
        study=study,
        cells=cells,
        trials=trials,
        workers=workers,
        source=None if estimate is None else estimate.source,
        trial_seconds=trial_seconds,
        wall_seconds=sweep_seconds,
        cost=None if price is None or trial_seconds is None else price * trial_seconds / 3600,
        warnings=tuple(warnings(study)),
    )
