"""What each factor does, from values by cell and seed: main effects, interactions, and what suffices.

An effect is the mean over matched pairs of cells (pairs that differ in one factor alone) within each
seed, and then a t interval over the seeds: seeds are blocks, cells weigh alike, and nothing is assumed about
variances. In a full factorial this is the usual main effect; where pairs are missing it says how many.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.stats import Floats, Mean, mean_interval

Codes = Sequence[tuple[int, ...]]
"""Level index of each factor, by cell; 0 is the reference's level, -1 says that the factor does not apply.
Two cells that lack it can be matched; a cell that lacks it and one that has it cannot."""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What leaving the reference's level of a factor, or of two at once, does to a value."""

    factors: tuple[int, ...]
    """One index for a main effect; two for an interaction."""
    levels: tuple[int, ...]
    """The levels that are compared with level 0."""
    mean: Mean | None
    """In the value's own units, over seeds; None where nothing could be matched."""
    contrasts: Floats
    """The contrast of each seed that was used. Shape [seeds used]."""
    matched: int
    """Pairs (or, for an interaction, fours) of cells with values."""
    planned: int
    """Those that the design holds."""

    @property
    def complete(self) -> bool:
        """Whether every planned pair went in."""
        return self.matched == self.planned


def main_effects(values_CS: Floats, codes: Codes, n_levels: Sequence[int]) -> tuple[Effect, ...]:
    """The effect of every level but the first of every factor: mean of value(level) - value(first level).

    Args:
        values_CS: value by cell and seed, NaN where missing. Shape [cells, seeds].
        codes: the cells.
        n_levels: number of levels of each factor.
    """
    row = {code: index for index, code in enumerate(codes)}
    found = []
    for factor, count in enumerate(n_levels):
        for level in range(1, count):
            groups = [
                ((row[_at(code, {factor: level})], 1.0), (index, -1.0))
                for code, index in row.items()
                if code[factor] == 0 and _at(code, {factor: level}) in row
            ]
            found.append(_effect(values_CS, groups, (factor,), (level,)))
    return tuple(found)


def interactions(values_CS: Floats, codes: Codes, n_levels: Sequence[int]) -> tuple[Effect, ...]:
    """For every two factors: how much the effect of one changes when the other leaves its first level.

    Arguments as for `main_effects`. The value is v(a,b) - v(0,b) - v(a,0) + v(0,0), mean over matched fours.
    """
    row = {code: index for index, code in enumerate(codes)}
    found = []
    for first, second in itertools.combinations(range(len(n_levels)), 2):
        for a, b in itertools.product(range(1, n_levels[first]), range(1, n_levels[second])):
            groups = []
            for code in row:
                corners = [
                    _at(code, {first: a, second: b}),
                    _at(code, {second: b}),
                    _at(code, {first: a}),
                    code,
                ]
                if code[first] == code[second] == 0 and all(corner in row for corner in corners):
                    signs = (1.0, -1.0, -1.0, 1.0)
                    groups.append(
                        tuple((row[corner], sign) for corner, sign in zip(corners, signs, strict=True))
                    )
            found.append(_effect(values_CS, groups, (first, second), (a, b)))
    return tuple(found)


def _at(code: tuple[int, ...], changes: Mapping[int, int]) -> tuple[int, ...]:
    return tuple(changes.get(index, level) for index, level in enumerate(code))


def _effect(
    values_CS: Floats,
    groups: Sequence[Sequence[tuple[int, float]]],
    factors: tuple[int, ...],
    levels: tuple[int, ...],
) -> Effect:
    """The signed sum within each group, mean over groups within each seed, t over seeds."""
    sums = [sum(sign * values_CS[row] for row, sign in group) for group in groups]
    by_group_GS = np.asarray(sums, dtype=np.float64).reshape(len(groups), values_CS.shape[1])
    usable = by_group_GS[~np.isnan(by_group_GS).all(axis=1)]
    # Only seeds that have every usable group: otherwise seeds would average different cells.
    contrasts = usable[:, ~np.isnan(usable).any(axis=0)].mean(axis=0) if len(usable) else np.empty(0)
    return Effect(
        factors=factors,
        levels=levels,
        mean=mean_interval(contrasts) if len(contrasts) else None,
        contrasts=contrasts,
        matched=len(usable) if len(contrasts) else 0,
        planned=len(groups),
    )


@dataclass(frozen=True, kw_only=True)
class Sufficient:
    """Which of the reference's components, held in place, keep every cell from collapsing."""

    sets: tuple[tuple[int, ...], ...]
    """Sets of factors that do, none within another, smallest first; () alone when nothing collapsed at all.
    Empty if none is shown to."""
    open_sets: tuple[tuple[int, ...], ...]
    """Sets that contain none of those and that missing cells leave undecided, smallest first."""
    reference_collapsed: bool | None
    """None if the reference has no verdict."""

    @property
    def determined(self) -> bool:
        """Whether the size of the smallest set is known."""
        return bool(self.sets) and not any(len(found) < len(self.sets[0]) for found in self.open_sets)


def sufficient_sets(
    codes: Codes, collapsed_C: npt.ArrayLike, judged_C: npt.ArrayLike, n_levels: Sequence[int]
) -> Sufficient:
    """Looks for the least sets of factors which, at the reference's levels, go with no collapse at all.

    A set is sufficient if every combination of the other factors' levels was run and no trial collapsed,
    refuted if any trial collapsed, and otherwise open. A factor that does not apply in some cell cannot be
    held there, so it is tried only together with what makes it apply; where it is not held, a cell without it
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
    state = bool(collapsed[reference].any()) if len(reference) else None
    shown: list[tuple[int, ...]] = []
    undecided: list[tuple[int, ...]] = []
    for kept in _subsets(len(n_levels), len(n_levels) if len(n_levels) <= 12 else 3):
        if any(set(found) <= set(kept) for found in shown):
            continue
        inside = (codes_CF[:, list(kept)] <= 0).all(axis=1)
        if (codes_CF[inside][:, list(kept)] < 0).any():
            continue
        if collapsed[inside].any():
            continue
        combinations = math.prod(count for factor, count in enumerate(n_levels) if factor not in kept)
        whole = int(stands_for_C[inside & (judged > 0)].sum()) == combinations
        (shown if whole else undecided).append(kept)
    return Sufficient(sets=tuple(shown), open_sets=tuple(undecided), reference_collapsed=state)


def _subsets(n: int, largest: int) -> Iterator[tuple[int, ...]]:
    return itertools.chain.from_iterable(
        itertools.combinations(range(n), size) for size in range(largest + 1)
    )
