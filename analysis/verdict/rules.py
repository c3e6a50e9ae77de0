"""The candidate answers: unate rules over components, such as `A, or B and C`.

A component is a factor at the reference's level, or at one of a few sets of levels that include it; or else a
remedy: the factor changed from these. A rule lists alternatives, each of which names components; a cell is
inside if it has all components of any of them. A rule is unate: it names a factor at one set of levels only.
"""

import itertools
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, reduce
from operator import and_, or_
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from analysis.cells import ABSENT, Codes

Bools: TypeAlias = npt.NDArray[np.bool_]

_ALL_RULES_UP_TO = 4
"""Factors of which all unate rules are tried: 2,168 of four."""
_LARGEST_OF_TWO = 3
"""Components of an alternative, where there are two."""
_MENTIONS = {False: 6, True: 4}
"""Components that two alternatives name together; the second where there are more than _MANY factors."""
_MANY = 6
_ANY_SIZE_UP_TO = 10
"""Factors up to which a single alternative may name all of them."""
_SHORT = 3
"""Components that a rule names if they may be any: remedies, and sets of several levels."""
_SHORT_RULES = 20_000
"""If about more such rules than this would be tried, they name two components: three factors of 10 levels
would make 187,000."""


@dataclass(frozen=True, order=True)
class Component:
    """A factor at one of some levels."""

    factor: int
    codes: tuple[int, ...]
    """The levels; with ABSENT, cells to which the factor does not apply have the component, too."""

    @property
    def is_remedy(self) -> bool:
        """Whether the factor must be changed from the reference's level."""
        return 0 not in self.codes


Alternative: TypeAlias = tuple[Component, ...]


@dataclass(frozen=True)
class Rule:
    """Alternatives, none of which contains another."""

    alternatives: tuple[Alternative, ...]

    @property
    def mentions(self) -> int:
        """How many components it names, each as often as it does."""
        return sum(map(len, self.alternatives))

    @property
    def remedies(self) -> int:
        """How many of these are remedies."""
        return sum(component.is_remedy for term in self.alternatives for component in term)

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
        (inside_C,) = _unpacked([_inside(self.alternatives, _holders(codes))], len(codes))
        return np.asarray(inside_C)


@dataclass(frozen=True, kw_only=True)
class Family:
    """The rules that a set of cells can tell apart."""

    rules: tuple[Rule, ...]
    """One for each set of cells inside, neither none nor all: the one that says it most simply."""
    aliases: tuple[tuple[Rule, ...], ...]
    """The others that have the same cells inside, by rule."""
    inside_RC: Bools
    """Shape [rules, cells]."""

    @cached_property
    def floats_RC(self) -> npt.NDArray[np.float32]:
        """`inside_RC` for products: faster than integers, and exact below 2 ** 24."""
        return self.inside_RC.astype(np.float32)


def family(codes: Codes) -> Family:
    """All rules that these cells can tell apart.

    Up to four factors: every unate rule over the reference's levels and their changes. Beyond that, rules
    over the reference's levels: two alternatives of up to three components (with more than six factors, of
    four in all), or one alternative of any size (with more than ten factors, of three). For any number of
    factors, rules of at most three components, each at any of its sets of levels or changed from it; of at
    most two where factors and levels are so many that these would be more than some 20,000.
    """
    return _family(tuple(codes))


@lru_cache(maxsize=8)  # both levels of the network, and every look of a sequence, have the same cells
def _family(codes: tuple[tuple[int, ...], ...]) -> Family:
    holders = _holders(codes)
    groups: dict[int, list[Rule]] = {}
    for rule in _candidates(codes):
        inside = _inside(rule.alternatives, holders)
        if inside not in (0, (1 << len(codes)) - 1):
            groups.setdefault(inside, []).append(rule)
    for rules in groups.values():
        rules.sort(key=_plainness)
    return Family(
        rules=tuple(rules[0] for rules in groups.values()),
        aliases=tuple(tuple(rules[1:]) for rules in groups.values()),
        inside_RC=_unpacked(list(groups), len(codes)),
    )


def _plainness(rule: Rule) -> tuple[bool, int, bool, int, int]:
    """Sorts rules that say the same: first those over the reference's levels, then the shortest."""
    is_plain = not rule.remedies and not rule.uses_absence
    return not is_plain, rule.mentions, rule.uses_absence, rule.remedies, len(rule.alternatives)


_Holders: TypeAlias = Callable[[Component], int]


def _holders(codes: Codes) -> _Holders:
    """Component -> which cells have it, remembered: bit c of an integer stands for cell c."""
    known: dict[Component, int] = {}

    def holders(component: Component) -> int:
        if component not in known:
            has = (code[component.factor] in component.codes for code in codes)
            known[component] = sum(1 << cell for cell, holds in enumerate(has) if holds)
        return known[component]

    return holders


def _inside(alternatives: Sequence[Alternative], holders: _Holders) -> int:
    """Which cells are inside, as bits."""
    return reduce(or_, (reduce(and_, map(holders, term)) for term in alternatives))


def _unpacked(bits_R: Sequence[int], cells: int) -> Bools:
    """Bits as truth values. Shape [rules, cells]."""
    size = (cells + 7) // 8
    packed = np.frombuffer(b"".join(bits.to_bytes(size, "little") for bits in bits_R), dtype=np.uint8)
    bits_RC = np.unpackbits(packed.reshape(len(bits_R), size), axis=1, count=cells, bitorder="little")
    return bits_RC.astype(np.bool_)


def _candidates(codes: Codes) -> Iterable[Rule]:
    """Every rule of the family, some with the same cells inside; those over the reference's levels first."""
    found = [sorted(set(column)) for column in zip(*codes, strict=True)]
    components = [_components(factor, levels) for factor, levels in enumerate(found) if len(levels) > 1]
    every = itertools.chain(_long(components), _short(components))
    ordered = (tuple(sorted(alternatives, key=lambda term: (len(term), term))) for alternatives in every)
    return map(Rule, dict.fromkeys(ordered))


def _components(factor: int, found: Sequence[int]) -> list[Component]:
    """The reference's level alone comes first, then its change.

    Further sets: the reference's level with those that follow it, all levels but one, and what these leave.
    Of a factor that does not apply everywhere, each set also together with its absence.
    """
    levels = sorted({0, *found} - {ABSENT})
    kept = [tuple(levels[:last]) for last in range(1, len(levels))]
    kept += [tuple(code for code in levels if code != left) for left in levels[1:]]
    changed = [tuple(code for code in levels if code not in own) for own in kept]
    sets = list(dict.fromkeys([*kept[:1], *changed[:1], *kept, *changed])) or [(0,)]
    with_absence = [(ABSENT, *own) for own in sets] if ABSENT in found else []
    return [Component(factor, own) for own in (*sets, *with_absence)]


def _long(components: Sequence[Sequence[Component]]) -> Iterator[tuple[Alternative, ...]]:
    """Rules over the reference's level of each factor; of few factors, also over the changes."""
    if len(components) <= _ALL_RULES_UP_TO:
        for one_each in itertools.product(*(own[:2] for own in components)):
            yield from antichains(list(_terms(one_each, len(one_each))))
        return
    first = [own[0] for own in components]
    largest = len(first) if len(first) <= _ANY_SIZE_UP_TO else _LARGEST_OF_TWO
    yield from ((term,) for term in _terms(first, largest))
    yield from _pairs(list(_terms(first, _LARGEST_OF_TWO)), _MENTIONS[len(first) > _MANY])


def _short(components: Sequence[Sequence[Component]]) -> Iterator[tuple[Alternative, ...]]:
    """Rules in which a factor may have any of its components."""
    of_three = sum(math.prod(map(len, three)) for three in itertools.combinations(components, 3))
    largest = _SHORT if 4 * of_three <= _SHORT_RULES else _SHORT - 1  # A, B, C together; one, or the others
    every = [component for own in components for component in own]
    terms = [term for term in _terms(every, largest) if _is_unate(term)]
    yield from ((term,) for term in terms)
    pairs = _pairs([term for term in terms if len(term) < largest], largest)
    yield from (pair for pair in pairs if _is_unate({*pair[0], *pair[1]}))


def _is_unate(components: Collection[Component]) -> bool:
    """Whether different components are of different factors."""
    return len({component.factor for component in components}) == len(components)


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
