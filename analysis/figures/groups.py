"""Trials grouped for figures: by cell where cells are few, more coarsely where they are many."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import pandas as pd

from analysis.cells import Cell, cells_of
from analysis.naming import cell_words, factor_words
from analysis.outcomes import Outcome, is_judged
from analysis.results import StudyResults
from analysis.wording import listed


@dataclass(frozen=True, kw_only=True)
class Group:
    """Trials that a figure shows as one."""

    name: str
    """What differs from the reference."""
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
    """The cells; if there are more than `most`, cells that agree in the first factors, as many as fit.

    A search is grouped by outcome.
    """
    cells = cells_of(study)
    if not cells:
        return _by_outcome(study.trials)
    depth = len(study.factors)
    while depth > 1 and len({cell.codes[:depth] for cell in cells}) > most:
        depth -= 1
    members: dict[tuple[int, ...], list[Cell]] = {}
    for cell in cells:
        members.setdefault(cell.codes[:depth], []).append(cell)
    if len(members) > most:
        return _by_outcome(study.trials)
    return tuple(_group(study, same, depth) for same in members.values())


def _group(study: StudyResults, cells: Sequence[Cell], depth: int) -> Group:
    first = cells[0]
    changes = [
        (first.factors[index], first.labels[index]) for index in range(depth) if first.codes[index] > 0
    ]
    merged = len(cells) > 1
    name = cell_words(changes)
    if merged and not changes:
        name = f"{listed([factor_words(factor.name) for factor in study.factors[:depth]])} as in the reference"
    trials = pd.concat([cell.trials for cell in cells]) if merged else first.trials
    return Group(
        name=name,
        trials=trials,
        judged=sum(cell.judged for cell in cells),
        collapsed=sum(cell.collapsed for cell in cells),
        merged=merged,
        is_reference=not merged and first.is_reference,
    )


def _by_outcome(trials: pd.DataFrame) -> tuple[Group, ...]:
    return tuple(
        Group(
            name=str(outcome),
            trials=rows,
            judged=int(is_judged(rows).sum()),
            collapsed=int((rows["outcome"] == Outcome.COLLAPSED).sum()),
            merged=True,
            is_reference=False,
        )
        for outcome, rows in sorted(trials.groupby("outcome", sort=True), key=lambda pair: str(pair[0]))
    )
