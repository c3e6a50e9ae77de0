"""What the record holds, as types: a trial, one of its measurements, how it ended, facts about the sweep."""

import dataclasses
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from analysis.states import EndReason as EndReason
from analysis.states import TrialState as TrialState
from byol.config import Scalar
from sweeps.study.designs import Labels, Trial


class Fact(StrEnum):
    """Keys of facts about the sweep as a whole; each data set's digest has a key of its own beside them."""

    STUDY = "study"
    """The study's name."""
    COLLAPSE = "collapse"
    """The collapse rule, as JSON."""
    SEARCH = "search"
    """What must stay as it is in a search, as JSON; empty for a design."""
    STORAGE = "storage"
    """URI of the store."""
    PLANNED = "planned"
    """How many trials there will be, where a search has yet to draw some."""
    SETTLED = "settled"
    """Up to how many samples and with which seeds a search is complete, as JSON."""
    DRIVERS = "drivers"
    """Ids of the drivers that wrote to the ledger, in order, separated by blanks."""
    PLAN = "plan"
    """What was expected of the sweep when it started, as JSON."""


SAMPLE, WINNER = "search", "winner"
"""The column `design` of a search's samples, and of the winner's trials on fresh seeds."""

LAST_VALUES = (
    "knn_accuracy",
    "loss",
    "representation_std",
    "projection_std",
    "effective_rank",
    "probe_accuracy",
)
"""What the table of trials repeats from a trial's last measurement."""


@dataclass(frozen=True, kw_only=True)
class MetricsRow:
    """A row of metrics.parquet without its trial_id; `byol.measure.metrics` says what the fields mean."""

    step: int
    epoch: float | None
    loss: float | None
    representation_std: float | None
    projection_std: float | None
    effective_rank: float | None
    projection_effective_rank: float | None
    alignment: float | None
    uniformity: float | None
    positive_cosine: float | None
    negative_cosine: float | None
    knn_accuracy: float | None
    """None where it was not measured."""
    tau: float | None
    lr: float | None
    samples_per_second: float | None


METRICS = tuple(field.name for field in dataclasses.fields(MetricsRow))
"""The columns of a measurement. Columns may be added, never renamed."""


@dataclass(frozen=True, kw_only=True)
class Measurement(MetricsRow):
    """What a worker sends for one measurement."""

    probe_accuracy: float | None = None
    """Measured at the end only, and kept in the table of trials only."""
    spectra: Mapping[str, bytes]
    """Level ("representation", "projection") -> eigenvalues, descending, as little-endian float32."""
    wall_seconds: float
    """Since the start of this attempt."""
    device: str
    """Where it runs."""

    @classmethod
    def of(cls, metrics: Any, *, wall_seconds: float, device: str) -> "Measurement":
        """A measurement as the learner yields it: `byol.measure.metrics.Metrics`, or its like."""
        return cls(
            **{name: getattr(metrics, name) for name in METRICS},
            probe_accuracy=metrics.probe_accuracy,
            spectra={
                level: getattr(metrics, f"{level}_spectrum").astype("<f4").tobytes()
                for level in ("representation", "projection")
            },
            wall_seconds=wall_seconds,
            device=device,
        )

    def to_report(self) -> dict[str, Any]:
        """The measurement as Ray carries it: its fields by name. `from_report` is the way back."""
        return dict(vars(self))

    @classmethod
    def from_report(cls, report: Mapping[str, Any]) -> "Measurement":
        """The measurement in a report, to which Ray has added fields of its own."""
        return cls(**{field.name: report[field.name] for field in dataclasses.fields(cls)})


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How an attempt at a trial ended."""

    state: TrialState
    """COMPLETE, PRUNED or FAIL; WAITING for one that is put back."""
    end_reason: EndReason
    """Why."""
    collapsed: bool | None = None
    """Whether the representation collapsed; None if unknown."""
    projection_collapsed: bool | None = None
    """Whether the projection did."""
    dimensional_collapse: bool | None = None
    """A healthy std, but a rank near 1."""
    onset_step: int | None = None
    """First step of the collapse that lasted."""
    error: str | None = None
    """What went wrong, as one line."""
    traceback: str | None = None
    """All of it."""


@dataclass(frozen=True, kw_only=True)
class TrialRow:
    """A planned trial and what became of it, as the ledger holds it."""

    number: int
    """The ledger's own key of the trial."""
    trial_id: str
    position: int
    """Place in the order in which trials run."""
    design: str
    """Kind of the design, SAMPLE or WINNER."""
    cell_id: str
    seed: int
    labels_json: str
    """The level of each factor, as JSON."""
    settings_json: str
    """The complete configuration, as JSON."""
    steps_planned: int
    state: TrialState
    attempt: int
    """How often the trial has been started."""
    end_reason: EndReason | None
    """None while it waits for its first attempt or runs."""
    collapsed: bool | None
    projection_collapsed: bool | None
    dimensional_collapse: bool | None
    onset_step: int | None
    steps_run: int
    """The last step that was measured."""
    knn_accuracy: float | None
    loss: float | None
    representation_std: float | None
    projection_std: float | None
    effective_rank: float | None
    probe_accuracy: float | None
    wall_seconds: float | None
    """Of all attempts; None if none has measured anything."""
    seconds_before: float
    """Those of the attempts before the latest."""
    device: str | None
    error: str | None
    """What went wrong, as one line."""
    traceback: str | None
    """All of it."""

    @functools.cached_property
    def labels(self) -> Labels:
        """The level of each factor that applies."""
        return dict(json.loads(self.labels_json))

    @functools.cached_property
    def settings(self) -> Mapping[str, Scalar]:
        """The complete canonical configuration."""
        return dict(json.loads(self.settings_json))

    @property
    def trial(self) -> Trial:
        """The trial as it was planned."""
        return Trial(
            trial_id=self.trial_id,
            cell_id=self.cell_id,
            seed=self.seed,
            labels=self.labels,
            settings=self.settings,
        )

    @property
    def has_ended(self) -> bool:
        """Whether it has come to an end that only `--retry-failed` would repeat."""
        pending = self.state in (TrialState.WAITING, TrialState.RUNNING)
        return not pending and self.end_reason != EndReason.INTERRUPTED

    def value(self, column: str) -> float | None:
        """A column of numbers: one of LAST_VALUES, or `wall_seconds`."""
        value: float | None = getattr(self, column)
        return value
