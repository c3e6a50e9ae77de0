"""Two conditions under the same seeds: differences of rates, tests by swapped labels, who is ahead how often.

A seed fixes initial weights, data order and augmentation draws alike in every cell, so cells are compared
seed by seed. What treats them as independent (two Wilson intervals, say) covers as little as 73 %.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from analysis.stats import Floats, Interval, PValue, clopper_pearson

_EXACT_UP_TO = 40
"""Pairs up to which a difference of rates gets the exact interval; it takes .2 s there."""
_ENUMERATED_UP_TO = 14
"""Differences of which all flips are counted; of more, a sample."""
_DRAWS, _DRAWN_SIGNS = 9_999, 20_000_000


@dataclass(frozen=True, kw_only=True)
class PairedRates:
    """The difference of two rates, second less first, over pairs of yes/no outcomes."""

    only_first: int
    """Pairs in which only the first is 1."""
    only_second: int
    n: int
    """All pairs."""
    interval: Interval

    @property
    def estimate(self) -> float:
        """The second rate less the first."""
        return (self.only_second - self.only_first) / self.n


def paired_rates(a: npt.ArrayLike, b: npt.ArrayLike, level: float = 0.95) -> PairedRates | None:
    """The difference of two paired rates with an interval that covers, however few the pairs are.

    Up to 40 pairs it is exact and unconditional: it holds every difference that neither one-sided test
    rejects, whatever the share of discordant pairs; the tests order the outcomes by Tango's score (1998), as
    Chan and Zhang (1999) do for independent rates and Hsueh, Liu and Chen (2001) for paired ones. Beyond, it
    is that of Bonett and Price (2012). Figures: benchmarks/README.md.

    Args:
        a, b: 1 or 0 by seed, NaN where missing. Shape [seeds]. Only seeds in which both are known count.
        level: confidence.

    Returns:
        None without any pair.

    >>> rates = paired_rates([0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1])
    >>> rates.estimate, round(rates.interval.low, 3), round(rates.interval.high, 3)
    (1.0, 0.081, 1.0)
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    n = int((~np.isnan(first) & ~np.isnan(second)).sum())
    if n == 0:
        return None
    only_first = int(((first == 1) & (second == 0)).sum())
    only_second = int(((first == 0) & (second == 1)).sum())
    if n <= _EXACT_UP_TO:
        low, high = (
            _exact_low(only_first, only_second, n, level),
            -_exact_low(only_second, only_first, n, level),
        )
    else:
        low, high = _bonett_price(only_first, only_second, n, level)
    return PairedRates(
        only_first=only_first, only_second=only_second, n=n, interval=Interval(low=low, high=high)
    )


def _bonett_price(only_first: int, only_second: int, n: int, level: float) -> tuple[float, float]:
    """Wald's interval with one pair of each discordant kind added."""
    p, q = (only_first + 1) / (n + 2), (only_second + 1) / (n + 2)
    half = float(stats.norm.ppf((1 + level) / 2)) * math.sqrt((p + q - (q - p) ** 2) / (n + 2))
    return max(-1.0, q - p - half), min(1.0, q - p + half)


@lru_cache(maxsize=4096)  # seeds are few, so a table asks for the same few again and again
def _exact_low(only_first: int, only_second: int, n: int, level: float) -> float:
    """The smallest difference at which outcomes as far up as this one are not too rare."""
    outcomes = _Outcomes.of(n)
    alpha, estimate = (1 - level) / 2, (only_second - only_first) / n
    if estimate == -1:
        return -1.0
    candidates = np.linspace(-1, estimate, 101)
    kept = [outcomes.tail(only_first, only_second, difference) > alpha for difference in candidates]
    first = kept.index(True)
    if first == 0:
        return -1.0
    rejected, low = float(candidates[first - 1]), float(candidates[first])
    while low - rejected > 1e-5:
        middle = (rejected + low) / 2
        if outcomes.tail(only_first, only_second, middle) > alpha:
            low = middle
        else:
            rejected = middle
    return rejected


@dataclass(frozen=True, kw_only=True)
class _Outcomes:
    """All counts of discordant pairs that n pairs can have."""

    n: int
    only_first_O: npt.NDArray[np.int64]
    only_second_O: npt.NDArray[np.int64]
    log_ways_O: Floats
    """Log of the multinomial coefficient."""

    @staticmethod
    @lru_cache(maxsize=4)
    def of(n: int) -> "_Outcomes":
        first, second = (np.array([(b, c) for b in range(n + 1) for c in range(n + 1 - b)], dtype=np.int64)).T
        counts = np.stack([first, second, n - first - second])
        ways = special.gammaln(n + 1) - special.gammaln(counts + 1).sum(axis=0)
        return _Outcomes(n=n, only_first_O=first, only_second_O=second, log_ways_O=ways)

    def tail(self, only_first: int, only_second: int, difference: float) -> float:
        """Probability of a score at least this outcome's, at the worst share of discordant pairs."""
        scores_O = _tango_score(self.only_first_O, self.only_second_O, self.n, difference)
        observed = _tango_score(np.array([only_first]), np.array([only_second]), self.n, difference)[0]
        above = scores_O >= observed - 1e-9
        first_O, second_O, ways_O = (
            self.only_first_O[above],
            self.only_second_O[above],
            self.log_ways_O[above],
        )
        least, most = max(0.0, -difference), (1 - difference) / 2
        # Denser at the ends, where the probability bends most.
        p_S1 = (least + (most - least) * (1 - np.cos(np.linspace(0, np.pi, 33))) / 2)[:, None]
        q_S1 = np.maximum(0.0, p_S1 + difference)
        log_SO = ways_O + special.xlogy(first_O, p_S1) + special.xlogy(second_O, q_S1)
        log_SO += special.xlogy(self.n - first_O - second_O, np.maximum(0.0, 1 - p_S1 - q_S1))
        return float(np.exp(log_SO).sum(axis=1).max())


def _tango_score(
    only_first: npt.NDArray[np.int64], only_second: npt.NDArray[np.int64], n: int, difference: float
) -> Floats:
    """Tango's score statistic (1998) of a difference of paired rates. Shapes [outcomes]."""
    linear = (2 * n + only_first - only_second) * difference - (only_first + only_second)
    constant = -only_first * difference * (1 - difference)
    root = np.sqrt(np.maximum(linear * linear - 8 * n * constant, 0))
    p = np.maximum((root - linear) / (4 * n), max(0.0, -difference))
    variance = n * (2 * p + difference * (1 - difference))
    distance = only_second - only_first - n * difference
    certain = variance <= 1e-12
    at_infinity = np.where(np.abs(distance) < 1e-9, 0.0, np.copysign(np.inf, distance))
    return np.where(certain, at_infinity, distance / np.sqrt(np.where(certain, 1.0, variance)))


def swap_test(differences: npt.ArrayLike) -> PValue:
    """Permutation test that a change does nothing: within each matched pair, either label was as likely.

    Swapping the labels of a pair flips the sign of its difference, so all flips are equally likely; two-sided
    by the size of the sum. With several matched pairs in a seed this can reach p < .05 with three
    seeds. What it rejects is that the change does nothing in these seeds; that it would do the same in others
    is what the t interval over seeds is about. With one pair a seed it is the sign-flip test, and for yes/no
    outcomes McNemar's exact test. By hand, since scipy's permutation_test misses ties of rounded numbers and
    is ten times slower.

    Args:
        differences: of the matched pairs, over all seeds. Any shape, no NaN.
    """
    return swap_tests([differences])[0]


def swap_tests(many: Sequence[npt.ArrayLike]) -> list[PValue]:
    """The same of several sets of differences; those of one size share their flips, which takes less time."""
    cleaned = [np.asarray(differences, dtype=np.float64).ravel() for differences in many]
    cleaned = [d[np.abs(d) > 1e-12] for d in cleaned]  # the others are 0, but for rounding
    tests = [_simple(d) for d in cleaned]
    places: dict[int, list[int]] = {}
    for place, test in enumerate(tests):
        if test is None:
            places.setdefault(len(cleaned[place]), []).append(place)
    for n, same in places.items():
        for place, test in zip(same, _flipped(n, np.stack([cleaned[place] for place in same])), strict=True):
            tests[place] = test
    return [test for test in tests if test is not None]


def _simple(d: Floats) -> PValue | None:
    """Where there is nothing to compare, and where all differences have one size; None elsewhere."""
    n, sizes = len(d), np.abs(d)
    if n == 0:
        return PValue(p=1.0, n=0, least=1.0)
    if np.ptp(sizes) > 1e-12 * sizes.max():
        return None
    p = float(stats.binomtest(int((d > 0).sum()), n).pvalue)
    return PValue(p=p, n=n, least=2.0 ** (1 - n))


def _flipped(n: int, d_MN: Floats) -> list[PValue]:
    """Tests of m sets of n differences each. Shape [m, n]."""
    signs_FN, largest_M = _signs(n), np.abs(d_MN).max(axis=1)
    # In units of the largest difference, so that ties are ties in single precision.
    sums_FM = np.abs(signs_FN @ (d_MN / largest_M[:, None]).astype(np.float32).T)
    reached_M = (sums_FM >= np.abs(d_MN.sum(axis=1)) / largest_M - 1e-6 * n).sum(axis=0).tolist()
    if n <= _ENUMERATED_UP_TO:
        return [PValue(p=reached / len(signs_FN), n=n, least=2.0 ** (1 - n)) for reached in reached_M]
    # The outcome itself is one of the permutations, which keeps the test from claiming too much.
    draws = len(signs_FN) + 1
    return [PValue(p=(reached + 1) / draws, n=n, least=1 / draws) for reached in reached_M]


@lru_cache(maxsize=4)  # the effects of a design have the same number of pairs
def _signs(n: int) -> npt.NDArray[np.float32]:
    """All 2^n rows of signs, or a fixed random sample of them. Shape [flips, n]."""
    if n <= _ENUMERATED_UP_TO:
        bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    else:
        rng = np.random.default_rng(n)
        bits = rng.integers(0, 2, size=(min(_DRAWS, max(999, _DRAWN_SIGNS // n)), n), dtype=np.int8)
    signs = bits.astype(np.float32)
    signs *= -2
    signs += 1
    return signs


@dataclass(frozen=True, kw_only=True)
class Superiority:
    """How probable it is that, under the same seed, the second is above the first."""

    wins: int
    """Seeds in which it is."""
    ties: int
    """Seeds in which both are equal: they count half."""
    n: int
    interval: Interval

    @property
    def estimate(self) -> float:
        """Share of the seeds, 0 to 1."""
        return (self.wins + self.ties / 2) / self.n


def superiority(differences: npt.ArrayLike, level: float = 0.95) -> Superiority:
    """The probability that a seed's difference is above 0, with its exact interval.

    Paired, as the seeds are; nothing is assumed about the differences. The interval is wide with few seeds:
    3 of 3 is 29 to 100 %. Ties count for the second at its upper end and for the first at its lower.

    Args:
        differences: one per seed. Shape [seeds], n >= 1, no NaN.
        level: confidence.
    """
    d = np.asarray(differences, dtype=np.float64)
    wins, ties, n = int((d > 0).sum()), int((d == 0).sum()), len(d)
    low, high = clopper_pearson(wins, n, level).interval, clopper_pearson(wins + ties, n, level).interval
    assert low is not None
    assert high is not None
    return Superiority(wins=wins, ties=ties, n=n, interval=Interval(low=low.low, high=high.high))
