"""What an earlier sweep says about how many seeds a study needs: in sentences, and as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.findings.finding import Value
from analysis.findings.verdict import would_decide
from analysis.power import CONFIDENCE, POWER, smallest_difference, spread
from analysis.results import StudyResults
from analysis.stats import clopper_pearson
from analysis.verdict import Case, Verdict, study_verdict
from analysis.wording import plural

SEEDS = (3, 5, 8, 10)
"""Numbers of seeds that are always shown."""


@dataclass(frozen=True, kw_only=True)
class Outlooks:
    """What n seeds could show, as far as an earlier sweep can tell."""

    lines: tuple[str, ...]
    values: Mapping[str, Value]


def outlooks(study: StudyResults, seeds: Sequence[int] = ()) -> Outlooks:
    """What the results of a design say about the number of seeds.

    Args:
        study: the earlier results.
        seeds: numbers of seeds to show besides SEEDS, such as those of the study that is planned.
    """
    values: dict[str, Value] = {"study": study.name, "seeds": len(study.seeds)}
    if study.is_search:
        return Outlooks(lines=("A search says nothing about how many seeds a design needs.",), values=values)
    if len(study.seeds) < 2:
        text = "With one seed nothing can be said: how much the results vary between seeds is unknown."
        return Outlooks(lines=(text,), values=values)
    verdicts, numbers = study_verdict(study), sorted({*SEEDS, *(n for n in seeds if n > 1)})
    lines = []
    for level, verdict in (
        ("representation", verdicts.representation),
        ("projection", verdicts.projection),
    ):
        lines.append(f"{level}: {_level_text(verdict)}")
        values[level] = _level_values(verdict)
    rates = {str(n): _most_rate(n) for n in numbers}
    shown = ", ".join(f"{n}: {100 * rate:.0f} %" for n, rate in rates.items())
    lines.append(f"a cell that never collapses still may, in up to this share of seeds (95 %), by n: {shown}")
    line, values["knn_accuracy"] = _accuracy(study, numbers)
    return Outlooks(lines=(*lines, line), values={**values, "most_rate_after_none": rates})


def _most_rate(seeds: int) -> float:
    interval = clopper_pearson(0, seeds).interval
    assert interval is not None
    return interval.high


def _level_text(verdict: Verdict) -> str:
    if verdict.passes:
        return f"settled with {plural(verdict.seeds, 'seed')}: a rule passes"
    if verdict.case is Case.UNDETERMINED:
        return f"open. {would_decide(verdict)}"
    if verdict.case is Case.CONFOUNDED:
        return "a factor is confounded, which more seeds of the same kind would not change"
    if verdict.case in (Case.NOTHING_COLLAPSED, Case.EVERYTHING_COLLAPSED):
        what = "nothing" if verdict.case is Case.NOTHING_COLLAPSED else "everything"
        return f"{what} collapsed, so no rule can pass, however often that is repeated"
    return "no results"


def _level_values(verdict: Verdict) -> dict[str, Value]:
    outlook = verdict.outlook
    return {
        "case": verdict.case.value,
        "seeds": verdict.seeds,
        "least_p": outlook.least_p if outlook else None,
        "would_decide": outlook.seeds if outlook else None,
        "most_seeds_tried": outlook.most_seeds if outlook else None,
    }


def _accuracy(study: StudyResults, seeds: Sequence[int]) -> tuple[str, Value]:
    found = spread(study)
    if found is None:
        return "kNN accuracy: no two seeds have a difference from the reference that kept its spread", None
    smallest = {str(n): smallest_difference(found.sd, n) for n in seeds}
    shown = ", ".join(f"{n}: {100 * difference:.1f}" for n, difference in smallest.items())
    text = (
        f"kNN accuracy: differences from the reference have an sd of {100 * found.sd:.1f} points between "
        f"{plural(found.seeds, 'seed')} ({100 * found.low:.1f} to {100 * found.high:.1f} in single cells; "
        f"{plural(found.cells, 'cell')} without collapse). The smallest difference that n seeds show with "
        f"{100 * POWER:.0f} % power at {100 * CONFIDENCE:.0f} %, in points, by n: {shown}"
    )
    values: dict[str, Value] = {
        "sd": found.sd,
        "low": found.low,
        "high": found.high,
        "cells": found.cells,
        "power": POWER,
        "level": CONFIDENCE,
        "smallest_difference": smallest,
    }
    return text, values
