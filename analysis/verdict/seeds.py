"""Collapse counted by seed: trials that share a seed are not independent."""

from collections.abc import Sequence

import numpy as np

from analysis.cells import Cell, collapse_by_seed
from analysis.stats import Rate, clopper_pearson


def seeds_with_collapse(cells: Sequence[Cell], seeds: Sequence[int]) -> Rate:
    """In how many seeds any of the cells collapsed, out of the seeds with a judged trial in any of them."""
    collapsed_CS = collapse_by_seed(cells, seeds)
    judged_CS = ~np.isnan(collapsed_CS)
    return clopper_pearson(int((collapsed_CS == 1).any(axis=0).sum()), int(judged_CS.any(axis=0).sum()))
