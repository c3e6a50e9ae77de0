"""Paired rates, swapped labels and superiority against published values, scipy and exhaustive enumeration."""

import numpy as np
import pytest
from scipy import stats as oracle

from analysis import paired
from benchmarks.effects_simulation import independent, least_coverage
from benchmarks.effects_simulation import paired as paired_interval

AIRWAY = (7, 1, 21)
"""Pairs with one of two, all pairs: Bentur et al. 2009 in Fagerland, Lydersen and Laake 2014, table V."""
RESPONSE = (16, 6, 161)
"""Cavo et al. 2012 in Fagerland, Lydersen and Laake 2017, chapter 8."""


@pytest.mark.parametrize(("counts", "ends"), [(AIRWAY, (-0.517, -0.026)), (RESPONSE, (-0.1240, -0.0054))])
def test_the_score_has_its_critical_value_at_the_published_ends(
    counts: tuple[int, int, int], ends: tuple[float, float]
) -> None:
    only_first, only_second, n = np.array([counts[0]]), np.array([counts[1]]), counts[2]
    low, high = (paired._tango_score(only_first, only_second, n, end)[0] for end in ends)
    assert (low, high) == pytest.approx((1.96, -1.96), abs=0.01)


def test_many_pairs_have_the_published_interval_of_bonett_and_price() -> None:
    first = [1] * 16 + [0] * 6 + [1] * 59 + [0] * 80
    second = [0] * 16 + [1] * 6 + [1] * 59 + [0] * 80
    rates = paired.paired_rates(first, second)
    assert rates is not None
    assert rates.estimate == pytest.approx(-0.0621, abs=5e-5)
    assert (rates.interval.low, rates.interval.high) == pytest.approx((-0.1195, -0.0032), abs=5e-5)


@pytest.mark.parametrize("n", [3, 5])
def test_the_exact_interval_at_its_extremes(n: int) -> None:
    # All pairs changed: n such pairs have probability ((1 + d) / 2)^n at most, when all pairs are discordant.
    # None: it is that of 0 of n, Clopper and Pearson's.
    all_changed = paired.paired_rates(np.zeros(n), np.ones(n))
    none = paired.paired_rates(np.zeros(n), np.zeros(n))
    assert all_changed is not None
    assert none is not None
    low = 2 * 0.025 ** (1 / n) - 1
    assert (all_changed.interval.low, all_changed.interval.high) == pytest.approx((low, 1), abs=1e-4)
    high = 1 - 0.025 ** (1 / n)
    assert (none.interval.low, none.interval.high) == pytest.approx((-high, high), abs=1e-4)


def test_paired_rates_cover_in_the_worst_case_and_independent_ones_do_not() -> None:
    assert least_coverage(paired_interval, 3) >= 0.95
    assert least_coverage(paired_interval, 5) >= 0.95
    assert least_coverage(paired_interval, 10, steps=40) >= 0.95
    assert least_coverage(independent, 10) < 0.75


def test_only_seeds_with_both_are_pairs() -> None:
    rates = paired.paired_rates([0, 0, np.nan, 1], [1, 0, 1, np.nan])
    assert rates is not None
    assert (rates.only_first, rates.only_second, rates.n) == (0, 1, 2)
    assert paired.paired_rates([np.nan], [1]) is None


def test_swapped_labels_count_ties_of_rounded_differences() -> None:
    # Their sum is 0, but 3e-17 in floating point; as tenths, which are exact, every flip is at least as far.
    assert paired.swap_test([0.2, 0.1, -0.1, -0.2, -0.1, 0.1]).p == 1
    assert paired.swap_test([2, 1, -1, -2, -1, 1]).p == 1
    assert paired.swap_test([0.4]).p == 1


@pytest.mark.parametrize("n", [6, 15])
def test_swapped_labels_equal_scipys_permutation_test(n: int) -> None:
    d = np.random.default_rng(n).standard_normal(n) + 0.4
    expected = oracle.permutation_test((d,), np.sum, permutation_type="samples", n_resamples=np.inf)
    tolerance = 1e-9 if n == 6 else 3 * np.sqrt(expected.pvalue / 9_999)  # 15 are sampled
    assert paired.swap_test(d).p == pytest.approx(expected.pvalue, abs=tolerance)


@pytest.mark.parametrize(("n", "least"), [(3, 0.25), (5, 0.0625), (6, 0.03125)])
def test_one_pair_a_seed_cannot_be_significant_with_few_seeds(n: int, least: float) -> None:
    test = paired.swap_test(np.arange(1.0, n + 1))
    assert (test.p, test.least) == (least, least)


def test_several_pairs_a_seed_can() -> None:
    three_seeds = np.random.default_rng(0).standard_normal((8, 3)) + 2
    assert paired.swap_test(three_seeds).p < 0.001


def test_of_yes_and_no_it_is_mcnemars_exact_test() -> None:
    # Cavo et al. 2012, as above: exact conditional test, p = .052479.
    test = paired.swap_test([-1] * 16 + [1] * 6 + [0] * 139)
    assert test.n == 22
    assert test.p == pytest.approx(0.052479, abs=5e-7)
    assert paired.swap_test([0, 0]).p == 1


def test_superiority_is_the_share_of_seeds_ahead() -> None:
    ahead = paired.superiority([0.1, 0.2, 0.3])
    assert (ahead.estimate, ahead.interval.high) == (1, 1)
    assert ahead.interval.low == pytest.approx(0.2924, abs=5e-5)  # Clopper and Pearson: 3 of 3


def test_ties_are_for_neither() -> None:
    tied = paired.superiority([0.0, 0.0, 0.0])
    assert (tied.estimate, tied.interval.low, tied.interval.high) == (0.5, 0, 1)
