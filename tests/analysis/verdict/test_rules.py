"""The candidate answers against counts and designs small enough to work out by hand."""

import itertools

import numpy as np
import pytest

from analysis.cells import ABSENT
from analysis.verdict.rules import Component, Family, family
from benchmarks.verdict_simulation import add_one_in, full, half_fraction, leave_one_out


def named(rules: Family) -> set[tuple[tuple[int, ...], ...]]:
    """The rules over the reference's levels."""
    plain = [
        rule for rule in rules.rules if not any(part.is_remedy for term in rule.alternatives for part in term)
    ]
    return {rule.factors for rule in plain}


@pytest.mark.parametrize(
    ("factors", "unate", "dedekind"), [(1, 4, 3), (2, 14, 6), (3, 104, 20), (4, 2170, 168)]
)
def test_all_unate_rules_of_up_to_four_components(factors: int, unate: int, dedekind: int) -> None:
    """As many as unate functions (OEIS A245079), among them the monotone ones, less the two constant ones.

    Of the functions that need all of their n variables, 1, 2, 9 and 114 are monotone, and each is one of 2^n
    unate ones: 2 + 3 (1) 2 + 3 (2) 4 + 1 (9) 8 = 104.
    """
    rules = family(full(factors))
    assert len(rules.rules) == unate - 2
    assert len(named(rules)) == dedekind - 2
    assert not any(rules.aliases)


def test_the_rules_of_two_components_by_hand() -> None:
    """Of the 16 sets of 4 cells, all but none, all, and the two diagonals."""
    cells = {tuple(inside.tolist()) for inside in family(full(2)).inside_RC}
    diagonals = {(True, False, False, True), (False, True, True, False)}
    assert cells == set(itertools.product([True, False], repeat=4)) - diagonals - {(True,) * 4, (False,) * 4}


@pytest.mark.parametrize("factors", [4, 5])
def test_every_rule_is_unate_and_no_alternative_contains_another(factors: int) -> None:
    codes = full(factors)
    rules = family(codes)
    for rule, inside_C in zip(rules.rules, rules.inside_RC, strict=True):
        assert rule.holds(codes).tolist() == inside_C.tolist()
        for first, second in itertools.permutations(map(set, rule.factors), 2):
            assert not first <= second
        values = inside_C.reshape((2,) * factors).astype(int)
        for place in range(factors):
            steps = np.diff(values, axis=place)
            assert (steps >= 0).all() or (steps <= 0).all()


def test_two_alternatives_of_three_components_beyond_four_factors() -> None:
    rules = named(family(full(6)))
    assert ((0, 1, 2), (3, 4, 5)) in rules
    assert ((0, 1, 2, 3, 4, 5),) in rules
    assert max(map(len, rules)) == 2
    assert all(len(term) <= 3 for rule in rules if len(rule) == 2 for term in rule)


def test_changing_one_factor_at_a_time_leaves_only_rules_of_one_alternative() -> None:
    rules = family(leave_one_out(4))
    assert named(rules) == {
        (factors,) for size in (1, 2, 3, 4) for factors in itertools.combinations(range(4), size)
    }
    alone = rules.rules.index(next(rule for rule in rules.rules if rule.factors == ((0,),)))
    assert ((0, 1), (0, 2)) in [rule.factors for rule in rules.aliases[alone]]


def test_adding_one_factor_at_a_time_cannot_tell_pairs_apart() -> None:
    rules = family(add_one_in(4))
    together = next(
        (rule, aliases)
        for rule, aliases in zip(rules.rules, rules.aliases, strict=True)
        if rule.holds(add_one_in(4)).tolist() == [True] + [False] * 5
    )
    pairs = {together[0].factors, *(rule.factors for rule in together[1] if rule.mentions == 2)}
    assert pairs == {(pair,) for pair in itertools.combinations(range(4), 2)}


def test_aliases_of_a_fraction_come_from_its_cells() -> None:
    """In 2^(3-1) with c = a b, of the cells that have a and b, all have c."""
    fraction = [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)]
    rules = family(fraction)
    both = next(index for index, rule in enumerate(rules.rules) if rule.factors == ((0, 1),))
    aliases = {rule.factors for rule in rules.aliases[both]}
    assert {((0, 2),), ((1, 2),), ((0, 1, 2),)} <= aliases
    assert {((0,),), ((1,),), ((2,),)} <= named(rules)
    assert named(family(half_fraction())) >= {((0,), (1,)), ((0, 1),)}


def test_a_factor_of_several_levels_is_tried_as_sets_with_the_reference() -> None:
    rules = family([(0,), (1,), (2,), (3,)])
    sets = {rule.alternatives[0][0].codes for rule in rules.rules}
    kept = {(0,), (0, 1), (0, 1, 2), (0, 2, 3), (0, 1, 3)}
    assert sets == kept | {(1, 2, 3), (2, 3), (3,), (1,), (2,)}  # and what these leave


def test_where_a_factor_does_not_apply_its_component_is_not_there() -> None:
    codes = [(0, 0), (0, 1), (1, ABSENT)]
    rules = family(codes)
    inside = {
        rule.alternatives: tuple(cells.tolist())
        for rule, cells in zip(rules.rules, rules.inside_RC, strict=True)
    }
    present, absent_too = Component(1, (0,)), Component(1, (ABSENT, 0))
    assert inside[((present,),)] == (True, False, False)
    assert inside[((absent_too,),)] == (True, False, True)
    assert inside[((Component(0, (0,)),),)] == (True, True, False)


def test_many_levels_of_many_factors_make_rules_of_two_components() -> None:
    """Otherwise 187,000 rules would be tried on a thousand cells."""
    few, many = (family(list(itertools.product(range(n), repeat=3))) for n in (4, 6))
    several = [(2, 3), (3, 4, 5)]  # levels that no rule over the first level, or its change, names
    longest = [
        max(rule.mentions for rule in rules.rules if rule.alternatives[0][0].codes == codes)
        for rules, codes in zip((few, many), several, strict=True)
    ]
    assert longest == [3, 2]
    assert len(many.rules) < 20_000


def test_a_factor_that_does_not_vary_is_in_no_rule() -> None:
    assert {rule.factors for rule in family([(0, 0), (1, 0)]).rules} == {((0,),)}
    assert family([(0, 0)]).rules == ()
