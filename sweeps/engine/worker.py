"""Runs a pack of trials in a worker's process: trains, reports every measurement, and leaves no state behind.

A pack is one trial, or several that take a step each in turn. What a trial computes does not depend on the
others of its pack.
"""

import dataclasses
import os
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune

from byol.config import Scalar, TrialConfig
from byol.measure.collapse import CollapseRule
from byol.own_parts import OtherPartError, check_source, named_parts
from byol.presets import from_settings
from byol.pulse import Stopped, beat, is_told_to_end
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
    """What one pack occupies."""
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
    """Seconds without a sign of life after which the driver kills a pack's process."""


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


def run_pack(config: Mapping[str, Any], *, job: Job) -> None:
    """Runs the trials of a pack in a worker; reports every measurement, and the errors that ended trials."""
    _end_if_broken(job.trainer)
    trial_ids = [trial["id"] for trial in config["pack"]]
    with Heartbeat(job.run, trial_ids, limit=job.hung_after).beating() as heartbeat:
        trials = [_Trial(trial, job, heartbeat, shares=len(trial_ids) > 1) for trial in config["pack"]]
        running = [trial for trial in trials if trial.take_turn()]  # loads what it needs
        heartbeat.loading = False
        while running:
            running = [trial for trial in running if trial.take_turn()]
        if any(trial.is_stopped for trial in trials):
            heartbeat.wait_for_end()


class _Trial:
    """One trial of a pack."""

    def __init__(self, config: Mapping[str, Any], job: Job, heartbeat: Heartbeat, *, shares: bool) -> None:
        """Runs with these settings, once it has its turns; `shares` says whether the pack has others."""
        self._id: str = config["id"]
        self._settings = {**job.common, **config["settings"]}
        self._job, self._heartbeat, self._shares = job, heartbeat, shares
        self._seconds, self._turn_began = 0.0, 0.0
        self._turns = self._run()
        self.is_stopped = False
        """Whether it was told to end, and has saved its state."""

    def take_turn(self) -> bool:
        """Goes on until another trial may have its turn; returns False at the end. The first turn loads."""
        self._turn_began = time.perf_counter()
        has_more = next(self._turns, _NO_MORE) is not _NO_MORE
        self._seconds += time.perf_counter() - self._turn_began
        return has_more

    def _run(self) -> Iterator[None]:
        """Runs, and reports its end where that is not the end of the pack."""
        if self._shares and self._heartbeat.is_recorded(self._id):
            return
        try:
            yield from self._trained()
        except Stopped:
            self._heartbeat.saved(self._id)
            self.is_stopped = True
            return
        except Exception as error:
            # An exception is a result of the trial. If it were raised, Ray would start the pack again.
            failure = Failure(
                error=f"{type(error).__name__}: {error}",
                traceback=traceback.format_exc(),
                out_of_memory=type(error).__name__ == "OutOfMemoryError",
                ends_sweep=_meets_all(error, self._job.checkpoints.folder),
            )
            if self._shares:
                _end_if_broken(self._job.trainer)  # the error may be another's, and all others would have it
            self._tell(dict(vars(failure)))
        else:
            if self._shares:
                self._tell({"returned": True})
        if self._shares:
            self._heartbeat.recorded(self._id)

    def _trained(self) -> Iterator[None]:
        job = self._job
        _check_node(job.conditions)
        for part in named_parts(self._settings):
            check_source(*part)
        config, key = _config(self._settings, job.precision), data_key(self._settings)
        self._heartbeat.check_end()
        self._heartbeat.loading = True  # until all of the pack have loaded
        images = job.node_data.get(key) if job.node_data else ray.get(job.data[key])
        with job.checkpoints.workspace(self._id) as workspace:
            yield
            if is_told_to_end():  # meanwhile: the driver knows that there is nothing to save
                raise Stopped
            try:
                yield from self._train(config, images, workspace)
            except Stopped:
                yield  # all save before one sends what it has saved to a store
                raise

    def _train(self, config: TrialConfig, images: Images, workspace: Workspace) -> Iterator[None]:
        """Trains in its workspace and reports every measurement."""
        job = self._job
        for earlier in workspace.reported:
            self._report(dataclasses.replace(earlier, wall_seconds=self._wall_seconds()))
        if workspace.finished:
            return
        watch = CollapseWatch(job.rule, workspace.folder)
        job.trainer.prepare(job.resources)
        turns = job.trainer.train(
            config, images, checkpoint_folder=workspace.folder, checkpoint_every=job.checkpoint_every
        )
        for metrics in job.trainer.in_pack(turns) if self._shares else turns:
            if metrics is None:
                yield
                continue
            workspace.push()  # files saved since the last measurement
            measurement = Measurement.of(
                metrics,
                wall_seconds=self._wall_seconds(),
                device=_device(),
                versions=versions_line(),
                code=code_digest(),
                data_digest=images.digest,
                **job.code,
            )
            workspace.keep(measurement)
            self._report(measurement)
            if watch.ends_at(measurement):
                break
            yield
        watch.close()

    def _wall_seconds(self) -> float:
        """Seconds of its own turns so far."""
        return self._seconds + time.perf_counter() - self._turn_began

    def _report(self, measurement: Measurement) -> None:
        beat()  # also of a trainer that counts no batches
        self._tell(measurement.to_report())

    def _tell(self, result: Mapping[str, Any]) -> None:
        """Reports a result; Ray has taken it when this returns."""
        tune.report({**result, "of": self._id})


def _end_if_broken(trainer: Trainer) -> None:
    """Ends this process if it can train no more. Ray starts its pack again in another one."""
    if trainer.is_broken():
        os._exit(1)


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


def _device() -> str:
    """The accelerator that this worker was given, or cpu."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name(0))
    return "cpu"


_NO_MORE = object()
