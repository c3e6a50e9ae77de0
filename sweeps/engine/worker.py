"""Runs one trial in a worker's process: trains, reports every measurement, and leaves no state behind."""

import dataclasses
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune

from byol.config import Scalar, TrialConfig
from byol.measure.collapse import CollapseRule
from byol.own_parts import OtherPartError, check_source, named_parts
from byol.presets import from_settings
from byol.pulse import Stopped, beat
from byol.sources import code_digest
from sweeps.engine.collapse_watch import CollapseWatch
from sweeps.engine.heartbeat import Heartbeat
from sweeps.errors import LastingStorageError, is_of_disk
from sweeps.node_data import NodeData
from sweeps.record.conditions import of_numbers
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
    checkpoint_every: int | None
    """Steps between checkpoints; 0 saves none, None saves them by time."""
    code: GitState
    """The driver's code. A worker may run a copy of it, which knows no commit."""
    conditions: Mapping[str, str]
    """What of `conditions.of_numbers` the workers must have as the driver has it; empty takes any."""
    run: str
    """A token of this run, under which its workers tell of signs of life."""
    hung_after: float
    """Seconds without a sign of life after which the driver kills a trial's process."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What a worker reports instead of a measurement if a trial raises an error."""

    error: str
    """Type and message of the error."""
    traceback: str
    """The full traceback."""
    out_of_memory: bool
    """Whether it is torch's OutOfMemoryError, on any accelerator."""
    ends_sweep: bool
    """Whether it would meet other trials too: a disk or a store is full, read-only or gone; other code."""


class OtherCodeError(ValueError):
    """A node whose code of the learner, torch or numpy is not the driver's."""


def run_trial(config: Mapping[str, Any], *, job: Job) -> None:
    """Runs one trial in a worker and reports every measurement, or the error that ended it."""
    began = time.perf_counter()
    try:
        _check_node(job.conditions)
        settings = {**job.common, **config["trial"]["settings"]}
        for part in named_parts(settings):
            check_source(*part)
        trial, key = _config(settings, job.precision), data_key(settings)
        with Heartbeat(job.run, config["trial"]["id"], limit=job.hung_after).beating() as heartbeat:
            try:
                heartbeat.check_end()
                images = job.node_data.get(key) if job.node_data else ray.get(job.data[key])
                with job.checkpoints.workspace(config["trial"]["id"]) as workspace:
                    heartbeat.loading = False
                    _train(trial, images, workspace, job, began)
            except Stopped:
                heartbeat.saved()
                heartbeat.wait_for_end()
    except Exception as error:
        # An exception is a result of the trial. If it were raised, Ray would start the trial again.
        failure = Failure(
            error=f"{type(error).__name__}: {error}",
            traceback=traceback.format_exc(),
            out_of_memory=type(error).__name__ == "OutOfMemoryError",
            ends_sweep=_meets_all(error, job.checkpoints.folder),
        )
        tune.report(dict(vars(failure)))


def _check_node(conditions: Mapping[str, str]) -> None:
    here = of_numbers()
    for name, expected in conditions.items():
        if here[name] != expected:
            raise OtherCodeError(
                f"{name} on this node is {here[name][:12]}, and not {expected[:12]} as the driver's: bring "
                "the same there, or go on with --accept-changes"
            )


def _meets_all(error: BaseException | None, folder: Path) -> bool:
    """Whether an error is about the node's code, the disk, the store, or what was written below `folder`."""
    while error is not None:
        below = isinstance(error, OSError) and str(error.filename or "").startswith(str(folder))
        if (
            below
            or is_of_disk(error)
            or isinstance(error, LastingStorageError | OtherCodeError | OtherPartError)
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


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
    beat()  # also of a trainer that counts no batches
    tune.report(measurement.to_report())


def _device() -> str:
    """The accelerator that this worker was given, or cpu."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name(0))
    return "cpu"
