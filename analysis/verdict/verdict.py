"""Which case a study is at each level of the network, and the evidence for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from functools import lru_cache

import numpy as np

from analysis.cells import Cell, cells_of, collapse_by_seed, judged_values_by_seed
from analysis.outcomes import TO_COME
from analysis.provenance import confounded
from analysis.results import SeedSequence, StudyResults
from analysis.stats import Floats, Interval
from analysis.verdict.decide import Outlook, outlook
from analysis.verdict.interval import reduction
from analysis.verdict.rules import Rule, family
from analysis.verdict.search import LEVEL, Search, Side, search
from analysis.verdict.sequence import level_at
from analysis.verdict.thresholds import stable_range


class Case(StrEnum):
    """How far a design answers what prevents collapse. The first that applies."""

    ALL_FAILED = auto()
    """No trial was judged, and none is to come."""
    NO_RESULTS = auto()
    """No trial was judged yet."""
    NOTHING_COLLAPSED = auto()
    """So no component is shown to be needed."""
    EVERYTHING_COLLAPSED = auto()
    """So no component is shown to prevent it."""
    CONFOUNDED = auto()
    """A rule passes, and it or another that says the same names a factor that runs along with a condition."""
    TIED = auto()
    """A rule passes, and the cells cannot tell it from another of the same length."""
    CLAIMED = auto()
    """A rule passes."""
    UNDETERMINED = auto()
    """None does."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What was found at one level of the network."""

    case: Case
    collapsed: Side
    """Over all judged trials."""
    found: Search | None = None
    """The best rule, whether it passes or not; None if there is none to compare."""
    interval: Interval | None = None
    """Of the reduction: the rate outside less the rate inside. Where a rule passes."""
    thresholds: Interval | None = None
    """Those of the grid at which the same rule is best and passes. Where it passes, if known."""
    exceptions: tuple[Cell, ...] = ()
    """Cells outside of the best rule in which nothing collapsed."""
    confounded: tuple[int, ...] = ()
    """Indices of the factors for which no rule is claimed although one passes."""
    outlook: Outlook | None = None
    """Where no rule passes, and with more than one seed."""
    open_cells: tuple[Cell, ...] = ()
    """Planned cells without a result."""
    seeds: int = 0
    """Seeds with a judged trial."""

    @property
    def passes(self) -> bool:
        """Whether a rule is claimed, be it tied or not."""
        return self.case in (Case.CLAIMED, Case.TIED)

    @property
    def rule(self) -> Rule | None:
        """The claimed rule; None where nothing is claimed, and where several say the same of these cells."""
        return self.found.rule if self.found is not None and self.case is Case.CLAIMED else None

    @property
    def aliases(self) -> tuple[Rule, ...]:
        """Rules as short as the best with the same cells inside."""
        return self.found.equals if self.found is not None else ()

    @property
    def difference(self) -> float | None:
        """The reduction by the claimed rule."""
        if self.found is None or not self.passes:
            return None
        return self.found.outside.rate - self.found.inside.rate


@dataclass(frozen=True, kw_only=True)
class StudyVerdict:
    """A study's verdicts, one for each level."""

    representation: Verdict
    projection: Verdict


@lru_cache(maxsize=16)  # the headline, the other findings and the map ask for it
def study_verdict(study: StudyResults) -> StudyVerdict:
    """The verdicts of a design that has cells."""
    cells = cells_of(study)
    names = confounded(study)
    blocked = frozenset(index for index, factor in enumerate(study.factors) if factor.name in names)
    representation_CS = collapse_by_seed(cells, study.seeds)
    projection_CS = judged_values_by_seed(cells, study.seeds, "projection_collapsed")
    std_CS, projection_std_CS = (
        judged_values_by_seed(cells, study.seeds, f"{level}_std")
        for level in ("representation", "projection")
    )
    return StudyVerdict(
        representation=_verdict(
            cells, representation_CS, std_CS, study.representation_threshold, study.sequence, blocked
        ),
        projection=_verdict(
            cells, projection_CS, projection_std_CS, study.projection_threshold, study.sequence, blocked
        ),
    )


def _verdict(
    cells: Sequence[Cell],
    collapsed_CS: Floats,
    std_CS: Floats,
    threshold: float,
    sequence: SeedSequence | None,
    blocked: frozenset[int],
) -> Verdict:
    judged_CS = ~np.isnan(collapsed_CS)
    has_result_C = np.asarray(judged_CS.any(axis=1))
    seeds = int(judged_CS.any(axis=0).sum())
    collapsed = Side(collapsed=int(np.nansum(collapsed_CS)), trials=int(judged_CS.sum()))
    open_cells = tuple(cell for cell, has in zip(cells, has_result_C, strict=True) if not has)
    if not collapsed.trials:
        case = Case.ALL_FAILED if not any(_to_come(cell) for cell in cells) else Case.NO_RESULTS
        return Verdict(case=case, collapsed=collapsed, open_cells=open_cells)
    if collapsed.collapsed in (0, collapsed.trials):
        case = Case.EVERYTHING_COLLAPSED if collapsed.collapsed else Case.NOTHING_COLLAPSED
        return Verdict(case=case, collapsed=collapsed, open_cells=open_cells, seeds=seeds)
    kept = [cell for cell, has in zip(cells, has_result_C, strict=True) if has]
    collapsed_CS, std_CS = collapsed_CS[has_result_C], std_CS[has_result_C]
    rules = family([cell.codes for cell in kept])
    level = level_at(collapsed_CS, sequence)
    found = search(collapsed_CS, rules, level=level)
    passes = found is not None and seeds > 1 and found.adjusted_p <= LEVEL
    if found is not None and passes and (named := blocked & _factors(found)):
        return Verdict(
            case=Case.CONFOUNDED,
            collapsed=collapsed,
            found=found,
            confounded=tuple(sorted(named)),
            open_cells=open_cells,
            seeds=seeds,
        )
    tied = found is not None and bool(found.equals)
    ranged = found is not None and passes and threshold > 0
    return Verdict(
        case=Case.UNDETERMINED if not passes else Case.TIED if tied else Case.CLAIMED,
        collapsed=collapsed,
        found=found,
        interval=reduction(collapsed_CS, found.inside_C, found.z) if found and passes else None,
        thresholds=stable_range(std_CS, collapsed_CS, found, rules, threshold, level)
        if found and ranged
        else None,
        exceptions=_exceptions(kept, collapsed_CS, found) if found else (),
        outlook=outlook(collapsed_CS, rules, found, sequence) if found and not passes and seeds > 1 else None,
        open_cells=open_cells,
        seeds=seeds,
    )


def _factors(found: Search) -> set[int]:
    """The factors that the best rule names, or another that says the same."""
    rules = (found.rule, *found.equals)
    return {factor for rule in rules for factors in rule.factors for factor in factors}


def _to_come(cell: Cell) -> bool:
    return any(outcome in TO_COME for outcome in cell.outcomes)


def _exceptions(cells: Sequence[Cell], collapsed_CS: Floats, found: Search) -> tuple[Cell, ...]:
    survived_C = ~found.inside_C & (np.nansum(collapsed_CS, axis=1) == 0)
    return tuple(cell for cell, survived in zip(cells, survived_C, strict=True) if survived)
