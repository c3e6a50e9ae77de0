"""The rows of the record."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

Row: TypeAlias = Mapping[str, float | None]
"""One measurement: the columns of metrics.parquet without trial_id; None where not measured."""

METRICS = (
    "step",
    "epoch",
    "loss",
    "representation_std",
    "projection_std",
    "effective_rank",
    "projection_effective_rank",
    "alignment",
    "uniformity",
    "positive_cosine",
    "negative_cosine",
    "knn_accuracy",
    "tau",
    "lr",
    "samples_per_second",
)
"""The columns of a measurement. Columns may be added, never renamed."""

LAST_VALUES = (
    "knn_accuracy",
    "loss",
    "representation_std",
    "projection_std",
    "effective_rank",
    "probe_accuracy",
)
"""What the table of trials repeats from a trial's last measurement."""

SAMPLE, WINNER = "search", "winner"
"""The two designs of a search's trials in the tables."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What a worker sends for one measurement."""

    row: Row
    """The columns of METRICS and, if it has one, `probe_accuracy`."""
    spectra: Mapping[str, bytes]
    """Level ("representation", "projection") -> eigenvalues, descending, as little-endian float32."""
    wall_seconds: float
    """Since the start of this attempt."""
    device: str
    """Where it runs."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a trial ended."""

    state: str
    """COMPLETE, PRUNED or FAIL."""
    end_reason: str
    """finished, collapsed, pruned, diverged, error or interrupted."""
    collapsed: bool | None = None
    """The verdict on the representation; None if unknown."""
    projection_collapsed: bool | None = None
    """The verdict on the projection."""
    dimensional_collapse: bool | None = None
    """A healthy std, but a rank near 1."""
    onset_step: int | None = None
    """First step of the collapse that lasted."""
    error: str | None = None
    """What went wrong, as one line."""
    traceback: str | None = None
    """All of it."""
