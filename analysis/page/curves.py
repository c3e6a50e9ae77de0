"""Every trial's curves and last spectrum as bytes, small enough for a page of 10,000 trials.

A value is a byte, between the least and the greatest of its trial and quantity: half a pixel of a plot that
is 250 pixels high. What is kept of each trial is thinned to what all trials together may take.
"""

import gzip
import json
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.curves import places_of_metrics
from analysis.results import StudyResults
from analysis.spectra import ROUNDING
from analysis.stats import Floats

QUANTITIES = (
    "representation_std",
    "projection_std",
    "effective_rank",
    "projection_effective_rank",
    "loss",
    "knn_accuracy",
)
LEVELS = ("representation", "projection")
MISSING = 255
"""The byte for a value that was not measured; the others are 0 to 254."""
_BYTES_UP_TO = 1_000_000
_STEPS = (16, 100)
_EIGENVALUES = (12, 32)
"""Least and most that are kept of each trial."""

Bytes = npt.NDArray[np.uint8]


def packed_curves(study: StudyResults) -> bytes:
    """The curves of all trials, gzipped; the layout is in `script/curves.js`, which reads them.

    A number of four bytes, the length of a description in JSON, that description, then for each quantity the
    least and the greatest value of each trial as float32, then the bytes [quantities, trials, steps] as
    differences from the one before, then the last spectra as bytes [levels, trials, values] of the logarithm.
    """
    quantities = [name for name in QUANTITIES if study.metrics[name].notna().any()]
    trials, each = len(study.trials), max(1, len(quantities))
    most = int(_BYTES_UP_TO / max(1, trials) / (each + 0.6))
    steps, values_QTS = _curves(study, quantities, max(_STEPS[0], min(_STEPS[1], most)))
    kept = max(_EIGENVALUES[0], min(_EIGENVALUES[1], most // 4))
    spectra = _spectra(study, kept)
    description = {
        "quantities": quantities,
        "trials": trials,
        "steps": steps,
        "spectrum": {"values": kept, "low": spectra[1], "high": spectra[2], "sizes": spectra[3]},
    }
    head = json.dumps(description, allow_nan=False, separators=(",", ":")).encode()
    head += b" " * (-(len(head) + 4) % 4)  # the numbers after it begin at a multiple of their size
    ends, coded = _coded(values_QTS)
    packed = len(head).to_bytes(4, "little") + head + ends.tobytes() + coded.tobytes() + spectra[0].tobytes()
    return gzip.compress(packed, 9, mtime=0)


def _curves(study: StudyResults, quantities: Sequence[str], most: int) -> tuple[list[int], Floats]:
    """Steps, and values of shape [quantities, trials, steps], NaN where there is none.

    More than `most` steps become so many intervals, each with its last measurement.
    """
    rows, places, measured = places_of_metrics(study)
    steps = measured
    if len(steps) > most:
        steps = steps[np.unique(np.linspace(0, len(steps) - 1, most).round().astype(int))]
    values_QTS = np.full((len(quantities), len(study.trials), len(steps)), np.nan)
    columns = np.searchsorted(steps, measured)[places]
    for index, name in enumerate(quantities):
        values = study.metrics[name].to_numpy(np.float64, na_value=np.nan)
        # In order of step: the last of an interval is what stays.
        known = np.isfinite(values) & (rows >= 0)
        values_QTS[index, rows[known], columns[known]] = values[known]
    return steps.tolist(), values_QTS


def _coded(values_QTS: Floats) -> tuple[npt.NDArray[np.float32], Bytes]:
    """Least and greatest of each trial [quantities, trials, 2], and bytes as differences along the steps."""
    empty = np.isnan(values_QTS)
    low = np.where(empty, np.inf, values_QTS).min(axis=2, initial=np.inf)
    high = np.where(empty, -np.inf, values_QTS).max(axis=2, initial=-np.inf)
    low, high = (np.where(np.isfinite(end), end, 0.0) for end in (low, high))
    span = np.where(high > low, high - low, 1.0)
    scaled = np.where(empty, 0.0, (values_QTS - low[..., None]) / span[..., None])
    quantised = np.where(empty, MISSING, (254 * scaled).round()).astype(np.uint8)
    return np.stack([low, high], axis=2).astype("<f4"), np.diff(quantised, axis=2, prepend=np.uint8(0))


def _spectra(study: StudyResults, kept: int) -> tuple[Bytes, float, float, list[int]]:
    """Of each level and trial its last spectrum.

    Returns:
        Bytes of the logarithm [levels, trials, kept]; the logarithms that 0 and 254 stand for; the lengths of
        the spectra by level.
    """
    logs = np.full((len(LEVELS), len(study.trials), kept), np.nan)
    place = {trial: row for row, trial in enumerate(study.trials["trial_id"])}
    sizes = [0] * len(LEVELS)
    for index, level in enumerate(LEVELS):
        spectra = [(place[trial], values) for trial, values in _last(study.spectra, level) if trial in place]
        sizes[index] = max((len(values) for _, values in spectra), default=0)
        places = spectrum_places(sizes[index], kept) if sizes[index] else np.empty(0, dtype=np.int64)
        for row, values in spectra:
            there = places < len(values)
            picked = values[places[there]]
            logs[index, row, : there.sum()] = np.log10(
                np.where(picked > ROUNDING * max(values[0], 1e-30), picked, np.nan)
            )
    finite = logs[np.isfinite(logs)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    span = high - low or 1.0
    known = np.isfinite(logs)
    coded = np.where(known, (254 * (np.where(known, logs, low) - low) / span).round(), MISSING)
    return coded.astype(np.uint8), round(low, 5), round(high, 5), sizes


def _last(spectra: pd.DataFrame, level: str) -> list[tuple[str, Floats]]:
    rows = spectra[spectra["level"] == level].sort_values("step", kind="stable")
    rows = rows.drop_duplicates("trial_id", keep="last")
    return [
        (str(trial), np.asarray(values, dtype=np.float64))
        for trial, values in zip(rows["trial_id"], rows["eigenvalues"], strict=True)
    ]


def spectrum_places(size: int, kept: int) -> npt.NDArray[np.int64]:
    """Which of `size` eigenvalues are kept: `kept` places from the first to the last, evenly by logarithm.

    >>> spectrum_places(16, 5).tolist(), spectrum_places(2, 4).tolist()
    ([0, 1, 3, 7, 15], [0, 0, 1, 1])
    """
    exponents = math.log(size) * np.arange(kept) / (kept - 1)
    return np.floor(np.exp(exponents) + 0.5).astype(np.int64) - 1
