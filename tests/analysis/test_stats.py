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


def test_exact_interval_equals_its_closed_form() -> None:
    for n in (*range(1, 13), 100, 10_000):
        for k in {*range(min(n, 12)), n // 2, n - 1, n}:
            low = oracle.beta.ppf(0.025, k, n - k + 1) if k else 0.0
            high = oracle.beta.ppf(0.975, k + 1, n - k) if k < n else 1.0
            interval = stats.clopper_pearson(k, n).interval
            assert interval is not None
            assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-12)


def test_lower_ends_are_those_of_the_exact_interval() -> None:
    rates = [(0, 3), (1, 3), (3, 3), (3, 10), (4, 10), (238, 2000), (2000, 2000)]
    lows = []
    for k, n in rates:
        interval = stats.clopper_pearson(k, n).interval
        assert interval is not None
        lows.append(interval.low)
    assert stats.exact_low([k for k, _ in rates], [n for _, n in rates]) == pytest.approx(lows, abs=1e-12)
    # Clopper and Pearson 1934, as in every table: 3 of 10 from .0667, 4 of 10 from .1216.
    assert stats.exact_low([3, 4], [10, 10]) == pytest.approx([0.0667, 0.1216], abs=5e-5)


def test_a_rate_of_nothing_has_no_interval() -> None:
    assert stats.clopper_pearson(0, 0).interval is None
    assert np.isnan(stats.clopper_pearson(0, 0).estimate)


def test_mean_interval_equals_scipys_t_test() -> None:
    values = [0.71, 0.74, 0.70, 0.78]
    expected = oracle.ttest_1samp(values, 0).confidence_interval(0.95)
    mean = stats.mean_interval(values)
    assert mean.interval is not None
    assert (mean.interval.low, mean.interval.high) == pytest.approx((expected.low, expected.high))


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


@pytest.mark.parametrize(
    ("values", "ends"),
    [([0.1, 0.5, 0.9], (0, 1)), ([0.98, 0.99, 1.0], (0.9652, 1)), ([0.0, 0.01, 0.02], (0, 0.0348))],
)
def test_an_interval_of_shares_stays_within_them(values: list[float], ends: tuple[float, float]) -> None:
    # The last two: .99 or .01 -+ 4.3027 x .01 / sqrt(3) = .0248.
    interval = stats.mean_interval(values, within=stats.SHARE).interval
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx(ends, abs=5e-5)


def test_a_difference_of_shares_stays_within_100_points() -> None:
    interval = stats.paired_difference([0.0, 0.9, 0.0], [0.9, 0.0, 1.0]).interval
    assert interval is not None
    assert (interval.low, interval.high) == (-1, 1)


def test_holm_by_hand() -> None:
    assert stats.holm([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))


def test_loss_ranks_collapsed_trials_first() -> None:
    agreement = stats.loss_rank_agreement([0.0, 0.5, 0.6, np.nan], [0.1, 0.7, 0.8, 0.9])
    assert agreement is not None
    assert (agreement.n, agreement.best_loss_knn_rank) == (3, 3)
    assert agreement.spearman == pytest.approx(-1)


def test_threshold_sensitivity_by_hand() -> None:
    counts = stats.threshold_sensitivity([0.01, 0.02, 0.5, np.nan], 0.1)
    assert (counts.n, counts.unknown) == (3, 1)
    assert (counts.stable.low, counts.stable.high) == (0.02, 0.5)
    assert counts.collapsed[np.searchsorted(counts.thresholds, 0.1)] == 2
    assert (counts.collapsed[0], counts.collapsed[-1]) == (0, 3)  # below .01; below 1
