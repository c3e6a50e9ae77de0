"""The candidate answers against counts and designs small enough to work out by hand."""

import itertools

import pytest

from analysis.cells import ABSENT
from analysis.verdict.rules import Component, Family, family
from benchmarks.verdict_simulation import add_one_in, full, half_fraction, leave_one_out


def named(rules: Family, *, changes: bool = False) -> set[tuple[tuple[int, ...], ...]]:
    return {rule.factors for rule in rules.rules if rule.reversed == changes}


@pytest.mark.parametrize(("factors", "dedekind"), [(1, 3), (2, 6), (3, 20), (4, 168)])
def test_all_monotone_rules_of_up_to_four_components(factors: int, dedekind: int) -> None:
    """As many as monotone functions, less the two that are constant."""
    rules = family(full(factors))
    for changes in (False, True):
        assert sum(rule.reversed == changes for rule in rules.rules) == dedekind - 2
    assert not any(rules.aliases)


def test_every_rule_is_monotone_and_no_alternative_contains_another() -> None:
    codes = full(4)
    rules = family(codes)
    for rule, inside_C in zip(rules.rules, rules.inside_RC, strict=True):
        assert rule.holds(codes).tolist() == inside_C.tolist()
        for first, second in itertools.permutations(map(set, rule.factors), 2):
            assert not first <= second
        inside = {code for code, holds in zip(codes, inside_C, strict=True) if holds}
        kept, other = (1, 0) if rule.reversed else (0, 1)
        for code, place in itertools.product(inside, range(4)):
            assert (*code[:place], kept, *code[place + 1 :]) in inside or code[place] != other


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
        if rule.holds(add_one_in(4)).tolist() == [True] + [False] * 5 and not rule.reversed
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
    sets = {rule.alternatives[0][0].codes for rule in rules.rules if not rule.reversed}
    assert sets == {(0,), (0, 1), (0, 1, 2), (0, 2, 3), (0, 1, 3)}
    changes = {rule.alternatives[0][0].codes for rule in rules.rules if rule.reversed}
    assert changes == {(1, 2, 3), (2, 3), (3,), (1,), (2,)}


def test_where_a_factor_does_not_apply_its_component_is_not_there() -> None:
    codes = [(0, 0), (0, 1), (1, ABSENT)]
    rules = family(codes)
    inside = {
        rule.alternatives: tuple(cells.tolist())
        for rule, cells in zip(rules.rules, rules.inside_RC, strict=True)
        if not rule.reversed
    }
    present, absent_too = Component(1, (0,)), Component(1, (ABSENT, 0))
    assert inside[((present,),)] == (True, False, False)
    assert inside[((absent_too,),)] == (True, False, True)
    assert inside[((Component(0, (0,)),),)] == (True, True, False)


def test_a_factor_that_does_not_vary_is_in_no_rule() -> None:
    assert named(family([(0, 0), (1, 0)])) == {((0,),)}
    assert family([(0, 0)]).rules == ()
