"""Whether the published pairs that a study reproduces come out here in the published direction.

Only directions are compared, never sizes: data, networks and lengths differ. A pair is decided by the
difference between its cells within each seed and a t interval over the seeds. The intervals are 95 % for each
pair, not simultaneous: the pairs were named by their publications before there were data, so none is selected
by its result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from analysis.cells import ABSENT, Cell, Columns, cells_of, values_by_seed
from analysis.controls import Learning, Side, learning
from analysis.load import level_text
from analysis.published import Measure, Pair, Table, published
from analysis.results import StudyResults
from analysis.stability import knn_fluctuation, spread_ratio
from analysis.stats import Floats, Interval, mean_interval
from analysis.wording import plural

ALIKE_WITHIN = 0.02
"""Two accuracies are alike here if the whole interval of their difference lies within this: 2 points."""


class Agreement(StrEnum):
    """Whether a pair came out as published."""

    AGREES = "agrees"
    """The interval excludes no difference, in the published direction."""
    DISAGREES = "disagrees"
    """It excludes it in the other direction."""
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, kw_only=True)
class PairResult:
    """What became of a published pair."""

    pair: Pair
    size: float | None
    """The published difference in points; None where no number is published."""
    estimate: float | None
    """The higher side minus the lower, in the measure's own units; for SEED_SPREAD the higher side's standard
    deviation over the lower side's. None without values."""
    n: int
    """Seeds with all values."""
    interval: Interval | None
    """Of the estimate."""
    agreement: Agreement
    reason: str
    """Why it cannot be told, or disagrees although the direction is as published; empty otherwise."""


@dataclass(frozen=True, kw_only=True)
class TableResult:
    """The pairs of a published table of which the study has all conditions."""

    table: Table
    pairs: tuple[PairResult, ...]
    """At least one."""


def agreements(study: StudyResults) -> tuple[TableResult, ...]:
    """The tables that a study reproduces, in the order of its file; those without a pair are left out."""
    cells, tables, results = cells_of(study), published().tables, []
    obstacle = _obstacle(learning(cells, study.seeds))
    for name, conditions in _reproduced(study).items():
        cell_of = {
            condition: cell
            for condition, labels in conditions.items()
            if (cell := _cell(study, cells, labels)) is not None
        }
        pairs = tables[name].pairs if name in tables else ()
        compared = [
            _compare(study, tables[name], pair, cell_of, obstacle)
            for pair in pairs
            if set(pair.conditions) <= cell_of.keys()
        ]
        if compared:
            results.append(TableResult(table=tables[name], pairs=tuple(compared)))
    return tuple(results)


def tally(pairs: Sequence[PairResult]) -> Mapping[Agreement, int]:
    """How many agree, disagree and cannot be told."""
    return {agreement: sum(pair.agreement is agreement for pair in pairs) for agreement in Agreement}


def _reproduced(study: StudyResults) -> Mapping[str, Mapping[str, Mapping[str, object]]]:
    """`reproduces` of the study; where several directories hold it, the last one's word counts."""
    merged: dict[str, Mapping[str, Mapping[str, object]]] = {}
    for document in study.documents:
        merged |= document.get("reproduces") or {}
    return merged


def _cell(study: StudyResults, cells: Sequence[Cell], labels: Mapping[str, object]) -> Cell | None:
    """The cell with these labels; factors that are not named are at their first level, or absent."""
    named = {name: level_text(label) for name, label in labels.items()}
    for cell in cells:
        levels = zip(study.factors, cell.codes, cell.labels, strict=True)
        if all(
            label == named[factor.name] if factor.name in named else code in (0, ABSENT)
            for factor, code, label in levels
        ):
            return cell
    return None


def _compare(
    study: StudyResults, table: Table, pair: Pair, cell_of: Mapping[str, Cell], obstacle: str
) -> PairResult:
    higher, lower = (
        _values(study, [cell_of[name] for name in side], pair.measure) for side in (pair.higher, pair.lower)
    )
    estimate, n, interval = _ratio(higher, lower) if _is_ratio(pair) else _difference(higher, lower)
    agreement, reason = _judged(pair, estimate, interval)
    if pair.measure.is_of_spread and agreement is Agreement.AGREES:
        agreement, reason = _collapsed(lower, _threshold(study, pair.measure))
    if obstacle and pair.measure.is_of_accuracy:
        agreement, reason = Agreement.CANNOT_TELL, obstacle
    return PairResult(
        pair=pair,
        size=table.size(pair),
        estimate=estimate,
        n=n,
        interval=interval,
        agreement=agreement,
        reason=reason,
    )


def _threshold(study: StudyResults, measure: Measure) -> float:
    is_projection = measure is Measure.PROJECTION
    return study.projection_threshold if is_projection else study.representation_threshold


def _collapsed(lower_S: Floats, threshold: float) -> tuple[Agreement, str]:
    """What is published of a spread is a collapse, and a std that is only somewhat lower is none."""
    known = lower_S[~np.isnan(lower_S)]
    n = int((known < threshold).sum())
    if n == len(known):
        return Agreement.AGREES, ""
    if n == 0:
        return Agreement.DISAGREES, "lower, but it did not collapse"
    return Agreement.CANNOT_TELL, f"it collapsed in {n} of {plural(len(known), 'seed')}"


def _obstacle(learned: Learning | None) -> str:
    """Why accuracies say nothing; empty where they do, or nobody knows whether the reference learned."""
    if learned is None or not learned.is_missing:
        return ""
    if learned.side is Side.BELOW:
        return "the reference did not learn"
    return "the reference is not shown to have learned"


def _values(study: StudyResults, cells: Sequence[Cell], measure: Measure) -> Floats:
    """The measure, summed over the cells, by seed. Shape [seeds]."""
    column = Measure.ACCURACY if measure is Measure.SEED_SPREAD else measure
    if measure is Measure.FLUCTUATION:
        by_trial = knn_fluctuation(study.metrics)
        table = Columns(study.trials.assign(**{column: study.trials["trial_id"].map(by_trial)}))
        cells = [replace(cell, table=table) for cell in cells]
    return np.asarray(values_by_seed(cells, study.seeds, column).sum(axis=0))


def _is_ratio(pair: Pair) -> bool:
    return pair.measure is Measure.SEED_SPREAD


def _difference(higher_S: Floats, lower_S: Floats) -> tuple[float | None, int, Interval | None]:
    """Estimate, number of seeds and interval of the paired difference."""
    difference_S = higher_S - lower_S
    known = difference_S[~np.isnan(difference_S)]
    if not len(known):
        return None, 0, None
    mean = mean_interval(known)
    return mean.estimate, mean.n, mean.interval


def _ratio(higher_S: Floats, lower_S: Floats) -> tuple[float | None, int, Interval | None]:
    """The same of the ratio of the spreads over seeds."""
    ratio = spread_ratio(lower_S, higher_S)
    return (None, 0, None) if ratio is None else (ratio.estimate, ratio.n, ratio.interval)


def _judged(pair: Pair, estimate: float | None, interval: Interval | None) -> tuple[Agreement, str]:
    if estimate is None:
        return Agreement.CANNOT_TELL, "there are no values of both"
    if interval is None:
        return Agreement.CANNOT_TELL, "there is no interval"
    if pair.alike:
        if interval.low > ALIKE_WITHIN or interval.high < -ALIKE_WITHIN:
            return Agreement.DISAGREES, ""
        if interval.low >= -ALIKE_WITHIN and interval.high <= ALIKE_WITHIN:
            return Agreement.AGREES, ""
        return Agreement.CANNOT_TELL, f"the interval covers {100 * ALIKE_WITHIN:g} points"
    none = 1.0 if _is_ratio(pair) else 0.0
    if interval.low > none:
        return Agreement.AGREES, ""
    if interval.high < none:
        return Agreement.DISAGREES, ""
    return Agreement.CANNOT_TELL, f"the interval covers {none:g}"
