"""The verdict on a trial: which of its two levels collapsed, when, and what else went wrong.

A pure rule over the measured rows, so that anyone can repeat it from the tables alone. It imports no torch.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class CollapseRule:
    """When a level counts as collapsed."""

    representation_threshold: float = 0.1
    """representation_std below this is collapse: 1 is isotropic, 0 a point."""
    projection_threshold: float = 0.1
    """The same for projection_std."""
    patience: int = 3
    """Measurements in a row below the threshold after which a trial may be stopped early."""
    rank_threshold: float = 2.0
    """Effective rank below this, with a healthy std, is dimensional collapse."""
    stop: bool = False
    """Whether a trial ends once its representation has collapsed. For searches; a designed ablation that
    stops early measures its cells at unequal steps."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What became of one trial."""

    collapsed: bool | None
    """The representation's last std is below its threshold; None if it was never measured."""
    projection_collapsed: bool | None
    """The same for the projection."""
    onset_step: int | None
    """First step of the last unbroken run of measurements below the representation's threshold."""
    dimensional_collapse: bool | None
    """The representation's std is healthy but its effective rank is below the threshold."""
    diverged: bool
    """The loss, or an embedding, was not finite at the last measurement. Neither collapse nor success."""


def judge(rows: Sequence[Mapping[str, float | None]], rule: CollapseRule) -> Judgement:
    """Judges a trial by its measurements.

    Args:
        rows: the trial's rows of metrics.parquet in order of step; `step`, `loss`, `representation_std`,
            `projection_std` and `effective_rank` are read.
        rule: thresholds.
    """
    if not rows:
        nothing: dict[str, None] = dict.fromkeys(
            ("collapsed", "projection_collapsed", "onset_step", "dimensional_collapse")
        )
        return Judgement(**nothing, diverged=False)
    last = rows[-1]
    loss, std = last["loss"], last["representation_std"]
    # The loss of step 0 is not known yet: it is null, which is no divergence.
    diverged = (loss is not None and not math.isfinite(loss)) or (std is not None and not math.isfinite(std))
    collapsed = _below(std, rule.representation_threshold)
    onset = onset_step(rows, "representation_std", rule.representation_threshold)
    rank_low = _below(last["effective_rank"], rule.rank_threshold)
    return Judgement(
        collapsed=collapsed,
        projection_collapsed=_below(last["projection_std"], rule.projection_threshold),
        onset_step=onset,
        dimensional_collapse=None if collapsed is None or rank_low is None else rank_low and not collapsed,
        diverged=diverged,
    )


def onset_step(rows: Sequence[Mapping[str, float | None]], column: str, threshold: float) -> int | None:
    """The first step of the run of measurements below `threshold` that lasts to the end; None without one."""
    onset = None
    for row in reversed(rows):
        if not _below(row[column], threshold):
            break
        onset = int(row["step"] or 0)
    return onset


def should_stop(rows: Sequence[Mapping[str, float | None]], rule: CollapseRule) -> bool:
    """Whether the last `rule.patience` representation_std are all below the threshold."""
    recent = rows[-rule.patience :]
    return len(recent) == rule.patience and all(
        _below(row["representation_std"], rule.representation_threshold) for row in recent
    )


def _below(value: float | None, threshold: float) -> bool | None:
    if value is None or not math.isfinite(value):
        return None
    return value < threshold
