"""Writes a made-up sweep whose truth is known, as the tables of docs/result-tables.md.

The truth: the representation collapses where neither encoder nor heads have batch statistics; the
projection also where the heads have none, or where there is neither predictor nor slow target. kNN accuracy
rises from 66 % of an untrained encoder to 74 %, less 7 points for a group-normalised encoder and 8 where the
projection collapsed; where the representation collapsed it falls to 55 %, far above chance, which is 10 %.
Each seed adds a point. Raw pixels reach 70 %.
"""

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

Row = dict[str, Any]

FACTORS: dict[str, list[Any]] = {
    "encoder_norm": ["batch", "group"],
    "head_norm": ["batch", "none"],
    "predictor": ["mlp", "none"],
    "tau_base": [0.99, 0.0],
}
STEPS = tuple(range(0, 101, 10))
DIMENSIONS = 16
"""Length of the spectra."""
START, PIXELS, CHANCE, TEST_IMAGES = 0.66, 0.70, 0.10, 2000
"""kNN accuracy of an untrained encoder and of raw pixels; share of the most frequent class; test images."""
CONTROLS = ("knn_accuracy_start", "knn_accuracy_pixels", "chance", "test_images", "precision")
"""Columns that tables lack which were written before sweeps had controls."""
ONSET = 40
"""First measurement of a collapsing representation below the threshold, for seed 0; then 10 later each."""


def write_sweep(
    directory: Path,
    *,
    factors: Mapping[str, Sequence[Any]] = FACTORS,
    seeds: Sequence[int] = (0, 1, 2),
    design: str = "full-factorial",
    labels: bool = True,
    controls: bool = True,
    edit: Callable[[list[Row], list[Row]], None] | None = None,
    study: Mapping[str, Any] | None = None,
    when: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    """Writes all files of a sweep directory and returns it.

    Args:
        directory: where; made if needed.
        factors: name -> levels. The truth speaks of the names in FACTORS, and takes others as harmless.
        seeds: replicates.
        design: the kind; leave-one-out writes only its cells.
        labels: whether kNN accuracies are there.
        controls: whether the columns in CONTROLS are there.
        edit: called with the rows of trials and metrics, to change them in place before they are written.
        study: keys of study.yaml to replace.
        when: conditional factor -> earlier factor -> the level at which it applies; elsewhere it is null.
    """
    directory.mkdir(parents=True, exist_ok=True)
    trials: list[Row] = []
    metrics: list[Row] = []
    spectra: list[Row] = []
    for seed in seeds:
        for cell in _cells(factors, design, when or {}):
            rng = np.random.default_rng([seed, *map(ord, str(sorted(cell.items())))])
            trial = f"{abs(hash_of(cell)):08x}-{seed}"
            rows = _measurements(cell, seed, rng, labels)
            trials.append(_trial(trial, cell, seed, design, rows) | (_controls(rows) if controls else {}))
            metrics += [{"trial_id": trial, **row} for row in rows]
            spectra += _spectra(trial, rows)
    if edit is not None:
        edit(trials, metrics)
    for name, rows in (("trials", trials), ("metrics", metrics), ("spectra", spectra)):
        pd.DataFrame(rows).to_parquet(directory / f"{name}.parquet", compression="zstd")
    _documents(directory, factors, seeds, design, study or {})
    return directory


def hash_of(cell: Mapping[str, Any]) -> int:
    """A number for a cell that is the same in every process."""
    return int(np.random.default_rng([ord(letter) for letter in repr(sorted(cell.items()))]).integers(2**31))


def collapses(cell: Mapping[str, Any]) -> bool:
    """The truth about the representation."""
    return bool(cell.get("encoder_norm") == "group" and cell.get("head_norm") == "none")


def projection_collapses(cell: Mapping[str, Any]) -> bool:
    """The truth about the projection."""
    return cell.get("head_norm") == "none" or (cell.get("predictor") == "none" and cell.get("tau_base") == 0)


def knn(cell: Mapping[str, Any]) -> float:
    """The mean kNN accuracy of a cell at the end."""
    if collapses(cell):
        return 0.55
    grouped = 0.07 if cell.get("encoder_norm") == "group" else 0.0
    flat = 0.08 if projection_collapses(cell) else 0.0
    return 0.74 - grouped - flat


def _cells(
    factors: Mapping[str, Sequence[Any]], design: str, when: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    cells: dict[str, dict[str, Any]] = {}
    for labels in itertools.product(*factors.values()):
        cell = dict(zip(factors, labels, strict=True))
        for name, conditions in when.items():
            if any(cell[other] != level for other, level in conditions.items()):
                cell[name] = None
        cells[repr(cell)] = cell
    if design != "leave-one-out":
        return list(cells.values())
    return [
        cell
        for cell in cells.values()
        if sum(cell[name] not in (factors[name][0], None) for name in factors) <= 1
    ]


def _curve(start: float, end: float, onset: int, step: int) -> float:
    """Falls from start to end, passing 0.1 just before the onset; healthy if it does not fall."""
    if end > 0.1:
        return start + (end - start) * step / STEPS[-1]
    return (
        start * (0.09 / start) ** (step / onset)
        if step < onset
        else end + (0.09 - end) * math.exp((onset - step) / 20)
    )


def _measurements(
    cell: Mapping[str, Any], seed: int, rng: np.random.Generator, labels: bool
) -> list[dict[str, Any]]:
    shift, onset = 0.01 * seed, ONSET + 10 * (seed % 4)
    last_std = 0.004 if collapses(cell) else 0.8
    last_projection_std = 0.02 if projection_collapses(cell) else 0.85
    rows = []
    for step in STEPS:
        spread = _curve(0.55, last_std, onset, step) * (1 + 0.02 * rng.standard_normal())
        projected = _curve(0.8, last_projection_std, onset - 10, step) * (1 + 0.02 * rng.standard_normal())
        mean = START + (knn(cell) - START) * step / STEPS[-1]
        accuracy = mean + shift + 0.004 * rng.standard_normal()
        loss = 4 * (0.02 + 0.98 * projected) * np.exp(-step / 60) if step else np.nan
        rows.append(
            {
                "step": step,
                "epoch": step / 31,
                "loss": loss,
                "representation_std": spread,
                "projection_std": projected,
                "effective_rank": 1 + 12 * spread,
                "projection_effective_rank": 1 + 14 * projected,
                "alignment": 0.2 * spread,
                "uniformity": -3 * spread,
                "positive_cosine": 1 - 0.1 * spread,
                "negative_cosine": 1 - spread,
                "knn_accuracy": accuracy if labels and step % 50 == 0 else np.nan,
                "tau": 0.99,
                "lr": 0.1,
                "samples_per_second": 3000.0,
            }
        )
    return rows


def _trial(
    trial: str, cell: Mapping[str, Any], seed: int, design: str, rows: list[dict[str, Any]]
) -> dict[str, Any]:
    last, collapsed = rows[-1], collapses(cell)
    below = [row["step"] for row in rows if row["representation_std"] < 0.1]
    return {
        "trial_id": trial,
        "cell_id": trial[:8],
        "seed": seed,
        "design": design,
        "state": "COMPLETE",
        "end_reason": "finished",
        "attempt": 1,
        "collapsed": collapsed,
        "projection_collapsed": projection_collapses(cell),
        "dimensional_collapse": False,
        "onset_step": below[0] if collapsed else None,
        "steps_run": STEPS[-1],
        "steps_planned": STEPS[-1],
        **{key: last[key] for key in ("knn_accuracy", "loss", "representation_std", "projection_std")},
        "effective_rank": last["effective_rank"],
        "probe_accuracy": None,
        "wall_seconds": 7.5,
        "device": "cpu",
        "error": None,
        **{f"f_{name}": level for name, level in cell.items()},
    }


def _controls(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the accuracies of a trial are compared with; null without labels, but for the precision."""
    start = rows[0]["knn_accuracy"]
    known = (start, PIXELS, CHANCE, TEST_IMAGES) if start == start else (None,) * 4
    return dict(zip(CONTROLS, (*known, "fp32"), strict=True))


def _spectra(trial: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    index = np.arange(DIMENSIONS)
    return [
        {
            "trial_id": trial,
            "step": row["step"],
            "level": level,
            "eigenvalues": (row[f"{level}_std"] ** 2 * np.exp(-index / 4) / 4).astype(np.float32),
        }
        for row in rows
        for level in ("representation", "projection")
    ]


def sink_spectra(directory: Path) -> None:
    """Lets every second spectrum of a sweep sink towards a point, by 18 decades."""
    path = directory / "spectra.parquet"
    spectra = pd.read_parquet(path)
    spectra["eigenvalues"] = [
        values * np.float32(1e-18) if row % 2 else values for row, values in enumerate(spectra["eigenvalues"])
    ]
    spectra.to_parquet(path, index=False)


def _documents(
    directory: Path,
    factors: Mapping[str, Sequence[Any]],
    seeds: Sequence[int],
    design: str,
    replaced: Mapping[str, Any],
) -> None:
    levels = {
        name: [{"label": label, "settings": {name: label}} for label in labels]
        for name, labels in factors.items()
    }
    study = {
        "name": "made-up",
        "title": "What keeps a small BYOL from collapsing",
        "question": "Which of batch statistics, the predictor and the slow target does a small BYOL need?",
        "source": "Grill et al. 2020; Richemond et al. 2020",
        "expected": "Without batch statistics everything collapses; with them nothing does.",
        "reference": {"preset": "byol", "dataset": "fashion-mnist-8k"},
        "factors": [{"name": name, "levels": entries} for name, entries in levels.items()],
        "design": {"kind": design, "listed": [], "exclude": []},
        "seeds": list(seeds),
        "resources": {"cpu": 1, "gpu": 0},
        "collapse": {
            "representation_threshold": 0.1,
            "projection_threshold": 0.1,
            "patience": 3,
            "stop": False,
        },
        **replaced,
    }
    manifest = {
        "created": "2026-11-01T10:00:00+00:00",
        "updated": "2026-11-01T10:03:00+00:00",
        "command": "run_sweep.py run made-up --out runs/made-up",
        "versions": {"python": "3.11.9", "torch": "2.15.0", "ray": "2.60.0"},
        "git": {"commit": "0123456789abcdef", "clean": True},
        "hardware": {"cpu": "2 cores", "gpu": None},
        "precision": "fp32",
        "data": {"name": "fashion-mnist-8k", "digest": "aa" * 32},
        "study": "made-up",
        "wall_seconds": 180.0,
        "drivers": ["host-1"],
    }
    (directory / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    (directory / "manifest.json").write_text(json.dumps(manifest))


def unfinished(after: int) -> Callable[[list[Row], list[Row]], None]:
    """An edit that makes all trials but the first `after` wait."""

    def edit(trials: list[Row], metrics: list[Row]) -> None:
        planned = ("trial_id", "cell_id", "seed", "design", "steps_planned")
        for row in trials[after:]:
            for name in row:
                if name not in planned and not name.startswith("f_"):
                    row[name] = None
            row.update(state="WAITING", steps_run=0)
        waiting = {row["trial_id"] for row in trials[after:]}
        metrics[:] = [row for row in metrics if row["trial_id"] not in waiting]

    return edit


def with_reference(**columns: Sequence[float | None]) -> Callable[[list[Row], list[Row]], None]:
    """An edit that gives the reference's trials these values: column -> a value per seed, from seed 0."""

    def edit(trials: list[Row], metrics: list[Row]) -> None:
        reference = [row for row in trials if row["cell_id"] == trials[0]["cell_id"]]
        for row in reference:
            row.update({name: values[row["seed"]] for name, values in columns.items()})

    return edit
