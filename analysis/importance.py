"""Which parameters of a search set its best samples apart, by Optuna's own evaluator.

Optuna is imported where it is needed: only a search needs it.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.results import NOT_SET, StudyResults
from analysis.search import search_result

LEAST = 10
"""Samples with a result below which nothing is said: the best tenth of fewer is not even one."""


@dataclass(frozen=True, kw_only=True)
class Importance:
    """What Optuna's PED-ANOVA makes of a search."""

    shares: Mapping[str, float]
    """Parameter -> its share of the importance, the largest first; they sum to 1."""
    samples: int
    """With a result: what it is computed from."""
    version: str
    """Of Optuna."""


def importance(study: StudyResults) -> Importance | None:
    """The importance of the parameters for the first objective; None for a design, and with too few samples.

    PED-ANOVA (Watanabe et al. 2023, arXiv 2304.10255) compares the distribution of a parameter among the best
    tenth of the samples with that among all. It describes the samples that were drawn: a parameter that the
    search hardly varied looks unimportant. A parameter that applies in some samples alone is compared among
    those (Optuna's conditional PED-ANOVA, arXiv 2601.20800). This is what Optuna says of the search's own
    journal, but that a configuration that was drawn twice counts once.
    """
    if not study.is_search:
        return None
    result = search_result(study)
    values = result.values[:, 0]
    samples, values = result.samples[~np.isnan(values)], values[~np.isnan(values)]
    space = result.section.get("space") or {}
    factors = [f for f in study.factors if f.name in space and samples[f.column].notna().any()]
    if len(samples) < LEAST or len(factors) < 2 or len(set(values)) < 2:
        return None
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    directions = optuna.study.StudyDirection
    direction = directions.MAXIMIZE if result.objectives[0].maximize else directions.MINIMIZE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # says that evaluators may change
        trials = optuna.create_study(direction=direction)
        columns = {f.name: [_drawn(value, space[f.name]) for value in samples[f.column]] for f in factors}
        distributions = {f.name: _distribution(space[f.name], f.levels, columns[f.name]) for f in factors}
        for place, value in enumerate(values):
            row = {name: column[place] for name, column in columns.items()}
            drawn = {name: each for name, each in row.items() if each is not None}
            trial = optuna.trial.create_trial(
                params=drawn, distributions={name: distributions[name] for name in drawn}, value=float(value)
            )
            trials.add_trial(trial)
        shares = get_param_importances(trials, evaluator=PedAnovaImportanceEvaluator())
    return Importance(
        shares=dict(sorted(shares.items(), key=lambda item: -item[1])),
        samples=len(samples),
        version=optuna.__version__,
    )


def _drawn(value: Any, entry: Mapping[str, Any]) -> Any:
    """A sample's value of a parameter; None where the parameter does not apply."""
    if pd.isna(value) or value == NOT_SET:
        return None
    if isinstance(value, str):
        return value
    return int(value) if isinstance(entry.get("low"), int) else float(value)


def _distribution(entry: Mapping[str, Any], levels: Sequence[str], drawn: Sequence[Any]) -> Any:
    """What a parameter was drawn from, as the search told Optuna, and wide enough for what was drawn."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if levels:
        return CategoricalDistribution(levels)
    values = [value for value in drawn if value is not None]
    low, high = (edge(entry.get(name, edge(values)), *values) for name, edge in (("low", min), ("high", max)))
    kind = IntDistribution if isinstance(low, int) else FloatDistribution
    return kind(low, high, log=bool(entry.get("log")) and low > 0)
