"""What the reference's kNN accuracy is compared with: its own untrained encoder, raw pixels, and chance.

A learner that has not risen above its own start has not learned, and then a difference in accuracy between
cells says nothing about what a component is worth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, auto

import numpy as np

from analysis.cells import Cell, cells_of, reference_of, values_by_seed
from analysis.results import StudyResults
from analysis.stats import Floats, Mean, paired_difference


class Side(StrEnum):
    """On which side of zero a mean difference lies, by its interval."""

    ABOVE = auto()
    BELOW = auto()
    EITHER = auto()
    """The interval covers zero."""
    UNKNOWN = auto()
    """There is no interval, or no difference."""


@dataclass(frozen=True, kw_only=True)
class Gain:
    """How far the kNN accuracy of trained encoders lies above a control's."""

    control: float
    """The control's mean, over the seeds of the difference."""
    difference: Mean
    """Trained minus control, paired by seed."""
    differences: Floats
    """The same by seed. Shape [seeds with both]."""

    @property
    def side(self) -> Side:
        """On which side of the control the trained encoders lie."""
        interval = self.difference.interval
        if interval is None:
            return Side.UNKNOWN
        return Side.ABOVE if interval.low > 0 else Side.BELOW if interval.high < 0 else Side.EITHER


@dataclass(frozen=True, kw_only=True)
class Learning:
    """What training did to the reference's kNN accuracy."""

    has_accuracy: bool
    """Whether any of its trials that ran to their planned end has a kNN accuracy."""
    over_start: Gain | None
    """Over its own untrained encoder; None where no seed has both."""
    over_pixels: Gain | None
    """Over raw pixels of the same data; None where no seed has both."""

    @property
    def side(self) -> Side:
        """ABOVE: it learned. BELOW: it did not. EITHER: it is not shown to have learned."""
        return self.over_start.side if self.over_start else Side.UNKNOWN

    @property
    def is_missing(self) -> bool:
        """Whether it could be seen and was not: effects on accuracy are then not interpretable."""
        return self.side in (Side.BELOW, Side.EITHER)


def learning(cells: Sequence[Cell], seeds: Sequence[int]) -> Learning | None:
    """Whether the reference learned, over the seeds; None without a reference that has results."""
    reference = reference_of(cells)
    if reference is None or not reference.judged:
        return None
    return Learning(
        has_accuracy=bool(len(reference.values("knn_accuracy"))),
        over_start=gain(reference, seeds, "knn_accuracy_start"),
        over_pixels=gain(reference, seeds, "knn_accuracy_pixels"),
    )


def gain(cell: Cell, seeds: Sequence[int], column: str) -> Gain | None:
    """How far a cell's kNN accuracy lies above the control in a column; None where no seed has both."""
    (trained,), (control,) = (values_by_seed([cell], seeds, name) for name in ("knn_accuracy", column))
    both = ~np.isnan(trained - control)
    if not both.any():
        return None
    return Gain(
        control=float(control[both].mean()),
        difference=paired_difference(control, trained),
        differences=trained[both] - control[both],
    )


class Control(StrEnum):
    """What accuracies are compared with. The values are columns of the table of trials."""

    CHANCE = "chance"
    PIXELS = "knn_accuracy_pixels"
    START = "knn_accuracy_start"


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A control's value in a study."""

    control: Control
    value: float
    """The reference's: the same in all its trials, or their mean for its own untrained encoders."""
    differs: bool
    """Whether trials of other cells have another value, for they have other data."""


def baselines(study: StudyResults) -> tuple[Baseline, ...]:
    """The controls with a value, in the order of Control. A study without a reference has those that all its
    trials share."""
    reference = reference_of(cells_of(study))
    rows = study.trials if reference is None else reference.trials
    result = []
    for control in Control:
        values = rows[control].dropna()
        differs = control is not Control.START and study.trials[control].nunique() > 1
        if len(values) and (reference is not None or not (differs or control is Control.START)):
            result.append(Baseline(control=control, value=float(values.mean()), differs=differs))
    return tuple(result)
