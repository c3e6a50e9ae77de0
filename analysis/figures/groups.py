"""Trials grouped for figures: by cell where cells are few, more coarsely where they are many."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.cell_groups import CellGroup, grouped
from analysis.cells import cells_of
from analysis.figures.selection import cell_term, level_term, term
from analysis.naming import measured_names
from analysis.outcomes import JUDGED, Outcome, is_judged
from analysis.results import StudyResults
from analysis.stats import Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """Trials that a figure shows as one."""

    name: str
    """What differs from the reference."""
    filter: str
    """The filter of the page that selects its trials."""
    table: pd.DataFrame
    """All trials of the study."""
    rows: npt.NDArray[np.int64]
    """Which of them are its own."""
    judged: int
    """Judged trials."""
    collapsed: int
    """Trials whose representation collapsed."""
    merged: bool
    """Whether it has more than one cell."""
    is_reference: bool

    def numbers(self, column: str) -> Floats:
        """A column of numbers over its trials, NaN for nulls. Shape [trials]."""
        return self.table[column].to_numpy(np.float64, na_value=np.nan)[self.rows]

    @cached_property
    def trials(self) -> pd.DataFrame:
        """Its rows of the table."""
        return self.table.iloc[self.rows]


@lru_cache(maxsize=16)  # several figures show the same groups
def groups(study: StudyResults, most: int) -> tuple[Group, ...]:
    """The cells; if there are more than `most`, those together that agree in what collapse depends on most.

    A search is grouped by outcome. Embeddings from elsewhere are a group each, unless there are too many.
    """
    if study.is_measured and len(study.trials) <= most:
        names = measured_names(study.trials["trial_id"])
        return tuple(_single(study.trials, row, names) for row in range(len(study.trials)))
    cells = cells_of(study)
    made = grouped(cells, most) if cells else None
    return _by_outcome(study.trials) if made is None else tuple(map(_group, made))


def _single(trials: pd.DataFrame, row: int, names: Mapping[str, str]) -> Group:
    trial, outcome = str(trials["trial_id"].iloc[row]), trials["outcome"].iloc[row]
    return Group(
        name=names[trial],
        filter=term("trial_id", trial),
        table=trials,
        rows=np.array([row]),
        judged=int(outcome in JUDGED),
        collapsed=int(outcome == Outcome.COLLAPSED),
        merged=False,
        is_reference=False,
    )


def _group(group: CellGroup) -> Group:
    first, merged = group.cells[0], len(group.cells) > 1
    shared = [level_term(name, label) for name, label in group.shared]
    return Group(
        name=group.name,
        filter=" ".join(shared) if merged else cell_term(first),
        table=first.table.frame,
        rows=np.concatenate([cell.rows for cell in group.cells]),
        judged=group.judged,
        collapsed=group.collapsed,
        merged=merged,
        is_reference=not merged and first.is_reference,
    )


def _by_outcome(trials: pd.DataFrame) -> tuple[Group, ...]:
    outcomes, judged = trials["outcome"].to_numpy(object), is_judged(trials).to_numpy(bool)
    return tuple(
        Group(
            name=str(outcome),
            filter=term("outcome", outcome),
            table=trials,
            rows=np.flatnonzero(outcomes == outcome),
            judged=int((judged & (outcomes == outcome)).sum()),
            collapsed=int((outcomes == outcome).sum()) if outcome == Outcome.COLLAPSED else 0,
            merged=True,
            is_reference=False,
        )
        for outcome in sorted(set(outcomes.tolist()))
    )
