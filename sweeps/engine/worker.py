"""Runs one trial in a worker's process: trains, reports every measurement, and leaves no state behind."""

import dataclasses
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray import tune
from ray.tune.result import TIMESTEPS_TOTAL

from byol.config import Scalar, TrialConfig
from byol.measure.collapse import CollapseRule
from byol.presets import from_settings
from byol.sources import code_digest
from sweeps.engine.collapse_watch import CollapseWatch
from sweeps.node_data import NodeData
from sweeps.record.manifest import GitState, versions_line
from sweeps.record.rows import Measurement
from sweeps.storage.checkpoints import Checkpoints, Workspace
from sweeps.study import Resources
from sweeps.trainer import DataKey, Images, Trainer, data_key


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the workers need, the same for all trials."""

    common: Mapping[str, Scalar]
    """The settings that all trials share."""
    data: Mapping[DataKey, "ray.ObjectRef"]
    """The data sets in Ray's object store; empty if each node loads them."""
    node_data: NodeData | None
    """Loads the data sets on each node; None if they are in Ray's object store."""
    trainer: Trainer
    """Trains one trial."""
    precision: str
    """What `precision: auto` means in this sweep, whichever machine the worker is on: fp32 or bf16."""
    rule: CollapseRule
    """When a trial counts as collapsed, and whether that ends it."""
    resources: Resources
    """What one trial occupies."""
    checkpoints: Checkpoints
    """Where the trials keep their checkpoints."""
    checkpoint_every: int
    """Steps between checkpoints; 0 saves none."""
    code: GitState
    """The driver's code. A worker may run a copy of it, which knows no commit."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What a worker reports instead of a measurement if a trial raises an error."""

    error: str
    """Type and message of the error."""
    traceback: str
    """The full traceback."""
    out_of_memory: bool
    """Whether it is torch's OutOfMemoryError, on any accelerator."""


def run_trial(config: Mapping[str, Any], *, job: Job) -> None:
    """Runs one trial in a worker and reports every measurement, or the error that ended it."""
    began = time.perf_counter()
    try:
        settings = {**job.common, **config["trial"]["settings"]}
        trial, key = _config(settings, job.precision), data_key(settings)
        images = job.node_data.get(key) if job.node_data else ray.get(job.data[key])
        with job.checkpoints.workspace(config["trial"]["id"]) as workspace:
            _train(trial, images, workspace, job, began)
    except Exception as error:
        # An exception is a result of the trial. If it were raised, Ray would start the trial again.
        failure = Failure(
            error=f"{type(error).__name__}: {error}",
            traceback=traceback.format_exc(),
            out_of_memory=type(error).__name__ == "OutOfMemoryError",
        )
        tune.report(dict(vars(failure)))


def _config(settings: Mapping[str, Scalar], precision: str) -> TrialConfig:
    """The trial's configuration, with the precision that the sweep has decided on."""
    config = from_settings(settings)
    return dataclasses.replace(config, precision=precision) if config.precision == "auto" else config


def _train(trial: TrialConfig, images: Images, workspace: Workspace, job: Job, began: float) -> None:
    """Trains a trial in its workspace and reports every measurement."""
    for earlier in workspace.reported:
        _report(dataclasses.replace(earlier, wall_seconds=time.perf_counter() - began))
    if workspace.finished:
        return
    watch = CollapseWatch(job.rule, workspace.folder)
    job.trainer.prepare(job.resources)
    for metrics in job.trainer.train(
        trial, images, checkpoint_folder=workspace.folder, checkpoint_every=job.checkpoint_every
    ):
        workspace.push()  # files saved since the last measurement
        seconds = time.perf_counter() - began
        measurement = Measurement.of(
            metrics,
            wall_seconds=seconds,
            device=_device(),
            versions=versions_line(),
            code=code_digest(),
            data_digest=images.digest,
            **job.code,
        )
        workspace.keep(measurement)
        _report(measurement)
        if watch.ends_at(measurement):
            break
    watch.close()


def _report(measurement: Measurement) -> None:
    tune.report({**measurement.to_report(), TIMESTEPS_TOTAL: measurement.step})


def _device() -> str:
    """The accelerator that this worker was given, or cpu."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name(0))
    return "cpu"
