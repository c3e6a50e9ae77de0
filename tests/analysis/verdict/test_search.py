"""The test of the search, against permutations written out and tests that others have written."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from analysis.verdict.rules import Component, family
from analysis.verdict.search import PERMUTATIONS, Search, search
from benchmarks.verdict_simulation import full, leave_one_out

NAN = math.nan


def found(collapsed: list[list[float]], codes: list[tuple[int, ...]]) -> Search:
    result = search(np.array(collapsed, dtype=np.float64), family(codes))
    assert result is not None
    return result


def test_a_permutation_written_out() -> None:
    """One cell of three collapses in each of three seeds: of 27 arrangements, the reference's neighbours are
    picked in all seeds by 2."""
    result = found([[0, 0, 0], [1, 1, 1], [0, 0, 0]], leave_one_out(2))
    assert result.rule.factors == ((0,),)
    assert (result.permutations, result.exact, result.rules) == (27, True, 6)
    assert result.adjusted_p == pytest.approx(2 / 27)
    assert (result.inside.collapsed, result.inside.trials) == (0, 6)
    assert (result.outside.collapsed, result.outside.trials) == (3, 3)
    assert result.z == pytest.approx(3)  # 1 by sqrt(1/3 2/3 (1/3 + 1/6)), in 3 of 27


def test_the_score_is_the_likelihood_ratio_statistic_less_its_penalty() -> None:
    collapsed = [[0, 0, 1], [0, 1, 0], [1, 1, 1], [1, 0, 1]]
    result = found([[float(value) for value in row] for row in collapsed], full(2))
    assert result.rule.factors == ((0,),)
    table = [[2, 4], [5, 1]]
    statistic = stats.chi2_contingency(table, correction=False, lambda_="log-likelihood").statistic
    assert result.score == pytest.approx(statistic - math.log(12))


def test_the_p_value_counts_every_arrangement_of_the_best_score() -> None:
    """By brute force, with scores from scipy, and a trial that is missing and stays so."""
    collapsed = np.array([[0, 0], [0, NAN], [0, 1], [1, 1]])
    codes = full(2)
    memberships = {"a": [0, 1], "b": [0, 2], "A": [2, 3], "B": [1, 3]}  # capitals: changed
    memberships |= {"ab": [0], "aB": [1], "Ab": [2], "AB": [3]}
    memberships |= {"a or b": [0, 1, 2], "a or B": [0, 1, 3], "A or b": [0, 2, 3], "A or B": [1, 2, 3]}

    def best(table: np.ndarray) -> float:
        scores = [0.0]
        for rule, cells in memberships.items():
            inside, outside = table[cells], np.delete(table, cells, axis=0)
            (k, n), (j, m) = ((int(np.nansum(x)), int((~np.isnan(x)).sum())) for x in (inside, outside))
            if k * m < j * n:
                counts = [[k, n - k], [j, m - j]]
                ratio = stats.chi2_contingency(counts, correction=False, lambda_="log-likelihood").statistic
                scores.append(
                    float(ratio)
                    - math.log(7) * len(rule.replace(" or ", ""))
                    - 2 * math.log(2) * sum(map(str.isupper, rule))
                    + 2 * math.log(2) * (j == n)
                )
        return max(scores)

    first = [row for row in itertools.product([0, 1], repeat=4) if sum(row) == 1]
    second = [(a, NAN, b, c) for a, b, c in itertools.product([0, 1], repeat=3) if a + b + c == 2]
    arranged = [best(np.array([a, b]).T) for a, b in itertools.product(first, second)]
    result = search(collapsed, family(codes))
    assert result is not None
    assert result.permutations == len(arranged) == 12
    assert result.adjusted_p == pytest.approx(np.mean(np.array(arranged) >= best(collapsed) - 1e-9))


def test_no_rule_at_all_is_a_candidate() -> None:
    assert found([[0, 0], [0, 1], [1, 0], [0, 1]], full(2)).adjusted_p == 1


def test_a_seed_that_decides_alone_shows_nothing() -> None:
    assert search(np.tile([1.0, 0.0, 0.0], (16, 1)), family(full(4))) is None
    mostly = np.tile([1.0, 0.0, 0.0], (16, 1))
    mostly[15, 1], mostly[0, 0] = 1.0, 0.0
    result = search(mostly, family(full(4)))
    assert result is not None
    assert result.adjusted_p > 0.3


def test_many_arrangements_are_sampled_the_same_way_every_time() -> None:
    collapsed = np.array([[float(code[0])] * 3 for code in full(4)])
    first, second = (search(collapsed, family(full(4))) for _ in range(2))
    assert first is not None
    assert second is not None
    assert (first.permutations, first.exact, first.rules) == (PERMUTATIONS, False, 2168)
    assert first.adjusted_p == second.adjusted_p == 1 / (1 + PERMUTATIONS)
    assert first.rule.factors == ((0,),)
    assert (first.ties, first.equals) == ((), ())


def test_a_stray_in_the_reference_changes_nothing() -> None:
    collapsed = np.array([[float(code[0])] * 3 for code in full(4)])
    collapsed[0, 1] = 1
    result = search(collapsed, family(full(4)))
    assert result is not None
    assert result.rule.alternatives == ((Component(0, (0,)),),)
    assert result.adjusted_p <= 0.002


def test_where_the_reference_collapses_the_rule_is_a_change_of_it() -> None:
    collapsed = np.array([[float(code[0] == 0)] * 3 for code in full(4)])
    result = search(collapsed, family(full(4)))
    assert result is not None
    assert result.rule.alternatives == ((Component(0, (1,)),),)
    assert (result.inside.collapsed, result.outside.collapsed) == (0, 24)


def test_a_remedy_beside_two_components_that_protect_together() -> None:
    """As with negatives, or with predictor and slow target: of 8 cells 3 collapse, 15 of 40 trials."""
    codes = full(3)
    collapsed = np.array([[float(code[0] == 0 and code[1:] != (0, 0))] * 5 for code in codes])
    result = search(collapsed, family(codes))
    assert result is not None
    kept, target, remedy = Component(1, (0,)), Component(2, (0,)), Component(0, (1,))
    assert result.rule.alternatives == ((remedy,), (kept, target))
    assert (result.inside.collapsed, result.inside.trials) == (0, 25)
    assert (result.outside.collapsed, result.outside.trials) == (15, 15)
    statistic = -2 * (15 * math.log(15 / 40) + 25 * math.log(25 / 40))
    remedy_less_certain_collapse = 2 * math.log(2) - 2 * math.log(2)
    assert result.score == pytest.approx(statistic - 3 * math.log(40) - remedy_less_certain_collapse)
    assert (result.ties, result.equals) == ((), ())


@pytest.mark.parametrize(("fatal", "as_good"), [(3, 1), (2, 3), (1, 3), (0, 4)])
def test_a_rule_over_the_reference_s_levels_does_not_pay_for_the_remedies(fatal: int, as_good: int) -> None:
    """One cell of four collapses in each of three seeds: of 64 arrangements 4 are as clear. Each corner is a
    rule of two components; A or B is preferred to those with one remedy, and they to the one with two."""
    collapsed = [[float(cell == fatal)] * 3 for cell in range(4)]
    assert found(collapsed, full(2)).adjusted_p == pytest.approx(as_good / 64)


def test_a_few_strays_do_not_hide_a_clear_rule_behind_a_shorter_one() -> None:
    """`A or B`: 6 of 6 collapsed without it, and 2 of 18 with it, both where B is gone. By the statistic less
    log(24) a component alone, `B` with 8 of 12 and 0 of 12 is ahead, by less than 2 log 2."""
    codes = full(3)
    collapsed = np.array([[float(code[:2] == (1, 1))] * 3 for code in codes])
    collapsed[codes.index((0, 1, 0)), 0] = collapsed[codes.index((0, 1, 1)), 2] = 1
    result = found(collapsed.tolist(), codes)
    assert result.rule.factors == ((0,), (1,))

    def ratio(k: int, n: int, j: int, m: int) -> float:
        counts = [[k, n - k], [j, m - j]]
        return float(stats.chi2_contingency(counts, correction=False, lambda_="log-likelihood").statistic)

    shorter, true = ratio(0, 12, 8, 12) - math.log(24), ratio(2, 18, 6, 6) - 2 * math.log(24)
    assert 0 < shorter - true < 2 * math.log(2)
    assert result.score == pytest.approx(true + 2 * math.log(2))
    collapsed[codes.index((1, 1, 1)), 0] = 0  # nor is it then certain
    assert found(collapsed.tolist(), codes).rule.factors == ((1,),)


def test_rules_that_fit_hardly_less_well_are_ties() -> None:
    """One component is fatal, and perhaps the second is not."""
    collapsed = [[0, 0, 0], [1, 1, 1], [0, 1, 1], [0, 0, 0]]
    result = found([[float(value) for value in row] for row in collapsed], leave_one_out(3))
    assert result.rule.factors == ((0, 1),)
    assert [rule.factors for rule in result.ties] == [((0,),)]


def test_equal_outcomes_leave_nothing_to_search() -> None:
    for value in (0.0, 1.0, NAN):
        assert search(np.full((4, 3), value), family(full(2))) is None
