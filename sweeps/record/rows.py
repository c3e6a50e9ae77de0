"""Types of the record: a trial, a measurement, how a trial ended, facts about the sweep."""

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from analysis.states import MEASURED as MEASURED
from analysis.states import SAMPLE as SAMPLE
from analysis.states import WINNER as WINNER
from analysis.states import EndReason as EndReason
from analysis.states import TrialState as TrialState
from byol.config import Scalar
from byol.own_parts import called
from sweeps.study.designs import Labels, Trial


class Fact(StrEnum):
    """Keys of facts about the sweep as a whole. The key of a data set's digest is its description."""

    STUDY = "study"
    """The study's name."""
    COLLAPSE = "collapse"
    """The collapse rule, as JSON."""
    SEARCH = "search"
    """The parts of a search that must not change, as JSON; empty for a design."""
    SEQUENCE = "sequence"
    """The least and the most seeds of a sequence, as JSON; empty for any other study."""
    STORAGE = "storage"
    """URI of the store."""
    PLANNED = "planned"
    """How many trials there will be, if a search has yet to draw some."""
    SETTLED = "settled"
    """For what the sweep is complete, as JSON: a search's number of samples and seeds; of a sequence, its
    seeds."""
    DRIVERS = "drivers"
    """Ids of the drivers that wrote to the ledger, in order, separated by spaces."""
    PRECISION = "precision"
    """What `precision: auto` means in this sweep: fp32 or bf16, as the first driver's machine decided."""
    BASELINES = "baselines"
    """What the kNN accuracy of each data set is compared with, as JSON: see `Baselines`."""
    PACK = "pack"
    """The most trials that a worker of the latest run has in turns."""
    PLAN = "plan"
    """The expected times when the sweep started, as JSON."""
    STUDY_FILE = "study.yaml"
    """What study.yaml says. Ledgers of earlier versions lack it."""
    MANIFEST = "manifest.json"
    """What manifest.json says. Ledgers of earlier versions lack it."""
    TABLES = "tables"
    """SHA-256 of the tables that a driver wrote last, as JSON: name -> digest; and of those before them."""
    CODE = "code"
    """The code of the latest driver, as JSON: its digest, commit, and whether it was clean."""
    VERSIONS = "versions"
    """The versions of the latest driver, as JSON: package -> version."""


LAST_VALUES = (
    "knn_accuracy",
    "loss",
    "representation_std",
    "projection_std",
    "effective_rank",
    "probe_accuracy",
    "rankme",
    "stable_rank",
    "lidar",
    "projection_lidar",
)
"""Columns of the table of trials that repeat the trial's last measurement."""


@dataclass(frozen=True, kw_only=True)
class MetricsRow:
    """A row of metrics.parquet without its trial_id; `byol.measure.metrics` defines the fields."""

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
    # Version 0.2.0 did not measure what follows; of its trials it is None.
    rankme: float | None = None
    projection_rankme: float | None = None
    stable_rank: float | None = None
    projection_stable_rank: float | None = None
    representation_positive_cosine: float | None = None
    representation_negative_cosine: float | None = None
    representation_std_min: float | None = None
    representation_std_median: float | None = None
    representation_std_max: float | None = None
    projection_std_min: float | None = None
    projection_std_median: float | None = None
    projection_std_max: float | None = None


METRICS = tuple(field.name for field in dataclasses.fields(MetricsRow))
"""The columns of a measurement. Columns may be added at the end, never renamed."""


AT_THE_END = ("probe_accuracy", "lidar", "projection_lidar")
"""What is measured at a trial's last step alone."""


@dataclass(frozen=True, kw_only=True)
class Measurement(MetricsRow):
    """One measurement, as a worker reports it."""

    probe_accuracy: float | None = None
    """Measured only at the end, and kept only in the table of trials."""
    lidar: float | None = None
    """Likewise."""
    projection_lidar: float | None = None
    """Likewise."""
    own: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Values of the metrics of the user's own, by column."""
    spectra: Mapping[str, bytes]
    """Level ("representation", "projection") -> eigenvalues, descending, as little-endian float32."""
    wall_seconds: float
    """Seconds since the start of this attempt; in a pack, those of the trial's own turns."""
    device: str
    """The accelerator that the trial runs on, or cpu."""
    commit: str | None = None
    """Commit of the driver's code; None if unknown."""
    clean: bool | None = None
    """Whether that code was as committed; None if unknown."""
    versions: str | None = None
    """Versions of Python and packages in the worker's process, as one line; None if unknown."""
    code: str | None = None
    """Digest of the learner's sources in the worker's process; None if unknown."""
    data_digest: str | None = None
    """Digest of the data that the trial trains on; None if unknown."""

    @classmethod
    def of(
        cls,
        metrics: Any,
        *,
        wall_seconds: float,
        device: str,
        commit: str | None = None,
        clean: bool | None = None,
        versions: str | None = None,
        code: str | None = None,
        data_digest: str | None = None,
    ) -> "Measurement":
        """Converts what a trainer yields: `byol.measure.metrics.Metrics`, or an object with its fields."""
        return cls(
            **{name: getattr(metrics, name) for name in METRICS},
            **{name: getattr(metrics, name) for name in AT_THE_END},
            own=dict(metrics.own),
            spectra={
                level: getattr(metrics, f"{level}_spectrum").astype("<f4").tobytes()
                for level in ("representation", "projection")
            },
            wall_seconds=wall_seconds,
            device=device,
            commit=commit,
            clean=clean,
            versions=versions,
            code=code,
            data_digest=data_digest,
        )

    def to_report(self) -> dict[str, Any]:
        """Returns the fields by name, as Ray carries them. `from_report` is the inverse."""
        return dict(vars(self))

    @classmethod
    def from_report(cls, report: Mapping[str, Any]) -> "Measurement":
        """Returns the measurement in a report, which also has Ray's fields."""
        names = (field.name for field in dataclasses.fields(cls))
        return cls(**{name: report[name] for name in names if name in report})


@dataclass(frozen=True, kw_only=True)
class Baselines:
    """What the kNN accuracy on one data set is compared with. Alike for all trials with the same `key`."""

    pixels: float | None
    """kNN accuracy of raw pixels at the trial's image size, 0..1; None without labels."""
    chance: float | None
    """Accuracy of always guessing the most frequent class, 0..1; None without labels."""
    test_images: int
    """Number of test images, on which the interval of every accuracy depends."""

    @staticmethod
    def key(settings: Mapping[str, Scalar], digest: str | None = None) -> str:
        """Data set, number of training images, image size, neighbours and temperature, as JSON.

        With the digest of the data only if the sweep has gone on with other data since.
        """
        names = ("train_images", "image_size", "knn_k", "knn_temperature")
        values = [called("dataset", settings), *(settings[name] for name in names)]
        return json.dumps([*values, *([digest] if digest else [])])


def data_of(settings: Mapping[str, Scalar]) -> str:
    """Describes the data set that a trial with these complete settings trains on."""
    train_images, image_size = int(settings["train_images"]), int(settings["image_size"])
    return describe_data(called("dataset", settings), train_images, image_size)


def describe_data(dataset: str, train_images: int, image_size: int) -> str:
    """Describes a data set in words: the key of its digest among the facts."""
    return f"{dataset}, {train_images or 'all'} training images, {image_size} pixels"


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How an attempt at a trial ended."""

    state: TrialState
    """COMPLETE, PRUNED or FAIL; WAITING if it will be tried again."""
    end_reason: EndReason
    """Why it ended."""
    collapsed: bool | None = None
    """Whether the representation collapsed; None if unknown."""
    projection_collapsed: bool | None = None
    """Whether the projection collapsed; None if unknown."""
    dimensional_collapse: bool | None = None
    """Whether the std is healthy but the rank near 1; None if unknown."""
    onset_step: int | None = None
    """First step of the collapse that lasted to the end."""
    error: str | None = None
    """The error, as one line."""
    traceback: str | None = None
    """The full traceback."""


@dataclass(frozen=True, kw_only=True)
class TrialRow:
    """A planned trial and its results, as the ledger stores them."""

    number: int
    """The ledger's key of the trial."""
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
    """None while it waits for its first attempt, and while it runs."""
    collapsed: bool | None
    projection_collapsed: bool | None
    dimensional_collapse: bool | None
    onset_step: int | None
    steps_run: int
    """The last measured step."""
    knn_accuracy: float | None
    loss: float | None
    representation_std: float | None
    projection_std: float | None
    effective_rank: float | None
    probe_accuracy: float | None
    wall_seconds: float | None
    """Seconds of all attempts; None if none has measured anything."""
    seconds_before: float
    """Seconds of the attempts before the latest."""
    device: str | None
    error: str | None
    """The error, as one line."""
    traceback: str | None
    """The full traceback."""
    commit: str | None = None
    """Commit of the code that the last measurement was made with; None if unknown."""
    clean: bool | None = None
    """Whether that code was as committed; None if unknown."""
    versions: str | None = None
    """Versions of Python and packages at the last measurement, as one line; None if unknown."""
    code: str | None = None
    """Digest of the learner's sources at the last measurement; None if unknown."""
    data_digest: str | None = None
    """Digest of the data at the last measurement; None if unknown."""
    rankme: float | None = None
    stable_rank: float | None = None
    lidar: float | None = None
    projection_lidar: float | None = None

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
        """Whether it has ended for good: only `--retry-failed` would run it again."""
        pending = self.state in (TrialState.WAITING, TrialState.RUNNING)
        return not pending and self.end_reason != EndReason.INTERRUPTED

    def value(self, column: str) -> float | None:
        """Returns the value of a column of numbers: one of LAST_VALUES, or `wall_seconds`."""
        value: float | None = getattr(self, column)
        return value


def count_trials(trials: Sequence[TrialRow], *, planned: int = 0) -> dict[str, int]:
    """Counts trials for `status`, by state and by outcome.

    Args:
        trials: all trials in the ledger.
        planned: how many there will be, if a search has yet to draw some.
    """
    to_draw = max(0, planned - len(trials))

    def in_state(state: TrialState) -> int:
        return sum(trial.state == state for trial in trials)

    def ended_by(reason: EndReason) -> int:
        return sum(trial.end_reason == reason for trial in trials)

    return {
        "planned": len(trials) + to_draw,
        "waiting": in_state(TrialState.WAITING) + to_draw,
        "running": in_state(TrialState.RUNNING),
        "complete": in_state(TrialState.COMPLETE),
        "pruned": in_state(TrialState.PRUNED),
        "failed": ended_by(EndReason.ERROR),
        "interrupted": ended_by(EndReason.INTERRUPTED),
        "collapsed": sum(trial.collapsed is True for trial in trials),
        "projection_collapsed": sum(trial.projection_collapsed is True for trial in trials),
        "dimensional_collapse": sum(trial.dimensional_collapse is True for trial in trials),
        "diverged": ended_by(EndReason.DIVERGED),
    }
