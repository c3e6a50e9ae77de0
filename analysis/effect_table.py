"""All effects of a sweep, or of several, as a table."""

from typing import Any

import pandas as pd

from analysis.effect_words import aliases_text
from analysis.effects import Effect, Measure, effects_on, is_conditional
from analysis.results import Results, StudyResults

COLUMNS = {
    **dict.fromkeys(("study", "measure"), "str"),
    "given_no_collapse": "bool",
    **dict.fromkeys(("factor", "level", "reference_level"), "str"),
    **dict.fromkeys(("factor_2", "level_2", "reference_level_2"), "str"),
    **dict.fromkeys(("estimate", "low", "high", "low_alone", "high_alone"), "float64"),
    "family": "int64",
    **dict.fromkeys(("p", "adjusted_p"), "float64"),
    **dict.fromkeys(("seeds", "matched", "planned", "cells"), "int64"),
    "aliases": "str",
    **dict.fromkeys(("superiority", "superiority_low", "superiority_high"), "float64"),
    "sweep": "str",
}
"""Column -> type; docs/result-tables.md says what they mean."""


def effects(results: Results) -> pd.DataFrame:
    """A row per effect that has an estimate: main effects, then interactions, of each study and measure.

    A search has none. Estimates and intervals are differences of shares, from -1 to 1 (interactions -2 to 2).
    """
    rows = [
        _row(study, measure, effect) | {"sweep": sweep}
        for sweep, study in zip(results.names, results.studies, strict=True)
        for measure in Measure
        for effect in effects_on(study, measure)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _row(study: StudyResults, measure: Measure, effect: Effect) -> dict[str, Any]:
    mean, test = effect.mean, effect.test
    assert mean is not None
    row: dict[str, Any] = {
        "study": study.name,
        "measure": measure.value,
        "given_no_collapse": measure is Measure.KNN and is_conditional(study),
        "estimate": mean.estimate,
        "family": effect.family,
        "p": test.p if test else None,
        "adjusted_p": effect.adjusted_p,
        "seeds": mean.n,
        "matched": effect.matched,
        "planned": effect.planned,
        "cells": len(effect.cells),
        "aliases": aliases_text(study, effect) or None,
    }
    for suffix, index, level in zip(("", "_2"), effect.factors, effect.levels, strict=False):
        factor = study.factors[index]
        row |= {f"factor{suffix}": factor.name, f"level{suffix}": factor.levels[level]}
        row |= {f"reference_level{suffix}": factor.levels[0]}
    for suffix, interval in (("", effect.simultaneous), ("_alone", mean.interval)):
        if interval is not None:
            row |= {f"low{suffix}": interval.low, f"high{suffix}": interval.high}
    ahead = effect.superiority if len(effect.factors) == 1 and measure is Measure.KNN else None
    if ahead is not None:
        row |= {"superiority": ahead.estimate}
        row |= {"superiority_low": ahead.interval.low, "superiority_high": ahead.interval.high}
    return row
