"""Effects against designs small enough to work out by hand."""

import itertools

import numpy as np
import pytest

from analysis.effects import interactions, main_effects

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
