"""Which parameters of a search set its best samples apart, by Optuna's own evaluator.

Optuna is imported where it is needed: only a search needs it.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

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
    left_out: tuple[str, ...]
    """Parameters that do not apply in all of these samples, which the evaluator cannot compare."""
    version: str
    """Of Optuna."""


def importance(study: StudyResults) -> Importance | None:
    """The importance of the parameters for the first objective; None for a design, and with too few samples.

    PED-ANOVA (Watanabe et al. 2023, arXiv 2304.10255) compares the distribution of a parameter among the best
    tenth of the samples with that among all. It describes the samples that were drawn: a parameter that the
    search hardly varied looks unimportant.
    """
    if not study.is_search:
        return None
    result = search_result(study)
    values = result.values[:, 0]
    samples = result.samples[~np.isnan(values)]
    space = result.section.get("space") or {}
    factors = [factor for factor in study.factors if factor.name in space]
    everywhere = [f for f in factors if not (samples[f.column].isna() | (samples[f.column] == NOT_SET)).any()]
    if len(samples) < LEAST or len(everywhere) < 2 or len(set(values[~np.isnan(values)])) < 2:
        return None
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    directions = optuna.study.StudyDirection
    direction = directions.MAXIMIZE if result.objectives[0].maximize else directions.MINIMIZE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # says that evaluators may change
        trials = optuna.create_study(direction=direction)
        columns = {f.name: [_plain(value) for value in samples[f.column]] for f in everywhere}
        distributions = {name: _distribution(space[name], column) for name, column in columns.items()}
        for row, value in enumerate(values[~np.isnan(values)]):
            drawn = {name: column[row] for name, column in columns.items()}
            trial = optuna.trial.create_trial(params=drawn, distributions=distributions, value=float(value))
            trials.add_trial(trial)
        shares = get_param_importances(trials, evaluator=PedAnovaImportanceEvaluator())
    return Importance(
        shares=dict(sorted(shares.items(), key=lambda item: -item[1])),
        samples=len(samples),
        left_out=tuple(factor.name for factor in factors if factor not in everywhere),
        version=optuna.__version__,
    )


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _distribution(entry: Mapping[str, Any], values: list[Any]) -> Any:
    """The range or the choices that a parameter was drawn from, wide enough for what was drawn."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if any(isinstance(value, str) for value in values):
        return CategoricalDistribution(list(dict.fromkeys(values)))
    low, high = (float(edge(entry.get(name, value), value)) for name, edge, value in (
        ("low", min, min(values)), ("high", max, max(values))))  # fmt: skip
    return FloatDistribution(low, high, log=bool(entry.get("log")) and low > 0)
