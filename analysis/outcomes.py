"""What became of each trial, and how many trials ended in which way.

Collapse, dimensional collapse and divergence are three different ends, and each trial has one outcome. Rates
of collapse count the judged trials only; all others are counted and reported beside them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd

from analysis.states import EndReason, TrialState


class Outcome(StrEnum):
    """What became of a trial. In the order in which reports list them."""

    SURVIVED = "survived"
    DIMENSIONAL = "dimensional"
    COLLAPSED = "collapsed"
    DIVERGED = "diverged"
    PRUNED = "pruned"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    UNKNOWN = "unknown"
    RUNNING = "running"
    WAITING = "waiting"


MEANINGS = {
    Outcome.SURVIVED: "finished, and the representation keeps its spread",
    Outcome.DIMENSIONAL: (
        "finished with its spread, but along hardly more than one direction (dimensional collapse)"
    ),
    Outcome.COLLAPSED: "the representation collapsed",
    Outcome.DIVERGED: "the loss or the embedding was not finite",
    Outcome.PRUNED: "stopped by a scheduler, so not judged",
    Outcome.FAILED: "ended with an error",
    Outcome.INTERRUPTED: "stopped from outside before its end",
    Outcome.UNKNOWN: "finished, but never measured, or measured on too few or equal inputs to judge",
    Outcome.RUNNING: "still running",
    Outcome.WAITING: "not started, or to be retried",
}
"""Outcome -> what it means."""

JUDGED = (Outcome.SURVIVED, Outcome.DIMENSIONAL, Outcome.COLLAPSED)
"""The outcomes that rates of collapse are taken over."""

TO_COME = (Outcome.WAITING, Outcome.RUNNING, Outcome.INTERRUPTED)
"""The outcomes of trials that the sweep will still run if it goes on."""

RARE = (
    Outcome.DIMENSIONAL,
    Outcome.DIVERGED,
    Outcome.PRUNED,
    Outcome.INTERRUPTED,
    Outcome.UNKNOWN,
    Outcome.RUNNING,
    Outcome.WAITING,
)
"""The outcomes that a summary names only where they occur. Each is a field of Counts."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many trials of a sweep ended in which way."""

    planned: int
    ran: int
    """Ended, in whatever way."""
    judged: int
    """Ended and judged: the denominator of the rates."""
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
        """One line; the rare outcomes only where there are any."""
        parts = [f"{self.planned} planned", f"{self.ran} ran", f"{self.collapsed} collapsed"]
        parts.append(f"{self.failed} failed")
        parts += [f"{number} {outcome}" for outcome, number in self.rare.items()]
        return ", ".join(parts)

    @property
    def rare(self) -> Mapping[str, int]:
        """Outcome -> number of trials, the rare ones that occur."""
        return {outcome.value: number for outcome in RARE if (number := getattr(self, outcome))}


def classify(trials: pd.DataFrame) -> pd.Series:
    """The outcome of each row of trials.parquet, as text."""
    state, reason = trials["state"], trials["end_reason"]
    collapsed, dimensional = trials["collapsed"], trials["dimensional_collapse"].fillna(False)
    # In order of precedence: the first that holds is the outcome.
    rules: list[tuple[Outcome, pd.Series]] = [
        (Outcome.WAITING, state == TrialState.WAITING),
        (Outcome.RUNNING, state == TrialState.RUNNING),
        (Outcome.DIVERGED, reason == EndReason.DIVERGED),
        (Outcome.INTERRUPTED, reason == EndReason.INTERRUPTED),  # state FAIL, and runs again on resumption
        (Outcome.FAILED, (state == TrialState.FAIL) | (reason == EndReason.ERROR)),
        (Outcome.PRUNED, reason == EndReason.PRUNED),
        (Outcome.UNKNOWN, collapsed.isna()),
        (Outcome.COLLAPSED, collapsed.fillna(False)),
        (Outcome.DIMENSIONAL, dimensional),
    ]
    conditions = [np.asarray(rule.fillna(False), dtype=bool) for _, rule in rules]
    outcomes = np.select(conditions, [outcome.value for outcome, _ in rules], Outcome.SURVIVED.value)
    return pd.Series(outcomes, index=trials.index, dtype="str")


def ran_full_length(trials: pd.DataFrame) -> pd.Series:
    """Which judged trials ran to their planned end: only these can be compared at their last step.

    `trials` needs the column `outcome`.
    """
    stopped = (trials["end_reason"] == EndReason.COLLAPSED).fillna(False).astype(bool)
    return is_judged(trials) & ~stopped & ~_is_short(trials)


def is_judged(trials: pd.DataFrame) -> pd.Series:
    """Which trials count in rates of collapse. Shape [trials]."""
    return trials["outcome"].isin(JUDGED)


def judged(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials that count in rates of collapse."""
    return trials[is_judged(trials)]


def _is_short(trials: pd.DataFrame) -> pd.Series:
    return (trials["steps_run"] < trials["steps_planned"]).fillna(False).astype(bool)


def count(trials: pd.DataFrame) -> Counts:
    """Counts the outcomes of a table of trials."""
    numbers = outcome_counts(trials)
    judged_trials = judged(trials)
    projection = judged_trials["projection_collapsed"].fillna(False).astype(bool)
    ended = ~trials["outcome"].isin((Outcome.RUNNING, Outcome.WAITING))
    return Counts(
        planned=len(trials),
        ran=int(ended.sum()),
        judged=len(judged_trials),
        projection_collapsed=int(projection.sum()),
        projection_only=int((projection & (judged_trials["outcome"] != Outcome.COLLAPSED)).sum()),
        stopped_early=int((ended & _is_short(trials)).sum()),
        without_knn=int(judged_trials["knn_accuracy"].isna().sum()),
        **{outcome.value: numbers.get(outcome, 0) for outcome in Outcome if outcome != Outcome.SURVIVED},
    )


def outcome_counts(trials: pd.DataFrame) -> Mapping[str, int]:
    """Outcome -> number of trials, those that occur, in the order of Outcome."""
    numbers = trials["outcome"].value_counts().to_dict()
    return {outcome.value: int(numbers[outcome]) for outcome in Outcome if outcome in numbers}
