"""Which cells an effect compares: matched pairs and fours, or in a two-level fraction all cells at once."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from analysis.cells import Codes
from analysis.stats import Floats

Group: TypeAlias = Mapping[int, float]
"""Row of a cell -> its weight in a difference, or in a difference of differences."""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """An effect as weights of cells."""

    factors: tuple[int, ...]
    """One index for a main effect; two for an interaction."""
    levels: tuple[int, ...]
    """The levels that are compared with level 0."""
    groups: tuple[Group, ...]
    """Matched pairs of cells (for an interaction, fours); of a fraction, one group of all its cells."""
    aliases: tuple[tuple[int, ...], ...] = ()
    """What a fraction cannot tell apart from it, up to two-factor interactions: indices of the factors."""
    of_fraction: bool = False
    """Whether it compares all cells of a fraction."""

    @cached_property
    def arrays(self) -> tuple[npt.NDArray[np.int64], Floats]:
        """Rows and weights of the groups, which all have as many cells. Shapes [groups, cells in a group]."""
        size = max(map(len, self.groups), default=0)
        rows = np.array([list(group) for group in self.groups], dtype=np.int64)
        weights = np.array([list(group.values()) for group in self.groups], dtype=np.float64)
        shape = len(self.groups), size
        return rows.reshape(shape), weights.reshape(shape)

    @cached_property
    def most(self) -> float:
        """The largest size that it can have for values from 0 to 1."""
        return max((sum(w for w in group.values() if w > 0) for group in self.groups), default=0.0)


def main_contrasts(codes: Codes, n_levels: Sequence[int]) -> tuple[Contrast, ...]:
    """Every level but the first of every factor, against the first.

    Args:
        codes: the cells.
        n_levels: number of levels of each factor.
    """
    return _main_contrasts(tuple(codes), tuple(n_levels))


@lru_cache(maxsize=4)  # effects on several measures are of the same cells
def _main_contrasts(codes: tuple[tuple[int, ...], ...], n_levels: tuple[int, ...]) -> tuple[Contrast, ...]:
    if is_fraction(codes, n_levels):
        return _fraction_mains(_signs(codes))
    row = {code: index for index, code in enumerate(codes)}
    return tuple(
        Contrast(
            factors=(factor,),
            levels=(level,),
            groups=tuple(
                {row[_at(code, factor, level)]: 1.0, index: -1.0}
                for code, index in row.items()
                if code[factor] == 0 and _at(code, factor, level) in row
            ),
        )
        for factor, count in enumerate(n_levels)
        for level in range(1, count)
    )


def interaction_contrasts(codes: Codes, n_levels: Sequence[int]) -> tuple[Contrast, ...]:
    """For every two factors: how much the effect of one changes when the other leaves its first level.

    v(a,b) - v(0,b) - v(a,0) + v(0,0). Arguments as for `main_contrasts`. Of a fraction, the first of each set
    of interactions that cannot be told apart, and none that cannot be told from a main effect.
    """
    return _interaction_contrasts(tuple(codes), tuple(n_levels))


@lru_cache(maxsize=4)
def _interaction_contrasts(
    codes: tuple[tuple[int, ...], ...], n_levels: tuple[int, ...]
) -> tuple[Contrast, ...]:
    if is_fraction(codes, n_levels):
        return _fraction_interactions(_signs(codes))
    row = {code: index for index, code in enumerate(codes)}
    contrasts = []
    for first, second in itertools.combinations(range(len(n_levels)), 2):
        for a, b in itertools.product(range(1, n_levels[first]), range(1, n_levels[second])):
            groups = []
            for code in row:
                if code[first] or code[second]:
                    continue
                weights = {
                    _at(_at(code, first, a), second, b): 1.0,
                    _at(code, second, b): -1.0,
                    _at(code, first, a): -1.0,
                    code: 1.0,
                }
                if all(corner in row for corner in weights):
                    groups.append({row[corner]: weight for corner, weight in weights.items()})
            contrasts.append(Contrast(factors=(first, second), levels=(a, b), groups=tuple(groups)))
    return tuple(contrasts)


def is_fraction(codes: Codes, n_levels: Sequence[int]) -> bool:
    """Whether the cells are a regular two-level fraction of a factorial.

    In one, every main effect is balanced, and any two main effects or interactions are orthogonal or the same
    column. Read from the cells themselves, so it also holds for a fraction that was listed.
    """
    if len(n_levels) < 3 or any(count != 2 for count in n_levels):
        return False
    n_cells = len(codes)
    if not 4 <= n_cells < 2 ** len(n_levels) or min(map(min, codes)) < 0:
        return False
    signs_CF = _signs(codes)
    columns_CE = np.column_stack([signs_CF, *(column for _, column in _crossed(signs_CF))])
    products_EE = np.abs(columns_CE.T @ columns_CE)
    mains = products_EE[: len(n_levels), : len(n_levels)]
    return bool(
        (signs_CF.sum(axis=0) == 0).all()
        and (mains == n_cells * np.eye(len(n_levels))).all()
        and np.isin(products_EE, (0, n_cells)).all()
    )


def _fraction_mains(signs_CF: Floats) -> tuple[Contrast, ...]:
    crossed = _crossed(signs_CF)
    return tuple(
        Contrast(
            factors=(factor,),
            levels=(1,),
            groups=(dict(enumerate((-2 / len(column) * column).tolist())),),
            aliases=tuple(pair for pair, other in crossed if _same(column, other)),
            of_fraction=True,
        )
        for factor, column in enumerate(signs_CF.T)
    )


def _fraction_interactions(signs_CF: Floats) -> tuple[Contrast, ...]:
    contrasts: list[Contrast] = []
    crossed = _crossed(signs_CF)
    for place, (pair, column) in enumerate(crossed):
        taken = [*signs_CF.T, *(other for _, other in crossed[:place])]
        if any(_same(column, other) for other in taken):
            continue
        contrasts.append(
            Contrast(
                factors=pair,
                levels=(1, 1),
                groups=(dict(enumerate((4 / len(column) * column).tolist())),),
                aliases=tuple(other for other, its in crossed[place + 1 :] if _same(column, its)),
                of_fraction=True,
            )
        )
    return tuple(contrasts)


def _signs(codes: Codes) -> Floats:
    """+1 for a factor's first level and -1 for its second. Shape [cells, factors]."""
    return 1.0 - 2.0 * np.asarray(codes, dtype=np.float64)


def _crossed(signs_CF: Floats) -> list[tuple[tuple[int, int], Floats]]:
    """Two factors -> the product of their columns."""
    pairs = itertools.combinations(range(signs_CF.shape[1]), 2)
    return [(pair, signs_CF[:, pair[0]] * signs_CF[:, pair[1]]) for pair in pairs]


def _same(first: Floats, second: Floats) -> bool:
    """Whether two columns are the same but for the sign."""
    return abs(float(first @ second)) == len(first)


def _at(code: tuple[int, ...], factor: int, level: int) -> tuple[int, ...]:
    """The cell at another level of a factor."""
    return (*code[:factor], level, *code[factor + 1 :])
