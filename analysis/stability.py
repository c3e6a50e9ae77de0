"""How steady training is: kNN accuracy late in a trial, and its spread over seeds."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from analysis.stats import Interval

_LEAST_MEASUREMENTS = 3
"""Fewer in the second half of a trial say nothing about how it fluctuates."""


def knn_fluctuation(metrics: pd.DataFrame) -> pd.Series:
    """How much kNN accuracy changes from one measurement to the next in the second half of each trial.

    This is the root mean square of the changes, as a share. A steady rise counts too, so compare only trials
    of one length and cadence.

    Args:
        metrics: the columns `trial_id`, `step` and `knn_accuracy`, in order of step within each trial.

    Returns:
        Values by trial_id; NaN for a trial with fewer than 3 accuracies in its second half.
    """
    last = metrics.groupby("trial_id")["step"].transform("max")
    late = metrics[(2 * metrics["step"] >= last).fillna(False)].dropna(subset=["knn_accuracy"])
    accuracies = late.groupby("trial_id", sort=False)["knn_accuracy"]
    values = accuracies.agg(
        lambda x: math.sqrt(float(np.square(np.diff(x)).mean())) if len(x) > 1 else math.nan
    )
    return values.where(accuracies.size() >= _LEAST_MEASUREMENTS).astype("float64")


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """One standard deviation over another's."""

    estimate: float
    n: int
    """Seeds with both values."""
    interval: Interval | None
    """None where it is not defined: fewer than 3 seeds, no spread, or values that go exactly together."""


def spread_ratio(a: npt.ArrayLike, b: npt.ArrayLike, level: float = 0.95) -> Ratio | None:
    """Standard deviation of b over that of a, for paired values, with its interval.

    The interval holds the ratios that the Pitman-Morgan test (Pitman 1939, Morgan 1939) does not reject: for
    the ratio R of the variances, correlation r and the t quantile of n - 2 degrees of freedom, its ends are
    R (K -+ sqrt(K^2 - 1)) with K = 1 + 2 (1 - r^2) t^2 / (n - 2). Exact for normal values.

    Args:
        a, b: values by seed, NaN where missing. Shape [seeds].
        level: confidence.

    Returns:
        None where fewer than two seeds have both, or a has no spread.
    """
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    both = ~np.isnan(x + y)
    x, y, n = x[both], y[both], int(both.sum())
    if n < 2 or np.ptp(x) == 0:
        return None
    estimate = float(y.std(ddof=1) / x.std(ddof=1))
    if n < 3 or np.ptp(y) == 0:
        return Ratio(estimate=estimate, n=n, interval=None)
    r = float(np.corrcoef(x, y)[0, 1])
    t = float(stats.t.ppf((1 + level) / 2, n - 2))
    k = 1 + 2 * (1 - r**2) * t**2 / (n - 2)
    if k <= 1 + 1e-12:
        return Ratio(estimate=estimate, n=n, interval=None)
    high = math.sqrt(k + math.sqrt(k**2 - 1))
    return Ratio(estimate=estimate, n=n, interval=Interval(low=estimate / high, high=estimate * high))
