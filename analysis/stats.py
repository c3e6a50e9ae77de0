"""Intervals and tests for few seeds and rare events. Arrays in, frozen dataclasses out.

With a handful of seeds a t interval keeps its nominal coverage where bootstrap intervals do not (n = 3: .96
against .75), and an exact interval for a rate keeps 0 of 3 from reading as "never".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A confidence interval."""

    low: float
    high: float


SHARE, DIFFERENCE_OF_SHARES = Interval(low=0, high=1), Interval(low=-1, high=1)
"""Where a share lies, and where a difference of two."""


@dataclass(frozen=True, kw_only=True)
class Mean:
    """A mean over seeds."""

    estimate: float
    n: int
    """How many values it is over."""
    interval: Interval | None
    """Two-sided t interval; None for one value, and for equal values, whose spread says nothing."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A share of trials or seeds."""

    k: int
    n: int
    interval: Interval | None
    """None for n = 0."""

    @property
    def estimate(self) -> float:
        """k / n; NaN for n = 0."""
        return self.k / self.n if self.n else math.nan


@dataclass(frozen=True, kw_only=True)
class PValue:
    """A two-sided test."""

    p: float
    n: int
    """How many differences other than 0 it is over."""
    least: float
    """The smallest p possible with n: if it is above .05, no data could have been significant."""


def mean_interval(values: npt.ArrayLike, level: float = 0.95, within: Interval | None = None) -> Mean:
    """Mean and two-sided t interval, x +- t s / sqrt(n).

    Args:
        values: one number per seed, or the difference within each seed. Shape [seeds], n >= 1.
        level: confidence.
        within: where the values can lie. The interval is cut there, which leaves its coverage as it is: the
            mean lies there, too.

    >>> mean = mean_interval([0.71, 0.74, 0.77])
    >>> mean.n, round(mean.estimate, 3), round(mean.interval.low, 3), round(mean.interval.high, 3)
    (3, 0.74, 0.665, 0.815)
    >>> mean_interval([0.1, 0.5, 0.9], within=SHARE).interval
    Interval(low=0.0, high=1.0)
    """
    x = np.asarray(values, dtype=np.float64)
    estimate, n = float(x.mean()), len(x)
    spread = float(x.std(ddof=1)) if n > 1 else 0.0
    if spread <= 1e-12 * max(1.0, abs(estimate)):
        return Mean(estimate=estimate, n=n, interval=None)
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * spread / math.sqrt(n)
    low, high = estimate - half, estimate + half
    if within is not None:
        low, high = float(max(low, within.low)), float(min(high, within.high))
    return Mean(estimate=estimate, n=n, interval=Interval(low=low, high=high))


def simultaneous(count: int, level: float = 0.95) -> float:
    """The level of each of `count` intervals that all hold at once with probability `level` (Bonferroni).

    >>> round(simultaneous(5), 3)
    0.99
    """
    return 1 - (1 - level) / max(1, count)


def paired_difference(a: npt.ArrayLike, b: npt.ArrayLike, level: float = 0.95) -> Mean:
    """Mean of b - a, two shares, with its t interval, over the seeds in which both are known.

    Args:
        a, b: shares by seed, NaN where missing. Shape [seeds]. At least one seed must have both.
        level: confidence.
    """
    difference = np.asarray(b, dtype=np.float64) - np.asarray(a, dtype=np.float64)
    return mean_interval(difference[~np.isnan(difference)], level, DIFFERENCE_OF_SHARES)


def clopper_pearson(k: int, n: int, level: float = 0.95) -> Rate:
    """A rate with its exact interval, whose coverage is never below nominal. For claims.

    >>> rate = clopper_pearson(0, 3)
    >>> round(rate.interval.low, 3), round(rate.interval.high, 3)
    (0.0, 0.708)
    """
    return _rate(k, n, level, "exact")


def exact_low(k: npt.ArrayLike, n: npt.ArrayLike, level: float = 0.95) -> Floats:
    """The lower ends of the intervals of `clopper_pearson`, for many rates at once. Shapes [rates]."""
    successes, trials = np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
    low = stats.beta.ppf((1 - level) / 2, np.maximum(successes, 1), trials - successes + 1)
    return np.where(successes > 0, low, 0.0)


def wilson(k: int, n: int, level: float = 0.95) -> Rate:
    """A rate with Wilson's score interval, narrower than the exact one. For display, never for claims."""
    return _rate(k, n, level, "wilson")


@cache  # an exact interval takes a millisecond, and the tiles of a map ask for the same few again and again
def _rate(k: int, n: int, level: float, method: str) -> Rate:
    if n == 0:
        return Rate(k=0, n=0, interval=None)
    interval = stats.binomtest(k, n).proportion_ci(level, method=method)
    return Rate(k=k, n=n, interval=Interval(low=float(interval.low), high=float(interval.high)))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's step-down adjustment of a declared family of p-values, in the order given; scipy has none."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return tuple(adjusted)


@dataclass(frozen=True, kw_only=True)
class RankAgreement:
    """How far low loss goes along with high kNN accuracy."""

    n: int
    """Trials with both."""
    spearman: float
    """Rank correlation of -loss and kNN: 1 if both rank trials alike. NaN if either is constant."""
    best_loss_knn_rank: int
    """The rank by kNN (1 is best, ties share the better rank) of the trial with the lowest loss."""


def loss_rank_agreement(loss: npt.ArrayLike, knn: npt.ArrayLike) -> RankAgreement | None:
    """Compares the ranking by loss with the ranking by kNN. Shapes [trials]; None below three with both."""
    losses, accuracies = np.asarray(loss, dtype=np.float64), np.asarray(knn, dtype=np.float64)
    both = np.isfinite(losses) & np.isfinite(accuracies)
    losses, accuracies = losses[both], accuracies[both]
    if len(losses) < 3:
        return None
    constant = np.ptp(losses) == 0 or np.ptp(accuracies) == 0
    spearman = math.nan if constant else float(stats.spearmanr(-losses, accuracies).statistic)
    rank = int((accuracies > accuracies[losses.argmin()]).sum()) + 1
    return RankAgreement(n=len(losses), spearman=spearman, best_loss_knn_rank=rank)


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """How the number of collapsed trials depends on the threshold."""

    thresholds: Floats
    """Shape [thresholds], ascending."""
    collapsed: npt.NDArray[np.int64]
    """Trials whose last std is below each. Shape [thresholds]."""
    n: int
    """Trials with a finite last std."""
    unknown: int
    """Trials without one."""
    stable: Interval
    """The thresholds around the given one at which no trial is judged differently."""


def threshold_sensitivity(std: npt.ArrayLike, threshold: float) -> Sensitivity:
    """Counts the collapsed trials at 61 thresholds from a tenth of `threshold` to ten times it (at most 1).

    Args:
        std: last std by trial, NaN where unknown. Shape [trials].
        threshold: the study's, above 0.
    """
    values = np.asarray(std, dtype=np.float64)
    finite = np.sort(values[np.isfinite(values)])
    thresholds = np.geomspace(threshold / 10, max(threshold, min(1.0, threshold * 10)), 61)
    position = int(np.searchsorted(finite, threshold, side="left"))
    stable = Interval(
        low=float(finite[position - 1]) if position else 0.0,
        high=float(finite[position]) if position < len(finite) else math.inf,
    )
    return Sensitivity(
        thresholds=thresholds,
        collapsed=np.searchsorted(finite, thresholds, side="left").astype(np.int64),
        n=len(finite),
        unknown=len(values) - len(finite),
        stable=stable,
    )
