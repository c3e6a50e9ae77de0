"""Measurements of all trials over the steps of training, as arrays."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.results import StudyResults
from analysis.stats import Floats


@dataclass(frozen=True, kw_only=True)
class Curves:
    """A column of the metrics by trial and step."""

    steps: npt.NDArray[np.int64]
    """All steps at which anything was measured, ascending. Shape [steps]."""
    values: Floats
    """NaN where a trial was not measured. Shape [trials, steps], in the order of `study.trials`."""
    measured: npt.NDArray[np.bool_]
    """Whether there is a row, whatever its value. Shape [trials, steps]."""


@lru_cache(maxsize=8)  # several figures, each a group of trials at a time, ask for the same
def curves(study: StudyResults, column: str) -> Curves:
    """The curves of every trial of a study.

    >>> from pathlib import Path
    >>> from analysis.load import load_results
    >>> study = load_results([Path("runs/collapse-quickstart")]).studies[0]  # doctest: +SKIP
    >>> curves(study, "representation_std").values.shape  # doctest: +SKIP
    (15, 11)
    """
    rows, places, steps = places_of_metrics(study)
    values = np.full((len(study.trials), len(steps)), np.nan)
    known = rows >= 0
    values[rows[known], places[known]] = study.metrics[column].to_numpy(np.float64, na_value=np.nan)[known]
    measured = np.zeros(values.shape, dtype=bool)
    measured[rows[known], places[known]] = True
    return Curves(steps=steps, values=values, measured=measured)


@lru_cache(maxsize=2)
def places_of_metrics(
    study: StudyResults,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where each row of the metrics stands among trials and steps.

    Returns:
        The row of its trial, -1 if it is of none, and the place of its step, each of shape [rows]; and all
        steps, ascending.
    """
    rows = pd.Index(study.trials["trial_id"]).get_indexer(pd.Index(study.metrics["trial_id"]))
    steps, places = np.unique(study.metrics["step"].to_numpy(np.int64), return_inverse=True)
    return rows.astype(np.int64), places.astype(np.int64), steps
