"""Sufficient sets against designs small enough to work out by hand."""

import itertools

import pytest

from analysis.verdict import sufficient_sets

TWO_BY_TWO = [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_one_component_suffices() -> None:
    sufficient = sufficient_sets(TWO_BY_TWO, [0, 0, 3, 3], [3, 3, 3, 3], [2, 2])
    assert sufficient.sets == ((0,),)
    assert sufficient.determined


def test_either_of_two_suffices() -> None:
    assert sufficient_sets(TWO_BY_TWO, [0, 0, 0, 1], [3, 3, 3, 3], [2, 2]).sets == ((0,), (1,))


def test_both_are_needed() -> None:
    assert sufficient_sets(TWO_BY_TWO, [0, 3, 3, 3], [3, 3, 3, 3], [2, 2]).sets == ((0, 1),)


def test_nothing_is_needed_where_nothing_collapses() -> None:
    assert sufficient_sets(TWO_BY_TWO, [0, 0, 0, 0], [3, 3, 3, 3], [2, 2]).sets == ((),)


def test_a_missing_cell_leaves_it_undetermined() -> None:
    sufficient = sufficient_sets(TWO_BY_TWO, [0, 0, 3, 0], [3, 0, 3, 3], [2, 2])
    assert not sufficient.determined
    assert (0,) in sufficient.open_sets


def test_a_larger_alternative_is_found_beside_the_smallest() -> None:
    codes = list(itertools.product(range(2), repeat=3))
    collapsed = [0 if code[0] == 0 or code[1:] == (0, 0) else 1 for code in codes]
    assert sufficient_sets(codes, collapsed, [1] * 8, [2, 2, 2]).sets == ((0,), (1, 2))


def test_a_collapsed_reference_leaves_no_set() -> None:
    sufficient = sufficient_sets(TWO_BY_TWO, [1, 0, 0, 0], [3, 3, 3, 3], [2, 2])
    assert sufficient.reference_collapsed
    assert sufficient.sets == ()


CONDITIONAL = [(0, 0), (0, 1), (1, -1), (2, -1)]
"""The second factor applies at the first level of the first."""


@pytest.mark.parametrize(
    ("collapsed", "sets"),
    [
        ([0, 0, 0, 0], ((),)),
        ([0, 0, 3, 3], ((0,),)),
        ([0, 3, 3, 3], ((0, 1),)),
        (
            [0, 3, 0, 0],
            ((0, 1),),
        ),  # not the second alone: three of four cells do not have it at its first level
    ],
)
def test_sufficient_sets_of_conditional_factors(
    collapsed: list[int], sets: tuple[tuple[int, ...], ...]
) -> None:
    sufficient = sufficient_sets(CONDITIONAL, collapsed, [3] * 4, [3, 2])
    assert sufficient.sets == sets
    assert sufficient.determined
    assert sufficient.reference_collapsed is False


def test_a_missing_cell_of_conditional_factors_leaves_it_undetermined() -> None:
    sufficient = sufficient_sets(CONDITIONAL, [0, 0, 3, 0], [3, 0, 3, 3], [3, 2])
    assert not sufficient.determined
    assert sufficient.open_sets == ((0,),)


def test_a_factor_that_the_reference_lacks_is_none_of_its_components() -> None:
    codes = [(0, -1), (1, 0), (1, 1)]
    assert sufficient_sets(codes, [0, 1, 1], [1, 1, 1], [2, 2]).sets == ((0,),)
    assert sufficient_sets(codes, [1, 0, 0], [1, 1, 1], [2, 2]).reference_collapsed
