"""What a study will do, said before anything starts."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from byol.config import NAMED_SETS
from sweeps.planning.estimates import Estimate, wall_seconds
from sweeps.study import Study
from sweeps.study.designs import Cell, Trial


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A study, counted out."""

    study: Study
    """The study."""
    cells: tuple[Cell, ...]
    """Its cells."""
    trials: tuple[Trial, ...]
    """Its trials, in the order in which they run."""
    workers: int
    """Trials at a time."""
    source: str | None
    """Where the times come from; None if nothing is known."""
    trial_seconds: float | None
    """Estimated wall seconds of all trials one after the other; None likewise."""
    wall_seconds: float | None
    """Estimated wall seconds of the sweep, its schedule simulated; None likewise."""
    cost: float | None
    """Estimated cost, in the unit of the price; None without a price."""
    warnings: tuple[str, ...]
    """What is legal, but may surprise."""


def make_plan(
    study: Study, *, workers: int | None = None, estimate: Estimate | None = None, price: float | None = None
) -> Plan:
    """Counts a study out.

    Args:
        study: the study.
        workers: trials at a time; None is as many as this machine's CPUs hold.
        estimate: what trials take; None if nothing is known.
        price: of one hour of a worker, that is of the room that one trial takes.
    """
    cells = study.cells()
    trials = study.trials()
    at_a_time = workers or max(1, int((os.cpu_count() or 1) / study.resources.cpu))
    spent = wall = None
    if estimate is not None and study.search:  # its winner waits for the last sample
        rounds = -(-study.search.trials // at_a_time) - (-len(study.seeds) // at_a_time)
        spent, wall = estimate.each * study.trial_count, estimate.each * rounds
    elif estimate is not None:
        spent = sum(estimate.seconds[trial.cell_id] for trial in trials)
        wall = wall_seconds(trials, estimate, at_a_time)
    return Plan(
        study=study,
        cells=cells,
        trials=trials,
        workers=at_a_time,
        source=None if estimate is None else estimate.source,
        trial_seconds=spent,
        wall_seconds=wall,
        cost=None if price is None or spent is None else price * spent / 3600,
        warnings=tuple(_warnings(study, cells)),
    )


def _warnings(study: Study, cells: Sequence[Cell]) -> Iterator[str]:
    for dataset in dict.fromkeys(cell.config.dataset for cell in cells):
        if dataset not in NAMED_SETS:
            if not Path(dataset.partition(":")[2]).expanduser().exists():
                yield f"{dataset} is not on this machine"
        elif dataset != NAMED_SETS[0]:
            yield f"{dataset} is downloaded unless --data-root holds it"
    if study.resources.gpu and not any(Path("/dev").glob("nvidia[0-9]*")):
        yield f"a trial asks for {study.resources.gpu:g} GPU, and this machine shows none"
    if study.resources.cpu > (os.cpu_count() or 1):
        yield f"a trial asks for {study.resources.cpu:g} CPUs, and this machine has {os.cpu_count()}"
