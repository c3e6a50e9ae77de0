"""For which thresholds a verdict is the same."""

from collections.abc import Sequence

import numpy as np

from analysis.stats import Floats, Interval
from analysis.verdict.rules import Family
from analysis.verdict.search import LEVEL, Search, best_rule, search

_STEPS = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)
"""Thresholds tried in each power of ten."""


def threshold_grid(threshold: float) -> Sequence[float]:
    """The threshold and round numbers from a tenth of it to ten times it (at most 1), ascending."""
    first = int(np.floor(np.log10(threshold / 10)))
    numbers = {round(step * 10.0**power, 12) for power in range(first, first + 4) for step in _STEPS}
    low, high = threshold / 10, max(threshold, min(1.0, 10 * threshold))
    return sorted({threshold, *(number for number in numbers if low <= number <= high)})


def stable_range(
    std_CS: Floats,
    collapsed_CS: Floats,
    found: Search,
    family: Family,
    threshold: float,
    level: float = LEVEL,
) -> Interval | None:
    """The thresholds around the study's at which the same rule is best and passes, of those that were tried.

    None if a judged trial has no std, or if it is not even so at the study's own threshold: then the tables
    were judged in another way.

    Args:
        std_CS: last std by cell and seed, NaN where there is no judged trial or no std. Shape [cells, seeds].
        collapsed_CS: as the tables judge them: 1 where the trial collapsed, 0 where not, NaN without one.
        found: the claimed rule, which passes there.
        family: the rules that it was searched among.
        threshold: the study's, above 0.
        level: at which `found` was tested.
    """
    if int((~np.isnan(std_CS)).sum()) != found.inside.trials + found.outside.trials:
        return None
    known: dict[bytes, bool] = {np.where(np.isnan(std_CS), np.nan, collapsed_CS).tobytes(): True}

    def stands(value: float) -> bool:
        below_CS = np.where(np.isnan(std_CS), np.nan, std_CS < value)
        key = below_CS.tobytes()
        if key not in known:
            same = best_rule(below_CS, family) == found.rule  # the test takes longer than the rule
            other = search(below_CS, family, level=level) if same else None
            known[key] = other is not None and other.adjusted_p <= LEVEL
        return known[key]

    grid = threshold_grid(threshold)
    low = high = grid.index(threshold)
    if not stands(threshold):
        return None
    while low > 0 and stands(grid[low - 1]):
        low -= 1
    while high < len(grid) - 1 and stands(grid[high + 1]):
        high += 1
    return Interval(low=grid[low], high=grid[high])
