"""Whether low loss went along with high kNN accuracy."""

import math
from typing import Any

import pandas as pd

from analysis.findings.finding import Finding, Value
from analysis.outcomes import Outcome
from analysis.results import StudyResults
from analysis.stats import RankAgreement, loss_rank_agreement
from analysis.wording import number

_OF_LOSS = frozenset(
    (
        *("objective", "loss_norm", "loss_scale", "symmetric", "target_views", "regression_weight"),
        *("negatives_weight", "negatives_temperature", "variance_weight", "covariance_weight"),
        *("cross_correlation_weight", "cross_correlation_lambda", "sigreg_weight"),
    )
)
"""Settings that make losses of different quantities."""


def loss_finding(study: StudyResults) -> Finding | None:
    """How the ranking by loss agrees with that by kNN accuracy; None below three trials with both, and where
    a factor changes what the loss is, so that losses cannot be compared.

    It says "low loss is not success" only where the data show it: the trial with the lowest loss collapsed,
    or is in the worse half by kNN accuracy, or the two rankings do not go together at all.
    """
    varied = {key.partition(".")[0] for factor in study.factors for key in factor.settings}
    if varied & _OF_LOSS:
        return None
    rows = study.trials[study.trials["full_length"]].dropna(subset=["loss", "knn_accuracy"])
    agreement = loss_rank_agreement(rows["loss"], rows["knn_accuracy"])
    if agreement is None:
        return None
    fate = _fate(rows.sort_values(["loss", "trial_id"]).iloc[0])
    text = (
        f"he trial with the lowest loss {fate} and ranks {agreement.best_loss_knn_rank} of {agreement.n} by "
        "kNN accuracy"
    )
    misleads = fate != _SURVIVED or _disagree(agreement)
    text = f"Low loss is not success: t{text}" if misleads else f"T{text}"
    if not math.isnan(agreement.spearman):
        correlation = number(agreement.spearman, 2)
        text += f"; low loss and high kNN correlate at {correlation} (Spearman, full-length trials)"
    values: dict[str, Value] = {"rank": agreement.best_loss_knn_rank, "n": agreement.n}
    values |= {"spearman": agreement.spearman, "misleads": misleads}
    return Finding(kind="loss", text=f"{text}.", values=values, n=agreement.n)


def _disagree(agreement: RankAgreement) -> bool:
    return agreement.best_loss_knn_rank > agreement.n / 2 or agreement.spearman <= 0


_SURVIVED = "did not collapse"


def _fate(trial: "pd.Series[Any]") -> str:
    if trial["outcome"] == Outcome.COLLAPSED:
        return "collapsed"
    if trial["outcome"] == Outcome.DIMENSIONAL:
        return "collapsed to a few dimensions"
    return "collapsed at the projection" if trial["projection_collapsed"] is True else _SURVIVED
