"""Writes what was measured as the tables of a sweep, from which the report is built as from any others."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from byol.files import write_text
from sweeps import files
from sweeps.errors import DirectoryError
from sweeps.measured.trials import RULE, MeasuredTrial
from sweeps.record.manifest import versions_line
from sweeps.record.result_digests import RESULTS, TABLES
from sweeps.record.rows import LAST_VALUES, MEASURED, EndReason, TrialState
from sweeps.record.tables import write_rows

_MADE = frozenset((files.STUDY, files.RESULT_DIGESTS, *TABLES, *RESULTS))


def check_target(out: Path) -> None:
    """Checks that `out` is free, or holds what was measured before. Changes nothing.

    Raises:
        DirectoryError: it is a file, or holds something else.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise DirectoryError(f"{out}: must be a directory, but is a file")
    foreign = sorted(one.name for one in out.iterdir() if one.name not in _MADE)
    if foreign:
        raise DirectoryError(f"{out}: must be empty or hold what `measure` wrote, but has {foreign[0]}")
    study = out / files.STUDY
    if not any(out.iterdir()):
        return
    try:
        document = yaml.safe_load(study.read_text(encoding="utf-8")) if study.exists() else None
    except (ValueError, yaml.YAMLError):
        document = None
    design = document.get("design") if isinstance(document, Mapping) else None
    if design != {"kind": MEASURED}:
        raise DirectoryError(f"{out}: must be empty or hold what `measure` wrote, but holds other results")


def write_tables(trials: Sequence[MeasuredTrial], out: Path, *, neighbours: int) -> None:
    """Writes study.yaml and the three tables to `out`, which it creates.

    Raises:
        OSError: it cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    document = {
        "name": out.resolve().name,
        "title": "Embeddings from elsewhere",
        "question": "Have these embeddings collapsed?",
        "design": {"kind": MEASURED},
        "collapse": {name: value for name, value in asdict(RULE).items() if name.endswith("_threshold")},
        "measured": {
            "knn_k": neighbours,
            "files": {trial.trial_id: [str(path) for _, path in trial.source.files] for trial in trials},
        },
    }
    write_rows(
        out,
        trials=[_trial(trial) for trial in trials],
        metrics=[{"trial_id": trial.trial_id, **row} for trial in trials for row in trial.rows()],
        spectra=[
            {"trial_id": trial.trial_id, "step": step, "level": level, "eigenvalues": spectrum}
            for trial in trials
            for (step, _), one in zip(trial.source.files, trial.measured, strict=True)
            for level, spectrum in one.spectra.items()
        ],
    )
    write_text(out / files.STUDY, yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


def _trial(trial: MeasuredTrial) -> dict[str, Any]:
    """Its row of trials.parquet. What only a training knows is null."""
    judgement, last, rows = trial.judgement, trial.last, trial.rows()
    first = rows[0] if trial.source.is_series and rows[0]["step"] == 0 else {}
    return {
        **{name: rows[-1].get(name) for name in LAST_VALUES},
        "trial_id": trial.trial_id,
        "seed": 0,
        "cell_id": trial.trial_id,
        "design": MEASURED,
        "state": TrialState.COMPLETE,
        "end_reason": EndReason.DIVERGED if judgement.diverged else EndReason.FINISHED,
        "collapsed": judgement.collapsed,
        "projection_collapsed": judgement.projection_collapsed,
        "dimensional_collapse": judgement.dimensional_collapse,
        "onset_step": judgement.onset_step,
        "steps_run": rows[-1]["step"] if trial.source.is_series else None,
        "knn_accuracy_start": _finite(first.get("knn_accuracy")),
        "chance": last.chance,
        "test_images": last.queries,
        "versions": versions_line(),
        "note": "; ".join((*trial.reasons, *trial.notes)) or None,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
