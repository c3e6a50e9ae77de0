"""What was measured, as lines for a terminal and as JSON."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from byol.errors import plural, shortened
from byol.measure.embeddings import Measured
from sweeps.measured.trials import RULE, MeasuredTrial


def as_lines(trials: Sequence[MeasuredTrial]) -> Iterator[str]:
    """The thresholds; then a verdict for each trial, and under it the numbers of each of its files."""
    yield (
        f"Collapsed is a std below {RULE.representation_threshold:g} (1 is isotropic, 0 a point); "
        f"dimensional collapse is an effective rank below {RULE.rank_threshold:g} without that."
    )
    for trial in trials:
        yield f"{shortened(trial.source.name, 200)}: {verdict(trial)}"
        for (step, path), one in zip(trial.source.files, trial.measured, strict=True):
            yield f"  {_place(trial, step, path)}: {_numbers(one)}"
        yield from (f"  because: {reason}" for reason in trial.reasons)
        yield from (f"  note: {note}" for note in trial.notes)


def verdict(trial: MeasuredTrial) -> str:
    """The judgement in words."""
    judgement = trial.judgement
    if judgement.diverged:
        return "not finite, which is neither collapse nor the absence of it"
    if judgement.collapsed is None:
        return "cannot be told"
    words = "collapsed" if judgement.collapsed else "not collapsed"
    if judgement.collapsed and judgement.onset_step is not None:
        words += f", from step {judgement.onset_step:,} on"
    if judgement.dimensional_collapse:
        words = "dimensional collapse: the spread lies along hardly more than one direction"
    if judgement.projection_collapsed is not None:
        words += f"; projection {'collapsed' if judgement.projection_collapsed else 'not collapsed'}"
    return words


def _place(trial: MeasuredTrial, step: int, path: Path) -> str:
    return f"step {step:,}" if trial.source.is_series else shortened(str(path), 200)


def _numbers(one: Measured) -> str:
    values, sample = one.values, one.sample
    parts = [
        f"{plural(sample.rows, 'row')} of {plural(sample.dimensions, 'dimension')}",
        f"std {values['representation_std']:.3g}",
        f"effective rank {values['effective_rank']:.1f} of at most {min(sample.rows, sample.dimensions):,}",
    ]
    if "projection_std" in values:
        parts.append(f"projection std {values['projection_std']:.3g}")
    if one.queries is not None:
        parts.append(
            f"kNN {values['knn_accuracy']:.1%} of {plural(one.queries, 'row')} (leave-one-out, "
            f"k {one.neighbours}), chance {one.chance:.1%}"
        )
    return ", ".join(parts)


def as_data(trials: Sequence[MeasuredTrial]) -> dict[str, Any]:
    """The same as plain data for JSON: null for what is not known or not finite."""
    return {
        "thresholds": {
            "representation_std": RULE.representation_threshold,
            "projection_std": RULE.projection_threshold,
            "effective_rank": RULE.rank_threshold,
        },
        "trials": [_trial(trial) for trial in trials],
    }


def _trial(trial: MeasuredTrial) -> dict[str, Any]:
    judgement = trial.judgement
    return {
        "name": trial.source.name,
        "trial_id": trial.trial_id,
        "verdict": verdict(trial),
        "collapsed": judgement.collapsed,
        "projection_collapsed": judgement.projection_collapsed,
        "dimensional_collapse": judgement.dimensional_collapse,
        "diverged": judgement.diverged,
        "onset_step": judgement.onset_step,
        "reasons": list(trial.reasons),
        "notes": list(trial.notes),
        "measurements": [
            {
                "step": step if trial.source.is_series else None,
                "file": str(path),
                "rows": one.sample.rows,
                "dimensions": one.sample.dimensions,
                "different_rows": one.sample.different,
                "chance": one.chance,
                "knn_queries": one.queries,
                "knn_k": one.neighbours,
                **{name: value if math.isfinite(value) else None for name, value in one.values.items()},
            }
            for (step, path), one in zip(trial.source.files, trial.measured, strict=True)
        ],
    }
