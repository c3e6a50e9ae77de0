"""Effects against designs small enough to work out by hand."""

import itertools

import numpy as np
import pytest

from analysis.contrasts import is_fraction
from analysis.effects import as_family, interactions, main_effects
from benchmarks.effects_simulation import accuracies, claims, collapses
from sweeps.study import fractional

TWO_BY_TWO = [(0, 0), (0, 1), (1, 0), (1, 1)]
VALUES = np.array([[10.0, 20.0], [13.0, 24.0], [8.0, 17.0], [5.0, 14.0]])
"""By cell of TWO_BY_TWO and seed."""


def test_main_effects_by_hand() -> None:
    first, second = main_effects(VALUES, TWO_BY_TWO, [2, 2])
    # Seed 0: (8 - 10 + 5 - 13) / 2 = -5; seed 1: (17 - 20 + 14 - 24) / 2 = -6.5.
    assert first.contrasts.tolist() == [-5.0, -6.5]
    assert second.contrasts.tolist() == [0.0, 0.5]  # (13 - 10 + 5 - 8) / 2; (24 - 20 + 14 - 17) / 2
    assert first.mean is not None
    assert first.mean.estimate == -5.75
    assert first.complete


def test_interaction_by_hand() -> None:
    (effect,) = interactions(VALUES, TWO_BY_TWO, [2, 2])
    assert effect.contrasts.tolist() == [-6.0, -7.0]  # 5 - 13 - 8 + 10; 14 - 24 - 17 + 20


def test_effects_equal_those_of_a_linear_model() -> None:
    codes = list(itertools.product(range(2), repeat=3))
    values = np.random.default_rng(1).standard_normal((8, 4))
    signs = 2 * np.array(codes) - 1
    design = np.column_stack([np.ones(8), signs, signs[:, 0] * signs[:, 1]])
    fitted = np.linalg.lstsq(design, values.mean(axis=1), rcond=None)[0]
    mains = [effect.mean.estimate for effect in main_effects(values, codes, [2, 2, 2]) if effect.mean]
    crossed = interactions(values, codes, [2, 2, 2])[0].mean
    assert mains == pytest.approx(2 * fitted[1:4])  # from -1 to +1
    assert crossed is not None
    assert crossed.estimate == pytest.approx(4 * fitted[4])


def test_only_seeds_with_all_pairs_are_averaged() -> None:
    values = VALUES.copy()
    values[3, 1] = np.nan
    first, _ = main_effects(values, TWO_BY_TWO, [2, 2])
    assert first.contrasts.tolist() == [-5.0]
    assert (first.matched, first.planned) == (2, 2)


def test_a_missing_cell_makes_an_effect_incomplete() -> None:
    values = VALUES.copy()
    values[3] = np.nan
    first, _ = main_effects(values, TWO_BY_TWO, [2, 2])
    assert first.contrasts.tolist() == [-2.0, -3.0]
    assert not first.complete


def test_three_levels_give_two_effects_against_the_first() -> None:
    effects = main_effects(np.array([[1.0], [4.0], [9.0]]), [(0,), (1,), (2,)], [3])
    assert [effect.contrasts.tolist() for effect in effects] == [[3.0], [8.0]]


CONDITIONAL = [(0, 0), (0, 1), (1, -1), (2, -1)]
"""The second factor applies at the first level of the first."""


def test_an_absence_is_no_level_to_compare_with() -> None:
    values = np.array([[10.0, 20.0], [13.0, 24.0], [90.0, 90.0], [70.0, 70.0]])
    *first, second = main_effects(values, CONDITIONAL, [3, 2])
    assert second.contrasts.tolist() == [3.0, 4.0]
    assert (second.matched, second.planned) == (1, 1)
    assert [(effect.mean, effect.planned) for effect in first] == [(None, 0), (None, 0)]
    assert [effect.planned for effect in interactions(values, CONDITIONAL, [3, 2])] == [0, 0]


def test_cells_that_lack_the_same_factor_are_matched_in_another() -> None:
    codes = [(*code, third) for code in CONDITIONAL for third in (0, 1)]
    values = np.array([[1.0], [2.0], [1.0], [4.0], [1.0], [6.0], [1.0], [8.0]])
    third = main_effects(values, codes, [3, 2, 2])[-1]
    assert third.contrasts.tolist() == [4.0]  # (1 + 3 + 5 + 7) / 4
    assert (third.matched, third.planned) == (4, 4)


def test_a_family_is_wider_than_one_of_its_effects() -> None:
    values = 0.5 + 0.1 * np.random.default_rng(0).standard_normal((4, 3))
    alone, members = (
        main_effects(values, TWO_BY_TWO, [2, 2]),
        as_family(main_effects(values, TWO_BY_TWO, [2, 2])),
    )
    for effect, member in zip(alone, members, strict=True):
        assert effect.mean is not None
        assert member.simultaneous is not None
        assert member.mean is not None
        spread = effect.contrasts.std(ddof=1) / np.sqrt(3)
        half = 6.2053 * spread  # t of 1 - .05/4 with two degrees of freedom
        assert member.family == 2
        assert member.simultaneous.low == pytest.approx(max(-1, effect.mean.estimate - half), abs=1e-4)


def test_effects_on_shares_end_where_shares_do() -> None:
    values = np.random.default_rng(1).random((4, 2))
    for effects, most in ((main_effects, 1), (interactions, 2)):
        for effect in as_family(effects(values, TWO_BY_TWO, [2, 2])):
            assert effect.simultaneous is not None
            assert (effect.simultaneous.low, effect.simultaneous.high) == (-most, most)


def test_the_largest_of_no_effects_is_claimed_in_few_sweeps() -> None:
    counts = claims(accuracies(), n_seeds=3, sweeps=250)
    assert counts.alone > 0.12
    assert max(counts.at_once, counts.p) <= 0.05 + 0.041  # three standard errors
    for rates in (np.full(16, 0.2), np.full(16, 0.5)):
        by_rate = claims(collapses(rates), n_seeds=3, sweeps=100)
        assert max(by_rate.at_once, by_rate.p) <= 0.05 + 0.065


def test_two_ways_to_show_an_interaction_are_no_second_chance() -> None:
    counts = claims(accuracies(), n_seeds=3, sweeps=150, crossed=True)
    assert counts.shown <= 0.05 + 0.053  # three standard errors


def test_swapped_labels_find_with_three_seeds_what_the_interval_cannot() -> None:
    counts = claims(accuracies(effect=0.015), n_seeds=3, sweeps=100)
    assert counts.p > 0.9
    assert counts.at_once < 0.7


def fraction_of(names: str, generators: dict[str, tuple[str, ...]]) -> list[tuple[int, ...]]:
    return [tuple((1 - sign) // 2 for sign in run) for run in fractional.runs(names, generators)]


@pytest.mark.parametrize("generators", [{"d": ("a", "b", "c")}, {"d": ("a", "b"), "e": ("a", "c")}])
def test_aliases_are_those_of_the_design(generators: dict[str, tuple[str, ...]]) -> None:
    names = "abcde"[: 3 + len(generators)]
    codes, levels = fraction_of(names, generators), [2] * len(names)
    assert is_fraction(codes, levels)
    values = np.random.default_rng(0).random((len(codes), 2))
    found = set()
    for effect in (*main_effects(values, codes, levels), *interactions(values, codes, levels)):
        group = (effect.factors, *effect.contrast.aliases)
        found.add(frozenset(frozenset(names[index] for index in factors) for factors in group))
    expected = {frozenset(map(frozenset, group)) for group in fractional.alias_sets(list(names), generators)}
    assert {group for group in found if len(group) > 1} == expected


def test_effects_of_a_fraction_are_those_of_the_model_that_made_the_values() -> None:
    codes = fraction_of("abcd", {"d": ("a", "b", "c")})
    a, b, c, d = np.array(codes).T
    values = 0.2 + 0.1 * a + 0.2 * b - 0.05 * d + 0.3 * a * b + 0 * c
    effects = main_effects(np.column_stack([values, values]), codes, [2] * 4)
    # At half of the cells the other factor is at its second level: .1 + .3 / 2, .2 + .3 / 2.
    assert [effect.mean.estimate for effect in effects if effect.mean] == pytest.approx(
        [0.25, 0.35, 0, -0.05]
    )
    crossed = interactions(np.column_stack([values, values]), codes, [2] * 4)
    assert [effect.factors for effect in crossed] == [(0, 1), (0, 2), (0, 3)]
    assert [effect.mean.estimate for effect in crossed if effect.mean] == pytest.approx([0.3, 0, 0])
    assert crossed[0].contrast.aliases == ((2, 3),)


def test_a_fraction_that_lacks_a_cell_has_no_effects() -> None:
    codes = fraction_of("abcd", {"d": ("a", "b", "c")})
    values = np.random.default_rng(0).random((8, 3))
    values[3] = np.nan
    assert all(effect.mean is None for effect in main_effects(values, codes, [2] * 4))


@pytest.mark.parametrize(
    "codes",
    [
        list(itertools.product(range(2), repeat=3)),
        [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)],
        [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1)],
    ],
    ids=["full", "leave-one-out", "half that lacks a level"],
)
def test_other_designs_are_no_fraction(codes: list[tuple[int, ...]]) -> None:
    assert not is_fraction(codes, [2] * 3)
