"""Intervals and tests against scipy, against published values, and against numbers worked out by hand."""

import numpy as np
import pytest
from scipy import stats as oracle

from analysis import stats


@pytest.mark.parametrize(("n", "high"), [(3, 0.7076), (5, 0.5218), (10, 0.3085)])
def test_no_event_among_few_does_not_mean_never(n: int, high: float) -> None:
    interval = stats.clopper_pearson(0, n).interval
    assert interval is not None
    assert interval.low == 0
    assert interval.high == pytest.approx(high, abs=5e-5)


def test_exact_interval_equals_scipys() -> None:
    for n in range(1, 13):
        for k in range(n + 1):
            expected = oracle.binomtest(k, n).proportion_ci(0.95, method="exact")
            interval = stats.clopper_pearson(k, n).interval
            assert interval is not None
            assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_rate_of_nothing_has_no_interval() -> None:
    assert stats.clopper_pearson(0, 0).interval is None
    assert np.isnan(stats.clopper_pearson(0, 0).estimate)


def test_mean_interval_equals_scipys_t_test() -> None:
    values = [0.71, 0.74, 0.70, 0.78]
    expected = oracle.ttest_1samp(values, 0).confidence_interval(0.95)
    found = stats.mean_interval(values)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((expected.low, expected.high))


def test_t_interval_covers_at_three_seeds() -> None:
    draws = np.random.default_rng(0).standard_normal((2000, 3))
    intervals = [stats.mean_interval(row).interval for row in draws]
    covered = np.mean([i is not None and i.low <= 0 <= i.high for i in intervals])
    assert covered == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("values", [[0.5], [0.3, 0.3, 0.3]])
def test_no_interval_without_spread(values: list[float]) -> None:
    assert stats.mean_interval(values).interval is None


def test_pairing_takes_out_what_seeds_share() -> None:
    shared = np.array([0.0, 1.0, 2.0, 3.0])
    paired = stats.paired_difference(shared, shared + np.array([0.1, 0.2, 0.1, 0.2]))
    assert paired.interval is not None
    assert paired.estimate == pytest.approx(0.15)
    assert paired.interval.high - paired.interval.low < 0.3


def test_a_pair_with_a_missing_half_does_not_count() -> None:
    assert stats.paired_difference([1.0, np.nan, 3.0], [2.0, 2.0, 5.0]).n == 2


def test_sign_flip_equals_scipys_permutation_test() -> None:
    d = np.array([0.3, 0.1, -0.2, 0.5, 0.4, 0.25])
    expected = oracle.permutation_test((d,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert stats.sign_flip(d).p == pytest.approx(expected.pvalue)


@pytest.mark.parametrize(("n", "least"), [(3, 0.25), (5, 0.0625), (6, 0.03125)])
def test_sign_flip_knows_the_least_p_of_few_seeds(n: int, least: float) -> None:
    found = stats.sign_flip(np.arange(1.0, n + 1))
    assert (found.p, found.least) == (least, least)


def test_newcombe_equals_the_published_example() -> None:
    # Newcombe 1998, table II, contrast (a), method 10: 56/70 - 48/80 = .2000, interval .0524 to .3339.
    difference, interval = stats.risk_difference(48, 80, 56, 70)
    assert difference == pytest.approx(0.2)
    assert (interval.low, interval.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_mcnemar_counts_discordant_seeds_only() -> None:
    a, b = [0, 0, 0, 0, 0, 0, 1, np.nan], [1, 1, 1, 1, 1, 1, 1, 1]
    found = stats.mcnemar(a, b)
    assert found.n == 6
    assert found.p == pytest.approx(2 / 2**6)
    assert stats.mcnemar([1, 0], [1, 0]).p == 1


def test_holm_by_hand() -> None:
    assert stats.holm([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))


def test_loss_ranks_collapsed_trials_first() -> None:
    found = stats.loss_rank_agreement([0.0, 0.5, 0.6, np.nan], [0.1, 0.7, 0.8, 0.9])
    assert found is not None
    assert (found.n, found.best_loss_knn_rank) == (3, 3)
    assert found.spearman == pytest.approx(-1)


def test_threshold_sensitivity_by_hand() -> None:
    found = stats.threshold_sensitivity([0.01, 0.02, 0.5, np.nan], 0.1)
    assert (found.n, found.unknown) == (3, 1)
    assert (found.stable.low, found.stable.high) == (0.02, 0.5)
    assert found.collapsed[np.searchsorted(found.thresholds, 0.1)] == 2
    assert (found.collapsed[0], found.collapsed[-1]) == (0, 3)  # below .01; below 1
