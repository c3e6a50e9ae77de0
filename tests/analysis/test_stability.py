"""Fluctuation by hand, and the ratio of two spreads against the test that it inverts."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats as oracle

from analysis.stability import knn_fluctuation, spread_ratio


def fluctuation(accuracies: list[float], every: int = 10) -> float:
    steps = [every * index for index in range(len(accuracies))]
    metrics = pd.DataFrame({"trial_id": "a", "step": steps, "knn_accuracy": accuracies})
    return float(knn_fluctuation(metrics).reindex(["a"]).iloc[0])


def test_it_is_the_root_mean_square_of_the_changes_in_the_second_half() -> None:
    # Steps 0 to 60: the second half begins at 30, and what is before it does not count.
    assert fluctuation([0.9, 0.1, 0.9, 0.5, 0.53, 0.49, 0.49]) == pytest.approx(
        math.sqrt((0.03**2 + 0.04**2 + 0) / 3)
    )
    assert fluctuation([0.1, 0.2, 0.5, 0.5, 0.5]) == 0


def test_a_gap_is_a_change_between_the_measurements_around_it() -> None:
    gap = [0.1, 0.1, 0.1, 0.1, 0.5, math.nan, 0.6, 0.5, 0.5]
    assert fluctuation(gap) == pytest.approx(math.sqrt(2 * 0.1**2 / 3))


@pytest.mark.parametrize("accuracies", [[0.1, 0.2, 0.3, 0.4], [0.1, 0.1, 0.2, math.nan, 0.3], [math.nan] * 9])
def test_two_measurements_in_the_second_half_are_too_few(accuracies: list[float]) -> None:
    assert math.isnan(fluctuation(accuracies))


def test_trials_are_told_apart() -> None:
    steps = list(range(5)) * 2
    metrics = pd.DataFrame(
        {"trial_id": ["a"] * 5 + ["b"] * 5, "step": steps, "knn_accuracy": [0.5] * 5 + [0.5, 0.4] * 2 + [0.5]}
    )
    assert knn_fluctuation(metrics).to_dict() == pytest.approx({"a": 0.0, "b": 0.1})
    assert knn_fluctuation(metrics.iloc[:0]).empty


@pytest.mark.parametrize("n", [3, 5, 12])
def test_the_ends_are_the_ratios_at_which_pitman_and_morgan_reject(n: int) -> None:
    """Scaled to equal spreads, sum and difference are uncorrelated; the test is that of their correlation."""
    rng = np.random.default_rng(n)
    x = rng.normal(size=n)
    y = 2 * (0.6 * x + rng.normal(size=n))
    ratio = spread_ratio(x, y)
    assert ratio is not None
    assert ratio.interval is not None
    assert ratio.estimate == pytest.approx(y.std(ddof=1) / x.std(ddof=1))
    assert ratio.n == n
    for end in (ratio.interval.low, ratio.interval.high):
        assert oracle.pearsonr(y + end * x, y - end * x).pvalue == pytest.approx(0.05, abs=1e-9)
    assert ratio.interval.low < ratio.estimate < ratio.interval.high


def test_the_interval_covers_at_its_level() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(1500):
        x = rng.normal(size=5)
        ratio = spread_ratio(x, 3 * (0.8 * x + 0.6 * rng.normal(size=5)))
        assert ratio is not None
        assert ratio.interval is not None
        covered += ratio.interval.low <= 3 <= ratio.interval.high
    assert covered / 1500 == pytest.approx(0.95, abs=0.02)


def test_where_there_is_no_ratio_or_no_interval() -> None:
    nan = math.nan
    assert spread_ratio([1, nan, 2], [nan, 1, 2]) is None
    assert spread_ratio([1, 1, 1], [1, 2, 3]) is None
    for x, y, estimate, n in (
        ([1, 2, nan], [3, 7, 5], 4.0, 2),
        ([1, 2, 3], [4, 4, 4], 0.0, 3),
        ([1, 2, 4], [2, 4, 8], 2.0, 3),
    ):
        ratio = spread_ratio(x, y)
        assert ratio is not None
        assert ratio.estimate == pytest.approx(estimate)
        assert (ratio.n, ratio.interval) == (n, None)
