"""What each factor does, from values by cell and seed: main effects and interactions.

An effect is the mean over matched pairs of cells (pairs that differ in one factor alone) within each
seed, and then a t interval over the seeds: seeds are blocks, cells weigh alike, and nothing is assumed about
variances. In a full factorial this is the usual main effect; where pairs are missing, the effect says how
many. A two-level fraction has no such pairs; there an effect compares all cells at one level with all at the
other, and is named with the interactions that it cannot be told from.

The main effects on one value are a family, and so are its interactions. The simultaneous intervals of a
family all hold at once in 95 % of sweeps, so they also hold for the effect that is picked out because it is
the largest: t intervals over seeds at the level 1 - .05/m for m effects (Bonferroni). They take the contrasts
of the seeds to be about normal, and assume nothing about how effects depend on one another. The p-values ask
another question, see `swap_test`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from analysis.cells import Cell, Codes, cells_of, collapse_by_seed, judged_values_by_seed, values_by_seed
from analysis.contrasts import Contrast, interaction_contrasts, main_contrasts
from analysis.paired import Superiority, superiority, swap_tests
from analysis.provenance import confounded
from analysis.results import StudyResults
from analysis.stats import Floats, Interval, Mean, PValue, holm, mean_interval, simultaneous


class Measure(StrEnum):
    """What effects are on."""

    COLLAPSE = "collapse rate"
    PROJECTION = "projection collapse rate"
    KNN = "kNN accuracy"


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What leaving the reference's level of a factor, or of two at once, does to a value."""

    contrast: Contrast
    """What is compared."""
    mean: Mean | None
    """In the value's own units, over seeds, with the interval of this effect alone; None where nothing could
    be matched."""
    contrasts: Floats
    """The contrast of each seed that was used. Shape [seeds used]."""
    cells: tuple[int, ...]
    """Rows of the cells that went in."""
    matched: int
    """Groups of cells with values: pairs or, for an interaction, fours; a fraction is one group."""
    planned: int
    """Those that the design holds."""
    test: PValue | None
    """Of swapped labels within matched pairs; of a fraction, within seeds. Not adjusted."""
    family: int = 1
    """How many effects the next two hold for at once."""
    simultaneous: Interval | None = None
    """None where `mean` has no interval."""
    adjusted_p: float | None = None
    """Holm's, within the family; None where so few differences cannot reach .05."""

    @property
    def factors(self) -> tuple[int, ...]:
        """One index for a main effect; two for an interaction."""
        return self.contrast.factors

    @property
    def levels(self) -> tuple[int, ...]:
        """The levels that are compared with level 0."""
        return self.contrast.levels

    @property
    def complete(self) -> bool:
        """Whether every planned pair went in."""
        return self.matched == self.planned

    @property
    def size(self) -> float:
        """Without its sign; 0 without an estimate."""
        return abs(self.mean.estimate) if self.mean else 0.0

    @property
    def superiority(self) -> Superiority | None:
        """How probable it is that the effect is above 0 in a seed."""
        return superiority(self.contrasts) if len(self.contrasts) else None

    @property
    def is_shown(self) -> bool:
        """If it is shown not to be 0: by the adjusted p; where that cannot be below .05, by the interval.

        Either of the two would be a second chance: it claims an interaction in 11 % of sweeps without any.
        """
        if self.test is not None and self.test.least * self.family <= 0.05:
            return self.adjusted_p is not None and self.adjusted_p < 0.05
        return self.simultaneous is not None and not self.covers_zero

    @property
    def covers_zero(self) -> bool:
        """Whether 0 is in the simultaneous interval; not without one."""
        return self.simultaneous is not None and self.simultaneous.low <= 0 <= self.simultaneous.high


def main_effects(values_CS: Floats, codes: Codes, n_levels: Sequence[int]) -> tuple[Effect, ...]:
    """The effect of every level but the first of every factor: mean of value(level) - value(first level).

    Args:
        values_CS: value by cell and seed, NaN where missing. Shape [cells, seeds].
        codes: the cells.
        n_levels: number of levels of each factor.
    """
    return _main_effects(values_CS.tobytes(), values_CS.shape, tuple(codes), tuple(n_levels))


@lru_cache(maxsize=8)  # the comparisons of single components ask for those of the forest again
def _main_effects(
    values: bytes, shape: tuple[int, ...], codes: tuple[tuple[int, ...], ...], n_levels: tuple[int, ...]
) -> tuple[Effect, ...]:
    values_CS = np.frombuffer(values, dtype=np.float64).reshape(shape)
    return _effects(values_CS, main_contrasts(codes, n_levels))


def interactions(values_CS: Floats, codes: Codes, n_levels: Sequence[int]) -> tuple[Effect, ...]:
    """For every two factors: how much the effect of one changes when the other leaves its first level.

    Arguments as for `main_effects`. The value is v(a,b) - v(0,b) - v(a,0) + v(0,0), mean over matched fours.
    """
    return _effects(values_CS, interaction_contrasts(codes, n_levels))


def as_family(effects: Sequence[Effect], level: float = 0.95) -> tuple[Effect, ...]:
    """The effects with simultaneous intervals and adjusted p-values; those without an estimate are left out.

    Args:
        effects: on shares, from 0 to 1: intervals end where effects on shares do.
        level: of the whole family.
    """
    family = [(effect, effect.mean) for effect in effects if effect.mean is not None]
    tests = [effect.test for effect, _ in family]
    adjusted = adjust(tests)
    members = []
    for (effect, mean), p in zip(family, adjusted, strict=True):
        within = Interval(low=-effect.contrast.most, high=effect.contrast.most)
        each = mean_interval(effect.contrasts, within=within)
        at_once = mean_interval(effect.contrasts, simultaneous(len(family), level), within).interval
        assert each.estimate == mean.estimate
        members.append(replace(effect, mean=each, family=len(family), simultaneous=at_once, adjusted_p=p))
    return tuple(members)


def adjust(tests: Sequence[PValue | None]) -> list[float | None]:
    """Holm's p-values. His family is the tests that could be significant; the others get None."""
    adjusted = iter(holm([test.p for test in tests if test is not None and test.least <= 0.05]))
    return [next(adjusted) if test is not None and test.least <= 0.05 else None for test in tests]


def study_effects(
    study: StudyResults, cells: Sequence[Cell], values_CS: Floats, *, survivors_only: bool
) -> tuple[Effect, ...]:
    """The main effects, then the interactions, on shares of a study's cells; those with an estimate.

    For values that are not conditional, an effect of a full factorial that lacks pairs of cells gets no
    estimate: an average over unbalanced cells would compare different things. Nor does an effect of a factor
    that is confounded with the code, the machine or the data that trials ran with.

    Args:
        study: the study.
        cells: its cells.
        values_CS: share by cell and seed, NaN where missing. Shape [cells, seeds].
        survivors_only: whether the values are conditional on no collapse.
    """
    if not cells:
        return ()
    arguments = values_CS, [cell.codes for cell in cells], [len(factor.levels) for factor in study.factors]
    blocked = {index for index, factor in enumerate(study.factors) if factor.name in confounded(study)}

    def is_given(effect: Effect) -> bool:
        return (survivors_only or effect.complete) and not blocked & set(effect.factors)

    families = main_effects(*arguments), interactions(*arguments)
    return tuple(member for family in families for member in as_family(list(filter(is_given, family))))


@lru_cache(maxsize=8)  # findings, figures and tables ask for the same
def effects_on(study: StudyResults, measure: Measure) -> tuple[Effect, ...]:
    """The effects on a measure. On kNN accuracy, where anything collapsed, those among the other cells."""
    cells = cells_of(study)
    if measure is Measure.COLLAPSE:
        return study_effects(study, cells, collapse_by_seed(cells, study.seeds), survivors_only=False)
    if measure is Measure.PROJECTION:
        rates = judged_values_by_seed(cells, study.seeds, "projection_collapsed")
        return study_effects(study, cells, rates, survivors_only=False)
    given = is_conditional(study)
    accuracies = values_by_seed(cells, study.seeds, "knn_accuracy", survivors_only=given)
    return study_effects(study, cells, accuracies, survivors_only=given)


def is_conditional(study: StudyResults) -> bool:
    """Whether effects on kNN accuracy are conditional on no collapse."""
    return any(cell.collapsed for cell in cells_of(study))


def _effects(values_CS: Floats, contrasts: Sequence[Contrast]) -> tuple[Effect, ...]:
    """The weighted sum within each group, mean over groups within each seed, t over seeds."""
    matched = [_matched(values_CS, contrast) for contrast in contrasts]
    tests = iter(swap_tests([usable_GS for usable_GS, _ in matched if usable_GS.size]))
    return tuple(
        _effect(contrast, usable_GS, used_GK, next(tests) if usable_GS.size else None)
        for contrast, (usable_GS, used_GK) in zip(contrasts, matched, strict=True)
    )


def _matched(values_CS: Floats, contrast: Contrast) -> tuple[Floats, npt.NDArray[np.int64]]:
    """The differences by group and seed that can be used, and the rows of the groups' cells."""
    n_seeds = values_CS.shape[1]
    rows_GK, weights_GK = contrast.arrays
    sums_GS = (weights_GK[:, :, None] * values_CS[rows_GK]).sum(axis=1)
    by_group_GS = sums_GS.reshape(len(rows_GK), n_seeds)
    known_G = np.asarray(~np.isnan(by_group_GS).all(axis=1))
    usable = by_group_GS[known_G]
    # Only seeds that have every usable group: otherwise seeds would average different cells.
    usable = usable[:, ~np.isnan(usable).any(axis=0)] if len(usable) else np.empty((0, 0))
    return usable, rows_GK[known_G] if usable.size else rows_GK[:0]


def _effect(
    contrast: Contrast, usable_GS: Floats, used_GK: npt.NDArray[np.int64], test: PValue | None
) -> Effect:
    contrasts = usable_GS.mean(axis=0) if usable_GS.size else np.empty(0)
    return Effect(
        contrast=contrast,
        mean=mean_interval(contrasts) if len(contrasts) else None,
        contrasts=contrasts,
        cells=tuple(np.unique(used_GK).tolist()),
        matched=len(used_GK),
        planned=len(contrast.groups),
        test=test,
    )
