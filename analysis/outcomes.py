"""What became of each trial, of each cell, and of the whole sweep.

Collapse, dimensional collapse and divergence are three different ends, and each trial has one outcome. Rates
of collapse count the judged trials only; all others are counted beside them, never left out in silence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

if TYPE_CHECKING:
    from analysis.results import StudyResults

OUTCOMES = {
    "survived": "finished, and the representation keeps its spread",
    "dimensional": "finished with its spread, but on hardly more than one direction (dimensional collapse)",
    "collapsed": "the representation collapsed",
    "diverged": "the loss or the embedding was not finite",
    "pruned": "stopped by a scheduler, so not judged",
    "failed": "ended with an error",
    "interrupted": "stopped from outside before its end",
    "unknown": "finished, but was never measured",
    "running": "still running",
    "waiting": "not started",
}
"""Outcome -> what it means. In the order in which reports list them."""

JUDGED = ("survived", "dimensional", "collapsed")
"""The outcomes that rates of collapse are taken over."""

NOT_SET = "not set"
"""What stands for a level where a factor has none: it does not apply there."""
ABSENT = -1
"""The code of that. It is no level, so nothing is compared with it."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many trials of a sweep came to what."""

    planned: int
    ran: int
    """Ended, in whatever way."""
    judged: int
    """Ended with a verdict: the denominator of the rates."""
    collapsed: int
    """Of the judged, at the representation."""
    projection_collapsed: int
    """Of the judged, at the projection."""
    projection_only: int
    """Of the judged, at the projection but not at the representation."""
    dimensional: int
    diverged: int
    failed: int
    pruned: int
    interrupted: int
    unknown: int
    running: int
    waiting: int
    stopped_early: int
    """Ended before their planned number of steps, whatever the reason."""
    without_knn: int
    """Judged, but without a kNN accuracy."""

    def __str__(self) -> str:
        """One line, the rare ends only where there are any."""
        parts = [f"{self.planned} planned", f"{self.ran} ran", f"{self.collapsed} collapsed"]
        rare = ("dimensional", "diverged", "pruned", "interrupted", "unknown", "running", "waiting")
        parts.append(f"{self.failed} failed")
        parts += [f"{getattr(self, name)} {name}" for name in rare if getattr(self, name)]
        return ", ".join(parts)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One combination of levels, and what became of its trials."""

    codes: tuple[int, ...]
    """Index of each factor's level, or ABSENT."""
    labels: tuple[str, ...]
    """The levels, or NOT_SET."""
    trials: pd.DataFrame
    """Its rows of the table of trials."""
    judged: int
    collapsed: int
    projection_judged: int
    projection_collapsed: int

    @property
    def planned(self) -> int:
        """How many trials it should have."""
        return len(self.trials)

    @property
    def text(self) -> str:
        """The levels in the order of the factors."""
        return " · ".join(self.labels)

    @property
    def is_reference(self) -> bool:
        """Whether every factor that applies is at its first level."""
        return not self.changed

    @property
    def changed(self) -> tuple[int, ...]:
        """Indices of the factors that are at another level than their first."""
        return tuple(index for index, code in enumerate(self.codes) if code > 0)

    def values(self, column: str) -> npt.NDArray[np.float64]:
        """A column over the judged trials that ran to their planned end, without nulls. Shape [trials]."""
        found = self.trials.loc[self.trials["full_length"], column].dropna()
        return np.asarray(found, dtype=np.float64)


def classify(trials: pd.DataFrame) -> pd.Series:
    """The outcome of each row of trials.parquet: a key of OUTCOMES."""
    state, reason = trials["state"], trials["end_reason"]
    collapsed, dimensional = trials["collapsed"], trials["dimensional_collapse"].fillna(False)
    # In order of precedence: the first that holds is the outcome.
    rules: list[tuple[str, pd.Series]] = [
        ("waiting", state == "WAITING"),
        ("running", state == "RUNNING"),
        ("diverged", reason == "diverged"),
        ("interrupted", reason == "interrupted"),  # state FAIL, and runs again on resumption
        ("failed", (state == "FAIL") | (reason == "error")),
        ("pruned", reason == "pruned"),
        ("unknown", collapsed.isna()),
        ("collapsed", collapsed.fillna(False)),
        ("dimensional", dimensional),
    ]
    conditions = [np.asarray(rule.fillna(False), dtype=bool) for _, rule in rules]
    chosen = np.select(conditions, [name for name, _ in rules], default="survived")
    return pd.Series(chosen, index=trials.index, dtype="str")


def ran_full_length(trials: pd.DataFrame) -> pd.Series:
    """Which judged trials ran to their planned end: only these can be compared at their last step.

    `trials` needs the column `outcome`.
    """
    short = (trials["steps_run"] < trials["steps_planned"]).fillna(False).astype(bool)
    return trials["outcome"].isin(JUDGED) & (trials["end_reason"] != "collapsed").fillna(True) & ~short


def count(trials: pd.DataFrame) -> Counts:
    """Counts the outcomes of a table of trials."""
    of = trials["outcome"].value_counts().to_dict()
    judged = trials[trials["outcome"].isin(JUDGED)]
    projection = judged["projection_collapsed"].fillna(False).astype(bool)
    ended = ~trials["outcome"].isin(("running", "waiting"))
    short = (trials["steps_run"] < trials["steps_planned"]).fillna(False).astype(bool)
    names = (
        "collapsed",
        "dimensional",
        "diverged",
        "failed",
        "pruned",
        "interrupted",
        "unknown",
        "running",
        "waiting",
    )
    return Counts(
        planned=len(trials),
        ran=int(ended.sum()),
        judged=len(judged),
        projection_collapsed=int(projection.sum()),
        projection_only=int((projection & (judged["outcome"] != "collapsed")).sum()),
        stopped_early=int((ended & short).sum()),
        without_knn=int(judged["knn_accuracy"].isna().sum()),
        **{name: int(of.get(name, 0)) for name in names},
    )


@lru_cache(maxsize=4)  # every figure asks for them, and 10,000 trials take a second
def cells(study: StudyResults) -> tuple[Cell, ...]:
    """The cells of a design that were planned, the reference first, in the order of the levels.

    A search, and a study without factors of finitely many levels, has none.
    """
    if study.searched or not all(factor.levels for factor in study.factors) or not study.factors:
        return ()
    index = [{label: code for code, label in enumerate(factor.levels)} for factor in study.factors]
    groups: dict[tuple[int, ...], list[int]] = {}
    columns = [study.trials[factor.column].tolist() for factor in study.factors]
    for row, labels in enumerate(zip(*columns, strict=True)):
        codes = tuple(own.get(label, ABSENT) for own, label in zip(index, labels, strict=True))
        groups.setdefault(codes, []).append(row)
    return tuple(
        _cell(
            codes,
            [columns[factor][groups[codes][0]] for factor in range(len(columns))],
            study.trials.iloc[groups[codes]],
        )
        for codes in sorted(groups, key=_absent_last)
    )


def _absent_last(codes: tuple[int, ...]) -> list[float]:
    return [math.inf if code == ABSENT else code for code in codes]


def _cell(codes: tuple[int, ...], labels: Sequence[str], rows: pd.DataFrame) -> Cell:
    judged = rows[rows["outcome"].isin(JUDGED)]
    projection = judged["projection_collapsed"].dropna()
    return Cell(
        codes=codes,
        labels=tuple(labels),
        trials=rows,
        judged=len(judged),
        collapsed=int((judged["outcome"] == "collapsed").sum()),
        projection_judged=len(projection),
        projection_collapsed=int(projection.sum()),
    )


def seed_table(
    found: Sequence[Cell], seeds: Sequence[int], value: str, *, survivors_only: bool = False
) -> npt.NDArray[np.float64]:
    """Values by cell and seed, NaN where there is none. Shape [cells, seeds].

    Args:
        found: the cells.
        seeds: the seeds, in the order of the result's columns.
        value: "collapsed" (1 or 0 for the judged trials), or a column, of which only trials that ran to
            their planned end are taken.
        survivors_only: leave out every cell in which any trial collapsed. What is then estimated is
            conditional on no collapse, and must be called so.
    """
    column = {seed: position for position, seed in enumerate(seeds)}
    table = np.full((len(found), len(seeds)), np.nan)
    for row, cell in enumerate(found):
        if survivors_only and cell.collapsed:
            continue
        kept = cell.trials["outcome"].isin(JUDGED) if value == "collapsed" else cell.trials["full_length"]
        trials = cell.trials[kept]
        values = trials["outcome"] == "collapsed" if value == "collapsed" else trials[value]
        for seed, number in zip(trials["seed"], values.to_numpy(np.float64, na_value=np.nan), strict=True):
            table[row, column[int(seed)]] = number
    return table


def seeds_with_collapse(found: Sequence[Cell], seeds: Sequence[int]) -> tuple[int, int]:
    """In how many seeds any of the cells collapsed, and how many seeds have a verdict in at least one.

    Trials that share a seed are not independent, so a claim over several cells counts seeds.
    """
    table = seed_table(found, seeds, "collapsed")
    known = ~np.isnan(table).all(axis=0) if len(found) else np.zeros(len(seeds), dtype=bool)
    return int((np.nan_to_num(table[:, known]).max(axis=0) > 0).sum()) if known.any() else 0, int(known.sum())


def outcome_counts(trials: pd.DataFrame) -> Mapping[str, int]:
    """Outcome -> number of trials, those that occur, in the order of OUTCOMES."""
    of = trials["outcome"].value_counts().to_dict()
    return {name: int(of[name]) for name in OUTCOMES if name in of}
