"""What a search came to: its samples, the best of them, and the best one's score on fresh seeds.

The value with which a sample won is the best of many and so optimistic. Its score is the mean over fresh
seeds, and nothing else is called that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.outcomes import JUDGED
from analysis.results import StudyResults
from analysis.stats import Mean, mean_interval
from analysis.wording import mean_percent, number, percent, why_interval

WINNER = "winner"
"""What `design` says of the trials with fresh seeds; all others are samples."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What was searched for."""

    column: str
    """Of the table of trials."""
    maximize: bool

    @property
    def name(self) -> str:
        """For sentences: `kNN accuracy`."""
        return self.column.replace("_", " ").replace("knn", "kNN")

    @property
    def is_share(self) -> bool:
        """Whether it is shown as a percentage."""
        return self.column.endswith("accuracy")

    def shown(self, value: float) -> str:
        """A value of it as text."""
        return percent(value, 1) if self.is_share else number(value)

    def score(self, mean: Mean) -> str:
        """A mean of it over seeds as text, with its interval and n."""
        if self.is_share:
            return mean_percent(mean)
        interval = why_interval(mean, lambda i: f"{number(i.low)} to {number(i.high)}")
        return f"{number(mean.estimate)} ({interval})"


@dataclass(frozen=True, kw_only=True, eq=False)
class Searched:
    """A search's results."""

    objectives: tuple[Objective, ...]
    """The first decides on the winner."""
    section: Mapping[str, Any]
    """The study's `search`; empty where the document lacks one."""
    samples: pd.DataFrame
    """Rows of the table of trials, in order."""
    values: npt.NDArray[np.float64]
    """Of the objectives, NaN where a sample has no result. Shape [samples, objectives]."""
    best: int | None
    """Position of the winner among the samples."""
    fresh: pd.DataFrame
    """The winner's trials with fresh seeds."""
    scores: tuple[Mean | None, ...]
    """Of the objectives over the fresh seeds; None without a value."""

    @property
    def eligible(self) -> npt.NDArray[np.bool_]:
        """Which samples could win: those with results that did not collapse, or any if all did. [samples]"""
        known = ~np.isnan(self.values).any(axis=1)
        alive = known & (self.samples["outcome"] != "collapsed").to_numpy(dtype=bool)
        return np.asarray(alive if alive.any() else known)

    @property
    def front(self) -> npt.NDArray[np.bool_]:
        """Which eligible samples no other one beats in every objective. Shape [samples]."""
        return pareto_front(np.where(self.eligible[:, None], self.values, np.nan), self.objectives)


def searched(study: StudyResults) -> Searched:
    """Reads a search out of a study's results."""
    section = study.documents[0].get("search") or {}
    ways = section.get("objectives") or {"knn_accuracy": "maximize"}
    objectives = tuple(Objective(column=name, maximize=way == "maximize") for name, way in ways.items())
    fresh = (study.trials["design"] == WINNER).fillna(False).astype(bool)
    samples = study.trials[~fresh].reset_index(drop=True)
    found = Searched(
        objectives=objectives, section=section, samples=samples, values=_values(samples, objectives),
        best=None, fresh=study.trials[[]], scores=(),
    )  # fmt: skip
    best = _best(found)
    mine = (
        fresh & (study.trials["cell_id"] == samples["cell_id"].iloc[best])
        if best is not None
        else fresh & False
    )
    runs = study.trials[mine.astype(bool)].reset_index(drop=True)
    scores = [column[~np.isnan(column)] for column in _values(runs, objectives).T]
    return Searched(
        objectives=objectives, section=section, samples=samples, values=found.values, best=best, fresh=runs,
        scores=tuple(mean_interval(values) if len(values) else None for values in scores),
    )  # fmt: skip


def _values(trials: pd.DataFrame, objectives: Sequence[Objective]) -> npt.NDArray[np.float64]:
    """Of trials that came to a result: not of failed, diverged or pruned ones."""
    table = trials[[one.column for one in objectives]].to_numpy(dtype=np.float64, na_value=np.nan)
    has_result = trials["outcome"].isin((*JUDGED, "unknown")).to_numpy(dtype=bool)
    return np.where(has_result[:, None] & np.isfinite(table), table, np.nan)


def _best(found: Searched) -> int | None:
    """By the first objective, and by the next ones where that is equal; the earliest of equals."""
    places = np.flatnonzero(found.eligible)
    signs = np.array([1.0 if one.maximize else -1.0 for one in found.objectives])
    best = max(places, key=lambda place: tuple(signs * found.values[place]), default=None)
    return None if best is None else int(best)


def pareto_front(values: npt.NDArray[np.float64], objectives: Sequence[Objective]) -> npt.NDArray[np.bool_]:
    """Which rows no other row dominates: at least as good in all objectives, and better in one.

    Args:
        values: shape [rows, objectives]; a row with a NaN is never in the front and dominates none.
        objectives: which way is better.
    """
    signed = values * np.array([1.0 if one.maximize else -1.0 for one in objectives])
    known = ~np.isnan(signed).any(axis=1)
    front = known.copy()
    for row in np.flatnonzero(known):
        others = signed[known]
        front[row] = not ((others >= signed[row]).all(axis=1) & (others > signed[row]).any(axis=1)).any()
    return np.asarray(front)


def settings_text(study: StudyResults, row: "pd.Series[Any]") -> str:
    """A sample's values: `lr = 0.0346, predictor = mlp`; what does not apply is left out."""
    parts = []
    for factor in study.factors:
        value = row[factor.column]
        if value is None or value != value or value == "not set":
            continue
        parts.append(f"{factor.name} = {value if isinstance(value, str) else f'{value:.4g}'}")
    return ", ".join(parts)
