"""Judging a trial: whether its representation or its projection collapsed, when, and what else went wrong.

Collapse is the loss of spread; whether class information goes with it is measured apart (kNN and probe).
A pure rule over the measured rows, so that anyone can apply it again to the tables alone. Imports no torch.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Row: TypeAlias = Mapping[str, float | None]
"""One measurement: columns of metrics.parquet by name; None where not measured."""


@dataclass(frozen=True, kw_only=True)
class CollapseRule:
    """When an embedding (the representation, or the projection) counts as collapsed."""

    representation_threshold: float = 0.1
    """representation_std below this is collapse: 1 is isotropic, 0 a point."""
    projection_threshold: float = 0.1
    """projection_std below this is collapse of the projection."""
    patience: int = 3
    """Consecutive measurements below the threshold after which a trial may be stopped early."""
    rank_threshold: float = 2.0
    """Effective rank below this, with a healthy std, is dimensional collapse."""
    stop: bool = False
    """Whether a trial ends once its representation has collapsed. Meant for searches: a designed ablation
    that stops trials early measures its cells at unequal steps."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the rule says of one trial."""

    collapsed: bool | None
    """Whether the representation's last std is below its threshold; None if it is unknown or not finite."""
    projection_collapsed: bool | None
    """Whether the projection's last std is below its threshold; None likewise."""
    onset_step: int | None
    """First step of the unbroken run of measurements below the representation's threshold that lasts to the
    end; None if the representation has not collapsed."""
    dimensional_collapse: bool | None
    """Whether the representation has not collapsed but its effective rank is below the threshold; None
    likewise."""
    diverged: bool
    """Whether the loss or the representation was not finite at the last measurement: neither collapse nor
    success."""


def judge(rows: Sequence[Row], rule: CollapseRule) -> Judgement:
    """Judges a trial by its measurements.

    Args:
        rows: the trial's rows of metrics.parquet in order of step; `step`, `loss`, `representation_std`,
            `projection_std` and `effective_rank` are read.
        rule: thresholds.

    >>> columns = {"loss": 1.2, "projection_std": 0.5, "effective_rank": 9.0}
    >>> stds = {0: 0.9, 100: 0.4, 200: 0.06, 300: 0.02}
    >>> rows = [{"step": step, "representation_std": std, **columns} for step, std in stds.items()]
    >>> judgement = judge(rows, CollapseRule())
    >>> judgement.collapsed, judgement.onset_step, judgement.projection_collapsed
    (True, 200, False)
    >>> judge(rows, CollapseRule(representation_threshold=0.01)).collapsed
    False
    """
    if not rows:
        return Judgement(
            collapsed=None,
            projection_collapsed=None,
            onset_step=None,
            dimensional_collapse=None,
            diverged=False,
        )
    last = rows[-1]
    collapsed = _below(last["representation_std"], rule.representation_threshold)
    low_rank = _below(last["effective_rank"], rule.rank_threshold)
    return Judgement(
        collapsed=collapsed,
        projection_collapsed=_below(last["projection_std"], rule.projection_threshold),
        onset_step=onset_step(rows, "representation_std", rule.representation_threshold),
        dimensional_collapse=None if collapsed is None or low_rank is None else low_rank and not collapsed,
        diverged=_is_not_finite(last["loss"]) or _is_not_finite(last["representation_std"]),
    )


def onset_step(rows: Sequence[Row], column: str, threshold: float) -> int | None:
    """First step of the run of measurements below `threshold` that lasts to the end; None without one."""
    onset = None
    for row in reversed(rows):
        if not _below(row[column], threshold):
            break
        onset = int(row["step"] or 0)
    return onset


def should_stop(rows: Sequence[Row], rule: CollapseRule) -> bool:
    """Whether the last `rule.patience` representation_std are all below the threshold."""
    recent = rows[-rule.patience :]
    return len(recent) == rule.patience and all(
        _below(row["representation_std"], rule.representation_threshold) for row in recent
    )


def _is_not_finite(value: float | None) -> bool:
    return value is not None and not math.isfinite(value)  # null is not measured, such as the loss of step 0


def _below(value: float | None, threshold: float) -> bool | None:
    if value is None or not math.isfinite(value):
        return None
    return value < threshold
