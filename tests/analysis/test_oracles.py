"""Statistics against statsmodels, which computes them in another way."""

import itertools

import numpy as np
import pytest
from statsmodels.duration.survfunc import SurvfuncRight
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from analysis import stats
from analysis.effects import interactions, main_effects
from analysis.onset import kaplan_meier
from analysis.paired import swap_test

SEEDS = 4
CELLS = list(itertools.product(range(3), range(2), range(2)))
"""A full factorial: one factor of three levels, two of two."""


def values(rng: np.random.Generator) -> stats.Floats:
    """Accuracies with main effects, an interaction, seeds that differ, and noise. Shape [cells, seeds]."""
    a, b, c = np.array(CELLS).T
    means = 0.7 - 0.03 * a - 0.05 * b + 0.02 * c + 0.04 * b * c
    noise = 0.05 * rng.standard_normal(SEEDS) + 0.01 * rng.standard_normal((12, SEEDS))
    return np.asarray(means[:, None] + noise)


def regression(table_CS: np.ndarray, *, crossed: bool) -> dict[tuple[tuple[int, int], ...], float]:
    """Least squares with a column per level and seed: ((factor, level), ...) -> its contrast with level 0.

    Factors are coded by sums, so an effect is the mean over the levels of the others: columns hold the level
    minus its share of the cells.
    """
    columns: dict[tuple[tuple[int, int], ...], np.ndarray] = {}
    codes = np.array(CELLS)
    for factor, levels in enumerate((3, 2, 2)):
        for level in range(1, levels):
            columns[((factor, level),)] = (codes[:, factor] == level) - 1 / levels
    if crossed:
        for (first, x), (second, y) in itertools.combinations(list(columns.items()), 2):
            if first[0][0] != second[0][0]:
                columns[(*first, *second)] = x * y
    design = np.array([np.repeat(column, SEEDS) for column in columns.values()]).T
    blocks = np.tile(np.eye(SEEDS), (len(CELLS), 1))
    fitted = OLS(table_CS.ravel(), np.column_stack([design, blocks])).fit()
    return dict(zip(columns, fitted.params, strict=False))


def test_effects_are_those_of_a_regression_with_seeds_as_blocks() -> None:
    table_CS = values(np.random.default_rng(0))
    expected = regression(table_CS, crossed=True)
    found = [*main_effects(table_CS, CELLS, (3, 2, 2)), *interactions(table_CS, CELLS, (3, 2, 2))]
    estimates = {}
    for effect in found:
        assert effect.mean is not None
        estimates[tuple(zip(effect.factors, effect.levels, strict=True))] = effect.mean.estimate
    assert len(estimates) == 4 + 5
    assert estimates == pytest.approx(expected, abs=1e-12)


def test_an_effects_interval_is_that_of_the_mean_of_its_contrasts() -> None:
    table_CS = values(np.random.default_rng(1))
    for effect in main_effects(table_CS, CELLS, (3, 2, 2)):
        (factor,), (level,) = effect.factors, effect.levels
        codes = np.array(CELLS)[:, factor]
        by_seed = table_CS[codes == level].mean(axis=0) - table_CS[codes == 0].mean(axis=0)
        low, high = DescrStatsW(by_seed).tconfint_mean(0.05)
        assert effect.mean is not None
        assert effect.mean.interval is not None
        assert (effect.mean.interval.low, effect.mean.interval.high) == pytest.approx((low, high), abs=1e-12)


@pytest.mark.parametrize(("method", "name"), [(stats.clopper_pearson, "beta"), (stats.wilson, "wilson")])
def test_intervals_of_rates(method: type, name: str) -> None:
    for k, n in [(0, 3), (1, 3), (3, 3), (2, 5), (0, 24), (17, 48), (999, 1000)]:
        interval = method(k, n).interval
        low, high = proportion_confint(k, n, 0.05, method=name)
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-9), (k, n)


def test_swapped_labels_of_yes_and_no_are_mcnemars_exact_test() -> None:
    rng = np.random.default_rng(2)
    for n in (3, 6, 12, 40):
        before, after = rng.random(n) < 0.2, rng.random(n) < 0.6
        table = [[int(((before == b) & (after == a)).sum()) for a in (False, True)] for b in (False, True)]
        p = swap_test(after.astype(float) - before.astype(float)).p
        assert p == pytest.approx(min(1.0, float(mcnemar(table, exact=True).pvalue)), abs=1e-12)


def test_holm() -> None:
    rng = np.random.default_rng(3)
    for n in (1, 2, 7, 20):
        p = [*rng.random(n), *(rng.random(n) / 50), 0.5, 0.5]
        assert stats.holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)


def test_survival_is_the_product_limit_estimate() -> None:
    rng = np.random.default_rng(4)
    times = rng.integers(1, 15, 40) * 100.0  # with ties
    events = rng.random(40) < 0.6
    curve, expected = kaplan_meier(times, events), SurvfuncRight(times, events.astype(int))
    at = np.searchsorted(curve.steps, expected.surv_times, side="right") - 1
    assert curve.survival[at] == pytest.approx(expected.surv_prob, abs=1e-12)
    assert curve.median == expected.quantile(0.5)
    for index, q in enumerate(expected.surv_prob):
        # Greenwood's variance on the log-log scale, from statsmodels' standard error of the estimate.
        if 0 < q < 1:
            half = 1.959964 * expected.surv_prob_se[index] / (q * abs(np.log(q)))
            ends = q ** np.exp(half), q ** np.exp(-half)
            assert (curve.low[at[index]], curve.high[at[index]]) == pytest.approx(ends, abs=1e-6)
