"""What would settle an open verdict: how many seeds, as far as the results at hand can tell."""

from dataclasses import dataclass

import numpy as np

from analysis.results import SeedSequence
from analysis.stats import Floats
from analysis.verdict.rules import Family
from analysis.verdict.search import LEVEL, Search, search
from analysis.verdict.sequence import level_at

_MOST_TIMES = 5
"""The seeds at hand are repeated up to this often."""


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What the present seeds could have shown, and what more of them could."""

    least_p: float
    """The adjusted p if all trials outside the best rule had collapsed and none inside."""
    seeds: int | None
    """The smallest multiple of the present seeds, each repeated as it is, at which the best rule passes; None
    if five times as many would not do. Real seeds differ, so this is a guess."""
    most_seeds: int
    """The largest number that was tried."""


def outlook(
    collapsed_CS: Floats,
    family: Family,
    found: Search,
    sequence: SeedSequence | None = None,
) -> Outlook:
    """What would make the best rule pass.

    Args:
        collapsed_CS: 1 where the trial of a cell and seed collapsed, 0 where not, NaN without one.
        family: the rules.
        found: what `search` found with these; not significant.
        sequence: whose look this is.
    """

    def judge(outcomes_CS: Floats) -> Search | None:
        return search(outcomes_CS, family, level=level_at(outcomes_CS, sequence))

    judged_CS = ~np.isnan(collapsed_CS)
    perfect_CS = np.where(judged_CS, ~found.inside_C[:, None], np.nan)
    perfect = judge(perfect_CS)
    least_p = 1.0 if perfect is None or perfect.rule != found.rule else perfect.adjusted_p
    n = int(judged_CS.any(axis=0).sum())
    for times in range(2, _MOST_TIMES + 1):
        repeated = judge(np.tile(collapsed_CS, times))
        if repeated is not None and repeated.rule == found.rule and repeated.adjusted_p <= LEVEL:
            return Outlook(least_p=least_p, seeds=n * times, most_seeds=n * _MOST_TIMES)
    return Outlook(least_p=least_p, seeds=None, most_seeds=n * _MOST_TIMES)
