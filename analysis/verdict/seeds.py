"""Collapse counted by seed: trials that share a seed are not independent."""

from collections.abc import Sequence

import numpy as np

from analysis.cells import Cell, collapse_by_seed
from analysis.stats import Rate, clopper_pearson


def seeds_with_collapse(cells: Sequence[Cell], seeds: Sequence[int]) -> Rate:
    """In how many seeds any of the cells collapsed, out of the seeds that have a result in all of them.

    Cells without any result do not count. A seed with a result in few of the cells says little about them.
    """
    collapsed_CS = collapse_by_seed([cell for cell in cells if cell.judged], seeds)
    if not len(collapsed_CS):
        return clopper_pearson(0, 0)
    complete_S = ~np.isnan(collapsed_CS).any(axis=0)
    return clopper_pearson(int((collapsed_CS[:, complete_S] == 1).any(axis=0).sum()), int(complete_S.sum()))
