"""How long trials take: what was measured before, turned into what a sweep will take.

A trial's time depends on its shape alone: the settings that change what is computed, not with which rates. So
what one trial took is known of all trials of its shape.
"""

import heapq
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from byol.config import FIELD_NAMES, Scalar
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
        "seed", "lr", "lr_schedule", "warmup_epochs", "momentum", "weight_decay", "lars_eta", "loss_scale",
        "exclude_bias_and_norm", "predictor_lr_scale", "predictor_lr_decay",
        "tau_base", "tau_final", "tau_schedule", "tau_per", "target_init",
        "negatives_temperature", "bn_momentum", "bn_eps", "knn_k", "knn_temperature",
    )
)  # fmt: skip
"""Settings that change no trial's time; a view's do only where they switch an operation on or off."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Expected wall seconds of each cell's trials."""

    seconds: Mapping[str, float]
    """Cell id -> seconds of one trial."""
    each: float
    """Their mean, also for trials whose cell is not known yet."""
    source: str
    """Where they come from, in words."""


def shape(settings: Mapping[str, Scalar]) -> str:
    """What trials have in common that take the same time, as a short hash."""
    kept: dict[str, Scalar] = {}
    for key, value in settings.items():
        if key.startswith(("view1.", "view2.")):
            if key.endswith("_p"):
                kept[key] = bool(value)
        elif key in FIELD_NAMES and key not in COSTS_NOTHING:
            kept[key] = value
    kept["target_is_online"] = from_settings(settings).target_is_online
    return digest(kept)


def shapes(cells: Iterable[Cell]) -> dict[str, list[Cell]]:
    """The cells by their shape, in order."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(shape(cell.config.to_settings()), []).append(cell)
    return found


def of_study(study: Study, cells: Sequence[Cell], out: Path | None = None) -> Estimate | None:
    """What is known without measuring: the calibration in `out`, or the study's own; None without either.

    Raises:
        DirectoryError: the calibration cannot be read.
    """
    if out is not None and (out / CALIBRATION).exists():
        return of_calibration(cells, read_calibration(out))
    if study.estimate is None:
        return None
    each = study.estimate.seconds_per_trial
    return Estimate(
        seconds={cell.cell_id: each for cell in cells},
        each=each,
        source=f"the study's estimate: {each:g} s a trial on {study.estimate.hardware}",
    )


def of_sweep(cells: Sequence[Cell], out: Path) -> Estimate:
    """What the finished trials of the sweep in `out` took, by shape; their mean for shapes that it lacks.

    Raises:
        DirectoryError: `out` holds no sweep, or none of its trials has finished.
    """
    taken: dict[str, list[float]] = {}
    with directory.open_ledger(out) as ledger:
        for row in ledger.trials():
            if row.end_reason == EndReason.FINISHED and row.wall_seconds:
                taken.setdefault(shape(row.settings), []).append(row.wall_seconds)
    if not taken:
        raise DirectoryError(f"{out}: has no finished trial, so there is nothing to estimate from")
    known = {key: statistics.fmean(seconds) for key, seconds in taken.items()}
    trials = sum(map(len, taken.values()))
    return _spread(cells, known, f"{trials} finished trials of {out}")


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
    """What a calibration measured."""
    known = {key: float(one["seconds_per_trial"]) for key, one in calibration["shapes"].items()}
    return _spread(cells, known, f"calibrated on {calibration['made']}, {calibration['hardware']}")


def _spread(cells: Sequence[Cell], known: Mapping[str, float], source: str) -> Estimate:
    mean = statistics.fmean(known.values())
    by_cell = {cell.cell_id: shape(cell.config.to_settings()) for cell in cells}
    met = sum(key in known for key in by_cell.values())
    if met < len(by_cell):
        source += f"; {met} of {len(by_cell)} cells have its shapes, the others take its mean"
    seconds = {cell: known.get(key, mean) for cell, key in by_cell.items()}
    each = statistics.fmean(seconds.values()) if seconds else mean
    return Estimate(seconds=seconds, each=each, source=source)


def wall_seconds(trials: Iterable[Trial], estimate: Estimate, workers: int) -> float:
    """Wall seconds of the trials in this order, each given to the first of `workers` that is free."""
    free = [0.0] * workers
    for trial in trials:
        heapq.heappush(free, heapq.heappop(free) + estimate.seconds[trial.cell_id])
    return max(free)


def plan_against_actual(rows: Sequence[TrialRow], facts: Mapping[str, str]) -> dict[str, Any] | None:
    """The plan that was noted when a sweep started, beside what its finished trials took; None without one.

    Args:
        rows: the ledger's trials.
        facts: the ledger's facts.
    """
    if Fact.PLAN not in facts:
        return None
    plan = json.loads(facts[Fact.PLAN])
    each = plan.pop("cells")
    done = [row for row in rows if row.end_reason == EndReason.FINISHED and row.cell_id in each]
    return {
        **plan,
        "finished_trials": len(done),
        "finished_planned_seconds": sum(each[row.cell_id] for row in done),
        "finished_seconds": sum(row.wall_seconds or 0.0 for row in done),
    }


def plan_fact(estimate: Estimate, trials: Sequence[Trial], workers: int) -> str:
    """What `plan_against_actual` reads: the plan of a sweep as JSON."""
    return json.dumps(
        {
            "source": estimate.source,
            "workers": workers,
            "trial_seconds": sum(estimate.seconds[trial.cell_id] for trial in trials),
            "wall_seconds": wall_seconds(trials, estimate, workers),
            "cells": dict(estimate.seconds),
        }
    )
