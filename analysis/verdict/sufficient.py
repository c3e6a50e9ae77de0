"""The smallest sets of components that go with no collapse at all."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.cells import Codes

_ALL_SETS_UP_TO = 12
"""Factors of which all sets are tried; with more, only those of up to _LARGEST_SET."""
_LARGEST_SET = 3


@dataclass(frozen=True, kw_only=True)
class Sufficient:
    """Which of the reference's components keep every cell that has them from collapsing."""

    sets: tuple[tuple[int, ...], ...]
    """Sets of factors that do, none within another, smallest first; () alone when nothing collapsed at all.
    Empty if none is shown to."""
    open_sets: tuple[tuple[int, ...], ...]
    """Sets that contain none of those and that missing cells leave undecided, smallest first."""
    reference_collapsed: bool | None
    """None if the reference has no judged trial."""

    @property
    def determined(self) -> bool:
        """Whether the size of the smallest set is known."""
        return bool(self.sets) and not any(len(factors) < len(self.sets[0]) for factors in self.open_sets)

    @property
    def smallest(self) -> tuple[tuple[int, ...], ...]:
        """The sets of the smallest size."""
        return tuple(factors for factors in self.sets if len(factors) == len(self.sets[0]))

    @property
    def larger(self) -> tuple[tuple[int, ...], ...]:
        """The others: larger, and without a smallest set in them."""
        return self.sets[len(self.smallest) :]


def sufficient_sets(
    codes: Codes, collapsed_C: npt.ArrayLike, judged_C: npt.ArrayLike, n_levels: Sequence[int]
) -> Sufficient:
    """Finds the smallest sets of factors which, at the reference's levels, go with no collapse at all.

    A set is sufficient if every combination of the other factors' levels was run and no trial collapsed,
    refuted if any trial collapsed, and otherwise open. A factor that does not apply in some cell has no level
    there, so it is tried only together with the factors that make it apply; in sets without it, such a cell
    stands for all of its levels.
    With more than 12 factors only sets of up to 3 are tried.

    Args:
        codes: the cells.
        collapsed_C: collapsed trials by cell. Shape [cells].
        judged_C: judged trials by cell. Shape [cells].
        n_levels: number of levels of each factor.
    """
    collapsed, judged = np.asarray(collapsed_C), np.asarray(judged_C)
    codes_CF = np.asarray(codes).reshape(len(codes), len(n_levels))
    stands_for_C = np.where(codes_CF < 0, np.asarray(n_levels), 1).prod(axis=1)
    reference = np.flatnonzero((codes_CF <= 0).all(axis=1) & (judged > 0))
    sufficient: list[tuple[int, ...]] = []
    undecided: list[tuple[int, ...]] = []
    for factors in _subsets(len(n_levels)):
        if any(set(smaller) <= set(factors) for smaller in sufficient):
            continue
        inside = (codes_CF[:, list(factors)] <= 0).all(axis=1)
        if (codes_CF[inside][:, list(factors)] < 0).any() or collapsed[inside].any():
            continue
        combinations = math.prod(count for factor, count in enumerate(n_levels) if factor not in factors)
        whole = int(stands_for_C[inside & (judged > 0)].sum()) == combinations
        (sufficient if whole else undecided).append(factors)
    return Sufficient(
        sets=tuple(sufficient),
        open_sets=tuple(undecided),
        reference_collapsed=bool(collapsed[reference].any()) if len(reference) else None,
    )


def _subsets(n: int) -> Iterator[tuple[int, ...]]:
    """Sets of n factors, smallest first."""
    largest = n if n <= _ALL_SETS_UP_TO else _LARGEST_SET
    return itertools.chain.from_iterable(
        itertools.combinations(range(n), size) for size in range(largest + 1)
    )
