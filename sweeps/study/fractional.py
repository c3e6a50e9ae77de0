"""Two-level fractional factorials: their generators, resolution and aliases. Pure functions of names.

A factor's first level counts as +1 and its second as -1. A generator sets a factor to the product of others,
so the run with every factor at its first level, the reference, is part of every design here. Letters, words
and signs are those of the literature: a word is a product of factors that is +1 in every run.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Generators: TypeAlias = Mapping[str, tuple[str, ...]]
"""Generated factor -> the basic factors whose product it is."""

Effect: TypeAlias = frozenset[str]
"""A main effect (one factor) or an interaction (several)."""

_LETTERS = "ABCDEFGHJKL"
# 2^(k-p) designs by number of factors, the smallest of a resolution: NIST/SEMATECH e-Handbook of Statistical
# Methods, section 5.3.3.4.7, after Box, Hunter and Hunter 1978; also Montgomery, Design and Analysis of
# Experiments, table 8.14. All signs are +.
_PUBLISHED: dict[int, tuple[str, ...]] = {
    3: ("C=AB",),
    4: ("D=ABC",),
    5: ("D=AB E=AC", "E=ABCD"),
    6: ("D=AB E=AC F=BC", "E=ABC F=BCD", "F=ABCDE"),
    7: ("D=AB E=AC F=BC G=ABC", "E=ABC F=BCD G=ACD", "F=ABCD G=ABDE", "G=ABCDEF"),
    8: ("E=BCD F=ACD G=ABC H=ABD", "F=ABC G=ABD H=BCDE", "G=ABCD H=ABEF"),
    9: (
        "E=ABC F=BCD G=ACD H=ABD J=ABCD",
        "F=BCDE G=ACDE H=ABDE J=ABCE",
        "H=ACDFG J=BCEFG",
    ),
    10: (
        "E=ABC F=BCD G=ACD H=ABD J=ABCD K=AB",
        "F=ABCD G=ABCE H=ABDE J=ACDE K=BCDE",
        "H=ABCG J=BCDE K=ACDF",
    ),
    11: (
        "E=ABC F=BCD G=ACD H=ABD J=ABCD K=AB L=AC",
        "F=ABC G=BCD H=CDE J=ACD K=ADE L=BDE",
        "H=ABCG J=BCDE K=ACDF L=ABCDEFG",
    ),
}
MOST_FACTORS = max(_PUBLISHED)
"""Factors of the largest published design here."""


def published(names: Sequence[str], minimum: int) -> dict[str, tuple[str, ...]] | None:
    """Generators of the smallest published design of at least that resolution; None if there is none.

    Args:
        names: the factors, in order: the first is the table's letter A.
        minimum: the least resolution.
    """
    by_letter = dict(zip(_LETTERS, names, strict=False))
    for line in _PUBLISHED.get(len(names), ()):
        pairs = (generator.split("=") for generator in line.split())
        generators = {
            by_letter[generated]: tuple(by_letter[letter] for letter in product)
            for generated, product in pairs
        }
        if resolution(generators) >= minimum:
            return generators
    return None


def defining_words(generators: Generators) -> tuple[Effect, ...]:
    """The words of the defining relation: all products of the generators' words, shortest first."""
    generating = [frozenset((generated, *product)) for generated, product in generators.items()]
    words: set[Effect] = set()
    for size in range(1, len(generating) + 1):
        for selection in itertools.combinations(generating, size):
            product: Effect = frozenset()
            for word in selection:
                product ^= word  # a factor times itself is +1
            words.add(product)
    return tuple(sorted(words, key=lambda word: (len(word), sorted(word))))


def resolution(generators: Generators) -> int:
    """Length of the shortest word of the defining relation. There must be at least one generator."""
    return len(defining_words(generators)[0])


def runs(names: Sequence[str], generators: Generators) -> list[tuple[int, ...]]:
    """The design: for each run the sign, +1 or -1, of each factor in the order of `names`; all +1 first."""
    basic = [name for name in names if name not in generators]
    design = []
    for basic_signs in itertools.product((1, -1), repeat=len(basic)):
        signs = dict(zip(basic, basic_signs, strict=True))
        for generated, product in generators.items():
            signs[generated] = math.prod(signs[name] for name in product)
        design.append(tuple(signs[name] for name in names))
    return design


def alias_sets(names: Sequence[str], generators: Generators) -> tuple[tuple[tuple[str, ...], ...], ...]:
    """Main effects and two-way interactions that cannot be told apart, as sets of two or more effects.

    Interactions of three factors or more are taken to be zero.

    >>> alias_sets(["a", "b", "c"], {"c": ("a", "b")})
    ((('a',), ('b', 'c')), (('b',), ('a', 'c')), (('c',), ('a', 'b')))
    """
    main_effects = [(name,) for name in names]
    effects: list[tuple[str, ...]] = [*main_effects, *itertools.combinations(names, 2)]
    words = (frozenset[str](), *defining_words(generators))
    groups: dict[frozenset[Effect], list[tuple[str, ...]]] = {}
    for effect in effects:
        coset = frozenset(word ^ frozenset(effect) for word in words)
        groups.setdefault(coset, []).append(effect)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)
