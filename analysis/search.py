"""The results of a search: its samples, the winner among them, and the winner's score on fresh seeds.

The value with which a sample won is the best of many, and so optimistic. Only the mean over fresh seeds is
called its score.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.results import NOT_SET, StudyResults
from analysis.states import WINNER
from analysis.stats import SHARE, Floats, Mean, mean_interval
from analysis.winner import Candidate, eligible, winner
from analysis.wording import interval_text, mean_percent, number, percent


@dataclass(frozen=True, kw_only=True)
class Objective:
    """One of the quantities that the search optimises."""

    column: str
    """Its column in the table of trials."""
    maximize: bool

    @property
    def name(self) -> str:
        """For sentences: `kNN accuracy`."""
        return self.column.replace("_", " ").replace("knn", "kNN")

    @property
    def is_share(self) -> bool:
        """Whether it is a share, shown as a percentage."""
        return self.column.endswith("accuracy")

    def text(self, value: float) -> str:
        """A value as text."""
        return percent(value, 1) if self.is_share else number(value)

    def score_text(self, mean: Mean) -> str:
        """A mean over seeds as text, with its interval and n."""
        if self.is_share:
            return mean_percent(mean)
        interval = interval_text(mean, lambda i: f"{number(i.low)} to {number(i.high)}")
        return f"{number(mean.estimate)} ({interval})"


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchResult:
    """The results of a search."""

    objectives: tuple[Objective, ...]
    """The first decides who wins."""
    section: Mapping[str, Any]
    """The study's `search`; empty where the document lacks one."""
    samples: pd.DataFrame
    """Rows of the table of trials, in order."""
    values: Floats
    """Of the objectives, NaN where a sample has no result. Shape [samples, objectives]."""
    eligible: npt.NDArray[np.bool_]
    """Which samples can win, see analysis/winner.py. Shape [samples]."""
    winner: int | None
    """Position of the winner among the samples."""
    fresh: pd.DataFrame
    """The winner's trials with fresh seeds."""
    scores: tuple[Mean | None, ...]
    """Of the objectives over the fresh seeds; None without a value."""

    @property
    def front(self) -> npt.NDArray[np.bool_]:
        """Which eligible samples no other one beats in every objective. Shape [samples]."""
        return pareto_front(np.where(self.eligible[:, None], self.values, np.nan), self.objectives)


def search_result(study: StudyResults) -> SearchResult:
    """Takes a search out of a study's results."""
    section = study.documents[0].get("search") or {}
    directions = section.get("objectives") or {"knn_accuracy": "maximize"}
    objectives = tuple(
        Objective(column=name, maximize=direction == "maximize") for name, direction in directions.items()
    )
    is_fresh = (study.trials["design"] == WINNER).fillna(False).astype(bool)
    samples = study.trials[~is_fresh].reset_index(drop=True)
    candidates = _candidates(samples, objectives)
    best = winner(candidates, [objective.maximize for objective in objectives])
    winning_cell = None if best is None else samples["cell_id"].iloc[best]
    is_winners = (study.trials["cell_id"] == winning_cell).fillna(False).astype(bool)
    fresh = study.trials[is_fresh & is_winners].reset_index(drop=True)
    fresh_values = _values(_candidates(fresh, objectives), len(objectives))
    scores = [column[~np.isnan(column)] for column in fresh_values.T]
    return SearchResult(
        objectives=objectives,
        section=section,
        samples=samples,
        values=_values(candidates, len(objectives)),
        eligible=np.isin(np.arange(len(samples)), eligible(candidates)),
        winner=best,
        fresh=fresh,
        scores=tuple(
            mean_interval(values, within=SHARE if objective.is_share else None) if len(values) else None
            for objective, values in zip(objectives, scores, strict=True)
        ),
    )


def _candidates(trials: pd.DataFrame, objectives: Sequence[Objective]) -> list[Candidate]:
    values = trials[[objective.column for objective in objectives]].to_numpy(np.float64, na_value=np.nan)
    return [
        Candidate(
            state=state,
            end_reason=None if pd.isna(end_reason) else end_reason,
            collapsed=None if pd.isna(collapsed) else bool(collapsed),
            values=row,
        )
        for state, end_reason, collapsed, row in zip(
            trials["state"], trials["end_reason"], trials["collapsed"], values.tolist(), strict=True
        )
    ]


def _values(candidates: Sequence[Candidate], n_objectives: int) -> Floats:
    """The finite values of those that ran to their end, else NaN. Shape [candidates, objectives]."""
    nothing = [None] * n_objectives
    values = [candidate.values if candidate.ended_normally else nothing for candidate in candidates]
    table = np.array(values, dtype=np.float64).reshape(len(candidates), n_objectives)
    return np.where(np.isfinite(table), table, np.nan)


def pareto_front(values: npt.NDArray[np.float64], objectives: Sequence[Objective]) -> npt.NDArray[np.bool_]:
    """Which rows no other row dominates: at least as good in all objectives, and better in one.

    Args:
        values: shape [rows, objectives]; a row with a NaN is never in the front and dominates none.
        objectives: which way is better.
    """
    oriented = values * np.array([1.0 if objective.maximize else -1.0 for objective in objectives])
    complete = ~np.isnan(oriented).any(axis=1)
    front = complete.copy()
    others = oriented[complete]
    for row in np.flatnonzero(complete):
        better = (others > oriented[row]).any(axis=1)
        front[row] = not ((others >= oriented[row]).all(axis=1) & better).any()
    return np.asarray(front)


def settings_text(study: StudyResults, row: "pd.Series[Any]") -> str:
    """A sample's values: `lr = 0.0346, predictor = mlp`; what does not apply is left out."""
    parts = []
    for factor in study.factors:
        value = row[factor.column]
        if value is None or value != value or value == NOT_SET:
            continue
        parts.append(f"{factor.name} = {value if isinstance(value, str) else f'{value:.4g}'}")
    return ", ".join(parts)
