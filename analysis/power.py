"""What n seeds could show: the smallest difference in accuracy that they would find, given its spread."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from analysis.cells import cells_of, reference_of, values_by_seed
from analysis.results import StudyResults

POWER, CONFIDENCE = 0.8, 0.95


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How much the difference of a cell's kNN accuracy from the reference's varies between seeds."""

    sd: float
    """Standard deviation over seeds, pooled over the cells."""
    low: float
    """The smallest of a single cell."""
    high: float
    """The largest."""
    cells: int
    """How many cells it is from. All share the reference, so they are not independent."""
    seeds: int
    """The most seeds that a cell shares with the reference."""


def spread(study: StudyResults) -> Spread | None:
    """The spread of paired differences, over cells without any collapse; None unless two seeds have one."""
    cells = cells_of(study)
    reference = reference_of(cells)
    if reference is None:
        return None
    accuracies_CS = values_by_seed(cells, study.seeds, "knn_accuracy", survivors_only=True)
    differences_CS = accuracies_CS - accuracies_CS[[cell.is_reference for cell in cells]]
    of_cells = [d[~np.isnan(d)] for d, cell in zip(differences_CS, cells, strict=True) if cell != reference]
    of_cells = [d for d in of_cells if len(d) > 1]
    if not of_cells:
        return None
    squares = sum(float(((d - d.mean()) ** 2).sum()) for d in of_cells)
    deviations = [float(d.std(ddof=1)) for d in of_cells]
    return Spread(
        sd=math.sqrt(squares / sum(len(d) - 1 for d in of_cells)),
        low=min(deviations),
        high=max(deviations),
        cells=len(of_cells),
        seeds=max(map(len, of_cells)),
    )


def smallest_difference(sd: float, seeds: int, power: float = POWER, level: float = CONFIDENCE) -> float:
    """The difference that a paired t interval over `seeds` tells from 0 with this power; NaN for one seed.

    From the noncentral t distribution: the interval lies on the difference's side of 0. One comparison,
    planned beforehand: intervals that allow for several are wider.

    Args:
        sd: of the paired differences.
        seeds: how many.
        power: probability that the interval leaves out 0.
        level: of the interval.

    >>> round(smallest_difference(1.0, 5), 3), round(smallest_difference(2.0, 10), 3)
    (1.682, 1.992)
    """
    if seeds < 2:
        return math.nan
    quantile = stats.t.isf((1 - level) / 2, seeds - 1)

    def missed(effect: float) -> float:
        return power - float(stats.nct.sf(quantile, seeds - 1, effect * math.sqrt(seeds)))

    most = 1.0
    while missed(most) > 0:
        most *= 2
    return sd * float(optimize.brentq(missed, 0.0, most))
