"""The candidate answers: monotone rules over components, such as `A, or B and C`.

A component is a factor at the reference's level, or at one of a few sets of levels that include it. A rule
lists alternatives, each of which names components; a cell is inside if it has all components of any of them.
The reversed rules, for a reference that itself collapsed, name what must be changed instead.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from analysis.cells import ABSENT, Codes

Bools: TypeAlias = npt.NDArray[np.bool_]

_ALL_RULES_UP_TO = 4
"""Factors of which all monotone rules are tried: 166 of four."""
_LARGEST_OF_TWO = 3
"""Components of an alternative, where there are two."""
_MENTIONS = {False: 6, True: 4}
"""Components that two alternatives name together; the second where there are more than _MANY factors."""
_MANY = 6
_ANY_SIZE_UP_TO = 10
"""Factors up to which a single alternative may name all of them."""
_MENTIONS_OF_SETS = 3
"""Components that a rule names if one of them is a set of several levels."""


@dataclass(frozen=True, order=True)
class Component:
    """A factor at one of some levels."""

    factor: int
    codes: tuple[int, ...]
    """The levels; with ABSENT, cells to which the factor does not apply have the component, too."""


Alternative: TypeAlias = tuple[Component, ...]


@dataclass(frozen=True)
class Rule:
    """Alternatives, none of which contains another."""

    alternatives: tuple[Alternative, ...]
    reversed: bool = False
    """Whether its components are changes of the reference."""

    @property
    def mentions(self) -> int:
        """How many components it names, each as often as it does."""
        return sum(map(len, self.alternatives))

    @property
    def factors(self) -> tuple[tuple[int, ...], ...]:
        """The factors by alternative."""
        return tuple(tuple(component.factor for component in term) for term in self.alternatives)

    @property
    def uses_absence(self) -> bool:
        """Whether a component is there where its factor does not apply."""
        return any(ABSENT in component.codes for term in self.alternatives for component in term)

    def holds(self, codes: Codes) -> Bools:
        """Which cells are inside. Shape [cells]."""
        return _inside(self.alternatives, _holders(codes))


@dataclass(frozen=True, kw_only=True)
class Family:
    """The rules that a set of cells can tell apart."""

    rules: tuple[Rule, ...]
    """One for each set of cells inside, neither none nor all: the one that says it most simply."""
    aliases: tuple[tuple[Rule, ...], ...]
    """The others that have the same cells inside, by rule."""
    inside_RC: Bools
    """Shape [rules, cells]."""


def family(codes: Codes) -> Family:
    """All rules that these cells can tell apart, the reversed ones last.

    Up to four factors: every monotone rule, and rules of at most three components that may be sets of levels.
    Beyond that, rules of two alternatives of up to three components (with more than six factors, of four in
    all), and of one alternative of any size (with more than ten factors, of three).
    """
    holders = _holders(codes)
    groups: dict[tuple[bool, bytes], list[Rule]] = {}
    for rule in _candidates(codes):
        inside_C = _inside(rule.alternatives, holders)
        if inside_C.any() and not inside_C.all():
            groups.setdefault((rule.reversed, inside_C.tobytes()), []).append(rule)
    for rules in groups.values():
        rules.sort(key=lambda rule: (rule.uses_absence, rule.mentions, len(rule.alternatives)))
    inside = [np.frombuffer(cells, dtype=np.bool_) for _, cells in groups]
    return Family(
        rules=tuple(rules[0] for rules in groups.values()),
        aliases=tuple(tuple(rules[1:]) for rules in groups.values()),
        inside_RC=np.array(inside, dtype=np.bool_).reshape(len(inside), len(codes)),
    )


_Holders: TypeAlias = Callable[[Component], Bools]


def _holders(codes: Codes) -> _Holders:
    """Component -> which cells have it, remembered."""
    codes_CF = np.asarray(codes)
    known: dict[Component, Bools] = {}

    def holders(component: Component) -> Bools:
        if component not in known:
            known[component] = np.isin(codes_CF[:, component.factor], component.codes)
        return known[component]

    return holders


def _inside(alternatives: Sequence[Alternative], holders: _Holders) -> Bools:
    terms = [np.logical_and.reduce([holders(component) for component in term]) for term in alternatives]
    return np.asarray(np.logical_or.reduce(terms), dtype=np.bool_)


def _candidates(codes: Codes) -> Iterator[Rule]:
    """Every rule of the family, some with the same cells inside."""
    found = [sorted(set(column)) for column in zip(*codes, strict=True)]
    varied = {factor: levels for factor, levels in enumerate(found) if len(levels) > 1}
    for is_reversed in (False, True):
        of_factors = [_components(factor, levels, is_reversed) for factor, levels in varied.items()]
        components = [own for own in of_factors if own]
        first = [own[0] for own in components]
        for alternatives in (*_plain(first), *_of_sets(components)):
            yield Rule(alternatives, reversed=is_reversed)


def _components(factor: int, found: Sequence[int], is_reversed: bool) -> list[Component]:
    """The reference's level alone comes first; then it with those that follow it, and all levels but one.

    Of a factor that does not apply everywhere, each of these also together with its absence.
    """
    levels = sorted({0, *found} - {ABSENT})
    sets = [tuple(levels[:last]) for last in range(1, len(levels))]
    sets += [tuple(code for code in levels if code != left) for left in levels[1:]]
    sets = list(dict.fromkeys(sets or [(0,)]))
    if is_reversed:
        changes = [tuple(code for code in levels if code not in kept) for kept in sets]
        return [Component(factor, changed) for changed in changes if changed]
    with_absence = [(ABSENT, *kept) for kept in sets] if ABSENT in found else []
    return [Component(factor, kept) for kept in (*sets, *with_absence)]


def _plain(components: Sequence[Component]) -> Iterator[tuple[Alternative, ...]]:
    """Rules over one component a factor."""
    if len(components) <= _ALL_RULES_UP_TO:
        yield from antichains(list(_terms(components, len(components))))
        return
    largest = len(components) if len(components) <= _ANY_SIZE_UP_TO else _LARGEST_OF_TWO
    yield from ((term,) for term in _terms(components, largest))
    mentions = _MENTIONS[len(components) > _MANY]
    yield from _pairs(list(_terms(components, _LARGEST_OF_TWO)), mentions)


def _of_sets(components: Sequence[Sequence[Component]]) -> Iterator[tuple[Alternative, ...]]:
    """Short rules in which a factor may have any of its sets of levels, if some factor has several."""
    if all(len(own) == 1 for own in components):
        return
    first = {own[0] for own in components}
    every = [component for own in components for component in own]
    terms = [term for term in _terms(every, _MENTIONS_OF_SETS) if _one_set_a_factor(term)]
    for alternatives in itertools.chain(((term,) for term in terms), _pairs(terms, _MENTIONS_OF_SETS)):
        used = {component for term in alternatives for component in term}
        if _one_set_a_factor(used) and not used <= first:
            yield alternatives


def _one_set_a_factor(components: Sequence[Component] | set[Component]) -> bool:
    return len({component.factor for component in components}) == len(set(components))


def _terms(components: Sequence[Component], largest: int) -> Iterator[Alternative]:
    """Sets of components, smallest first."""
    sizes = range(1, largest + 1)
    return itertools.chain.from_iterable(itertools.combinations(components, size) for size in sizes)


def _pairs(terms: Sequence[Alternative], mentions: int) -> Iterator[tuple[Alternative, ...]]:
    for first, second in itertools.combinations(terms, 2):
        if len(first) + len(second) <= mentions and not set(first) <= set(second):
            yield first, second


def antichains(terms: Sequence[Alternative]) -> Iterator[tuple[Alternative, ...]]:
    """Every set of terms, but the empty one, of which none contains another. `terms`: smallest first."""
    for index, term in enumerate(terms):
        rest = [other for other in terms[index + 1 :] if not set(term) <= set(other)]
        yield (term,)
        yield from ((term, *others) for others in antichains(rest))
