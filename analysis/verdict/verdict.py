"""Which case a study is, and the evidence for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, auto

from analysis.cells import Cell
from analysis.results import StudyResults
from analysis.stats import Rate
from analysis.verdict.neighbours import Removals, removals
from analysis.verdict.seeds import seeds_with_collapse
from analysis.verdict.sufficient import Sufficient, sufficient_sets


class Case(StrEnum):
    """How far a design answers what prevents collapse. The first that applies."""

    NO_RESULTS = auto()
    """No trial was judged."""
    REFERENCE_COLLAPSED = auto()
    """So none of its components prevents collapse."""
    NOTHING_COLLAPSED = auto()
    """So no component is shown to be needed."""
    SUFFICIENT = auto()
    """The smallest sets of components that prevent collapse are known."""
    ONE_BY_ONE = auto()
    """They are not, but at least half of the cells differ from the reference in one factor."""
    UNDETERMINED = auto()
    """Cells that matter have no results."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A study's verdict."""

    case: Case
    sufficient: Sufficient
    removals: Removals | None
    """None without results."""


def study_verdict(study: StudyResults, cells: Sequence[Cell]) -> Verdict:
    """The verdict of a design; `cells` must not be empty."""
    sufficient = sufficient_sets(
        [cell.codes for cell in cells],
        [cell.collapsed for cell in cells],
        [cell.judged for cell in cells],
        [len(factor.levels) for factor in study.factors],
    )
    changes = removals(cells)
    return Verdict(case=_case(cells, sufficient, changes), sufficient=sufficient, removals=changes)


def _case(cells: Sequence[Cell], sufficient: Sufficient, changes: Removals | None) -> Case:
    if not any(cell.judged for cell in cells):
        return Case.NO_RESULTS
    if sufficient.reference_collapsed:
        return Case.REFERENCE_COLLAPSED
    if sufficient.determined:
        return Case.SUFFICIENT if sufficient.sets[0] else Case.NOTHING_COLLAPSED
    if changes is not None and 2 * changes.count >= len(cells) - 1:
        return Case.ONE_BY_ONE
    return Case.UNDETERMINED


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the trials say about a set of components."""

    cells: int
    """Cells that have the set at the reference's levels."""
    trials: int
    """Judged trials in them."""
    seeds: Rate
    """Seeds with a collapse in them."""
    collapsed_without: int
    """Collapsed trials of the cells that have none of the smallest sets."""
    trials_without: int
    """Judged trials of those."""


def evidence_for(study: StudyResults, cells: Sequence[Cell], sufficient: Sufficient) -> Evidence:
    """The evidence for the first of the smallest sets."""
    inside = [cell for cell in cells if _has(cell, sufficient.smallest[0])]
    outside = [cell for cell in cells if not any(_has(cell, factors) for factors in sufficient.smallest)]
    return Evidence(
        cells=len(inside),
        trials=sum(cell.judged for cell in inside),
        seeds=seeds_with_collapse(inside, study.seeds),
        collapsed_without=sum(cell.collapsed for cell in outside),
        trials_without=sum(cell.judged for cell in outside),
    )


def _has(cell: Cell, factors: Sequence[int]) -> bool:
    return all(cell.codes[index] == 0 for index in factors)
