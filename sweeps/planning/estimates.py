"""How long trials take: earlier measurements turned into what a sweep will take.

A trial's time depends on its shape alone: on the settings that change what is computed, not on rates. So
what one trial took is expected of all trials of its shape.
"""

import heapq
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from byol.config import FIELD_NAMES, Scalar, default_value
from byol.errors import plural
from byol.own_parts import is_part_setting
from byol.presets import from_settings
from sweeps.errors import DirectoryError
from sweeps.record import directory
from sweeps.record.rows import EndReason, Fact, TrialRow
from sweeps.study import Study
from sweeps.study.designs import Cell, Trial, digest

CALIBRATION = "calibration.json"
"""What `plan --calibrate --out DIR` leaves in DIR."""

COSTS_NOTHING = frozenset(
    (
        "seed", "lr", "lr_schedule", "warmup_epochs", "momentum", "weight_decay", "lars_eta", "lars_clip",
        "loss_scale",
        "exclude_bias_and_norm", "predictor_lr_scale", "predictor_lr_decay", "predictor_symmetric",
        "encoder_weight_decay", "projector_weight_decay", "predictor_weight_decay", "zero_init_residual",
        "direct_rho", "direct_eps", "direct_every", "projector_tau_base", "target_every",
        "tau_base", "tau_final", "tau_schedule", "tau_per", "target_init",
        "negatives_temperature", "cross_correlation_lambda",
        "bn_momentum", "bn_eps", "knn_k", "knn_temperature",
    )
)  # fmt: skip
"""Settings that do not change a trial's time. A view's change it only by turning an operation on or off."""

WEIGHTS = frozenset(
    (
        "regression_weight", "variance_weight", "covariance_weight",
        "cross_correlation_weight", "sigreg_weight",
    )
)  # fmt: skip
"""Weights of terms of the loss, which change the time only by turning a term on or off."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Expected wall seconds of each cell's trials."""

    seconds: Mapping[str, float]
    """Cell id -> seconds of one trial."""
    each: float
    """Their mean, also for trials whose cell is not known yet."""
    source: str
    """Where the times come from, in words."""


def shape(settings: Mapping[str, Scalar]) -> str:
    """A short hash of the settings that decide on a trial's time: trials of one shape take the same time."""
    timed: dict[str, Scalar] = {}
    for key, value in settings.items():
        if key.startswith(("view1.", "view2.")):
            if key.endswith("_p"):
                timed[key] = bool(value)
        elif key in WEIGHTS:
            if bool(value) != bool(default_value(key)):
                timed[key] = bool(value)
        elif is_part_setting(key) or (key in FIELD_NAMES and key not in COSTS_NOTHING):
            timed[key] = value
    timed["target_is_online"] = from_settings(settings).target_is_online
    return digest(timed)


def shapes(cells: Iterable[Cell]) -> dict[str, list[Cell]]:
    """The cells by their shape, in order."""
    by_shape: dict[str, list[Cell]] = {}
    for cell in cells:
        by_shape.setdefault(shape(cell.config.to_settings()), []).append(cell)
    return by_shape


def of_study(study: Study, cells: Sequence[Cell], out: Path | None = None) -> Estimate | None:
    """From the calibration in `out`, or else from the cost that the study states; None without either.

    Raises:
        DirectoryError: the calibration cannot be read.
    """
    if out is not None and (out / CALIBRATION).exists():
        return of_calibration(cells, read_calibration(out))
    if study.estimate is None:
        return None
    seconds = study.estimate.seconds_per_trial
    return Estimate(
        seconds={cell.cell_id: seconds for cell in cells},
        each=seconds,
        source=f"the study's estimate: {seconds:g} s a trial on {study.estimate.hardware}",
    )


def of_sweep(cells: Sequence[Cell], out: Path) -> Estimate:
    """From what the finished trials of the sweep in `out` took, by shape; their mean for other shapes.

    Raises:
        DirectoryError: `out` holds no sweep, or none of its trials has finished.
    """
    seconds_by_shape: dict[str, list[float]] = {}
    with directory.open_ledger(out) as ledger:
        for row in ledger.trials():
            if row.end_reason == EndReason.FINISHED and row.wall_seconds:
                key = shape(row.settings)
                seconds_by_shape.setdefault(key, []).append(row.wall_seconds)
    if not seconds_by_shape:
        raise DirectoryError(f"{out}: has no finished trial, so there is nothing to estimate from")
    means = {key: statistics.fmean(seconds) for key, seconds in seconds_by_shape.items()}
    trials = sum(map(len, seconds_by_shape.values()))
    return _by_shape(cells, means, f"{plural(trials, 'finished trial')} of {out}")


def read_calibration(out: Path) -> dict[str, Any]:
    """The calibration in `out`.

    Raises:
        DirectoryError: it cannot be read.
    """
    try:
        document = json.loads((out / CALIBRATION).read_text())
        return {**document, "shapes": dict(document["shapes"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DirectoryError(f"{out / CALIBRATION}: cannot be read: {error}") from None


def of_calibration(cells: Sequence[Cell], calibration: Mapping[str, Any]) -> Estimate:
    """From what a calibration measured."""
    measured = {key: float(cost["seconds_per_trial"]) for key, cost in calibration["shapes"].items()}
    return _by_shape(cells, measured, f"calibrated on {calibration['made']}, {calibration['hardware']}")


def _by_shape(cells: Sequence[Cell], measured: Mapping[str, float], source: str) -> Estimate:
    """The estimate of cells from the seconds of each measured shape."""
    mean = statistics.fmean(measured.values())
    shape_of = {cell.cell_id: shape(cell.config.to_settings()) for cell in cells}
    matches = sum(key in measured for key in shape_of.values())
    if matches < len(shape_of):
        source += f"; of its shapes {matches:,} of {plural(len(shape_of), 'cell')}, its mean for the rest"
    seconds = {cell_id: measured.get(key, mean) for cell_id, key in shape_of.items()}
    each = statistics.fmean(seconds.values()) if seconds else mean
    return Estimate(seconds=seconds, each=each, source=source)


def wall_seconds(trials: Iterable[Trial], estimate: Estimate, workers: int) -> float:
    """Wall seconds of the trials in this order, each given to the first of `workers` that is free."""
    trials = list(trials)
    free_at = [0.0] * min(workers, max(1, len(trials)))
    for trial in trials:
        heapq.heappush(free_at, heapq.heappop(free_at) + estimate.seconds[trial.cell_id])
    return max(free_at)


def plan_against_actual(rows: Sequence[TrialRow], facts: Mapping[str, str]) -> dict[str, Any] | None:
    """What was expected when the sweep started, beside what its finished trials took.

    Args:
        rows: the ledger's trials.
        facts: the ledger's facts.

    Returns:
        The plan as `plan_fact` wrote it, without its cells, and the count of finished trials with their
        planned and actual seconds; None for a sweep that started without an estimate.
    """
    if Fact.PLAN not in facts:
        return None
    plan = json.loads(facts[Fact.PLAN])
    planned = plan.pop("cells")
    finished = [row for row in rows if row.end_reason == EndReason.FINISHED and row.cell_id in planned]
    return {
        **plan,
        "finished_trials": len(finished),
        "finished_planned_seconds": sum(planned[row.cell_id] for row in finished),
        "finished_seconds": sum(row.wall_seconds or 0.0 for row in finished),
    }


def plan_fact(estimate: Estimate, trials: Sequence[Trial], workers: int) -> str:
    """What is expected of a sweep, as JSON: the ledger's fact PLAN, which `plan_against_actual` reads."""
    return json.dumps(
        {
            "source": estimate.source,
            "workers": workers,
            "trial_seconds": sum(estimate.seconds[trial.cell_id] for trial in trials),
            "wall_seconds": wall_seconds(trials, estimate, workers),
            "cells": dict(estimate.seconds),
        }
    )
