"""Trials grouped for figures: by cell where cells are few, more coarsely where they are many."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.cells import cells_of
from analysis.outcomes import Outcome, is_judged
from analysis.results import StudyResults


@dataclass(frozen=True, kw_only=True)
class Group:
    """Trials that a figure shows as one."""

    name: str
    """Levels with the names of their factors."""
    levels: tuple[str, ...]
    """Levels alone."""
    trials: pd.DataFrame
    merged: bool
    """Whether it has more than one cell."""

    @property
    def short(self) -> str:
        """The levels in the order of the factors."""
        return " · ".join(self.levels)

    @property
    def judged(self) -> int:
        """Judged trials."""
        return int(is_judged(self.trials).sum())

    @property
    def collapsed(self) -> int:
        """Trials whose representation collapsed."""
        return int((self.trials["outcome"] == Outcome.COLLAPSED).sum())


def groups(study: StudyResults, most: int) -> list[Group]:
    """The cells; if there are more than `most`, cells that agree in the first factors, as many as fit.

    A search is grouped by outcome.
    """
    cells = cells_of(study)
    if not cells:
        return _by_outcome(study.trials)
    depth = len(study.factors)
    while depth > 1 and len({cell.codes[:depth] for cell in cells}) > most:
        depth -= 1
    tables: dict[tuple[str, ...], list[pd.DataFrame]] = {}
    for cell in cells:
        tables.setdefault(cell.labels[:depth], []).append(cell.trials)
    if len(tables) > most:
        return _by_outcome(study.trials)
    return [_group(study, labels, group_tables) for labels, group_tables in tables.items()]


def _group(study: StudyResults, labels: tuple[str, ...], tables: Sequence[pd.DataFrame]) -> Group:
    return Group(
        name=", ".join(
            f"{factor.name} = {label}" for factor, label in zip(study.factors, labels, strict=False)
        ),
        levels=labels,
        trials=pd.concat(tables),
        merged=len(tables) > 1,
    )


def _by_outcome(trials: pd.DataFrame) -> list[Group]:
    return [
        Group(name=str(outcome), levels=(str(outcome),), trials=rows, merged=True)
        for outcome, rows in sorted(trials.groupby("outcome", sort=True), key=lambda pair: str(pair[0]))
    ]
