"""What each factor does, from values by cell and seed: main effects and interactions.

An effect is the mean over matched pairs of cells (pairs that differ in one factor alone) within each
seed, and then a t interval over the seeds: seeds are blocks, cells weigh alike, and nothing is assumed about
variances. In a full factorial this is the usual main effect; where pairs are
missing, the effect says how many.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.cells import Cell, Codes
from analysis.results import StudyResults
from analysis.stats import Floats, Mean, mean_interval


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
    effects = []
    for factor, count in enumerate(n_levels):
        for level in range(1, count):
            groups = [
                ((row[_at(code, {factor: level})], 1.0), (index, -1.0))
                for code, index in row.items()
                if code[factor] == 0 and _at(code, {factor: level}) in row
            ]
            effects.append(_effect(values_CS, groups, (factor,), (level,)))
    return tuple(effects)


def interactions(values_CS: Floats, codes: Codes, n_levels: Sequence[int]) -> tuple[Effect, ...]:
    """For every two factors: how much the effect of one changes when the other leaves its first level.

    Arguments as for `main_effects`. The value is v(a,b) - v(0,b) - v(a,0) + v(0,0), mean over matched fours.
    """
    row = {code: index for index, code in enumerate(codes)}
    effects = []
    for first, second in itertools.combinations(range(len(n_levels)), 2):
        for a, b in itertools.product(range(1, n_levels[first]), range(1, n_levels[second])):
            groups = []
            for code in row:
                if code[first] or code[second]:
                    continue
                weights = {
                    _at(code, {first: a, second: b}): 1.0,
                    _at(code, {second: b}): -1.0,
                    _at(code, {first: a}): -1.0,
                    code: 1.0,
                }
                if all(corner in row for corner in weights):
                    groups.append([(row[corner], weight) for corner, weight in weights.items()])
            effects.append(_effect(values_CS, groups, (first, second), (a, b)))
    return tuple(effects)


def study_effects(
    study: StudyResults, cells: Sequence[Cell], values_CS: Floats, *, survivors_only: bool
) -> tuple[Effect, ...]:
    """The main effects, then the interactions, on a value of a study's cells; those with an estimate.

    For values that are not conditional, an effect of a full factorial that lacks pairs of cells gets no
    estimate: an average over unbalanced cells would compare different things.

    Args:
        study: the study.
        cells: its cells.
        values_CS: value by cell and seed, NaN where missing. Shape [cells, seeds].
        survivors_only: whether the values are conditional on no collapse.
    """
    arguments = values_CS, [cell.codes for cell in cells], [len(factor.levels) for factor in study.factors]
    effects = (*main_effects(*arguments), *interactions(*arguments))
    return tuple(
        effect for effect in effects if effect.mean is not None and (survivors_only or effect.complete)
    )


def _at(code: tuple[int, ...], changes: Mapping[int, int]) -> tuple[int, ...]:
    return tuple(changes.get(index, level) for index, level in enumerate(code))


def _effect(
    values_CS: Floats,
    groups: Sequence[Sequence[tuple[int, float]]],
    factors: tuple[int, ...],
    levels: tuple[int, ...],
) -> Effect:
    """The weighted sum within each group, mean over groups within each seed, t over seeds."""
    sums = [sum(weight * values_CS[row] for row, weight in group) for group in groups]
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
