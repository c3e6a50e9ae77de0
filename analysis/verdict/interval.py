"""How many points fewer collapse inside a rule that was chosen as the best of many."""

import math

import numpy as np
import numpy.typing as npt
from scipy import stats

from analysis.stats import Floats, Interval


def reduction(collapsed_CS: Floats, inside_C: npt.NDArray[np.bool_], z: float) -> Interval:
    """Interval of the rate outside less the rate inside, both over trials.

    Newcombe's interval (1998, method 10) of two Wilson intervals with the quantile z, which makes up for the
    search. Trials that share a seed may go together: each side's number of trials is divided by its
    overdispersion between seeds (Rao and Scott 1992), where that is above 1.

    Args:
        collapsed_CS: 1 where the trial of a cell and seed collapsed, 0 where not, NaN without one.
        inside_C: the cells inside. Both sides need a trial.
        z: quantile of the normal distribution.
    """
    rate_out, low_out, high_out = _wilson(collapsed_CS[~inside_C], z)
    rate_in, low_in, high_in = _wilson(collapsed_CS[inside_C], z)
    difference = rate_out - rate_in
    below = math.hypot(rate_out - low_out, high_in - rate_in)
    above = math.hypot(high_out - rate_out, rate_in - low_in)
    return Interval(low=max(-1.0, difference - below), high=min(1.0, difference + above))


def two_sided(alpha: float) -> float:
    """The quantile that a two-sided normal interval at level 1 - alpha uses."""
    return float(stats.norm.isf(alpha / 2))


def _wilson(collapsed_CS: Floats, z: float) -> tuple[float, float, float]:
    """A rate and its Wilson interval, for an effective number of trials that may be a fraction."""
    trials_S = (~np.isnan(collapsed_CS)).sum(axis=0)
    k, n = float(np.nansum(collapsed_CS)), float(trials_S.sum())
    rate = k / n
    n /= _overdispersion(np.nansum(collapsed_CS, axis=0), trials_S, rate)
    centre = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return rate, centre - half, centre + half


def _overdispersion(collapsed_S: Floats, trials_S: npt.NDArray[np.int64], rate: float) -> float:
    """Pearson's chi-squared of equal rates in all seeds by its degrees of freedom; at least 1."""
    has_trials = trials_S > 0
    collapsed, trials = collapsed_S[has_trials], trials_S[has_trials]
    if len(trials) < 2 or rate in (0.0, 1.0):
        return 1.0
    squares = (collapsed - rate * trials) ** 2 / (trials * rate * (1 - rate))
    return max(1.0, float(squares.sum()) / (len(trials) - 1))
