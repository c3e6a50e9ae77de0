"""Trials grouped for figures: by cell where cells are few, more coarsely where they are many."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from analysis.cell_groups import CellGroup, grouped
from analysis.cells import cells_of
from analysis.figures.selection import cell_term, term
from analysis.outcomes import Outcome, is_judged
from analysis.results import StudyResults


@dataclass(frozen=True, kw_only=True)
class Group:
    """Trials that a figure shows as one."""

    name: str
    """What differs from the reference."""
    filter: str
    """The filter of the page that selects its trials."""
    trials: pd.DataFrame
    judged: int
    """Judged trials."""
    collapsed: int
    """Trials whose representation collapsed."""
    merged: bool
    """Whether it has more than one cell."""
    is_reference: bool


@lru_cache(maxsize=16)  # several figures show the same groups
def groups(study: StudyResults, most: int) -> tuple[Group, ...]:
    """The cells; if there are more than `most`, those together that agree in what collapse depends on most.

    A search is grouped by outcome.
    """
    cells = cells_of(study)
    made = grouped(cells, most) if cells else None
    return _by_outcome(study.trials) if made is None else tuple(map(_group, made))


def _group(group: CellGroup) -> Group:
    first, merged = group.cells[0], len(group.cells) > 1
    shared = [term(name, label) for name, label in group.shared]
    return Group(
        name=group.name,
        filter=" ".join(shared) if merged else cell_term(first),
        trials=first.table.frame.iloc[np.concatenate([cell.rows for cell in group.cells])],
        judged=group.judged,
        collapsed=group.collapsed,
        merged=merged,
        is_reference=not merged and first.is_reference,
    )


def _by_outcome(trials: pd.DataFrame) -> tuple[Group, ...]:
    return tuple(
        Group(
            name=str(outcome),
            filter=term("outcome", outcome),
            trials=rows,
            judged=int(is_judged(rows).sum()),
            collapsed=int((rows["outcome"] == Outcome.COLLAPSED).sum()),
            merged=True,
            is_reference=False,
        )
        for outcome, rows in sorted(trials.groupby("outcome", sort=True), key=lambda pair: str(pair[0]))
    )
