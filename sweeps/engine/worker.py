"""One trial, in a worker."""

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
from sweeps.engine.collapse_watch import CollapseWatch
from sweeps.engine.node_data import NodeData
from sweeps.record.rows import METRICS
from sweeps.storage.checkpoints import Checkpoints, Workspace
from sweeps.study import Resources
from sweeps.trainer import DataKey, Trainer, data_key


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the workers need to know, alike for all trials."""

    common: Mapping[str, Scalar]
    """The settings that all trials share."""
    data: Mapping[DataKey, "ray.ObjectRef"]
    """The data sets, in the object store."""
    node_data: NodeData | None
    """Loads them on each node instead."""
    trainer: Trainer
    """Trains one trial."""
    rule: CollapseRule
    """When a trial counts as collapsed."""
    resources: Resources
    """What one trial occupies."""
    checkpoints: Checkpoints
    """Where each trial has its own."""
    checkpoint_every: int
    """Steps between saved states; 0 saves none."""


def run_trial(config: Mapping[str, Any], *, job: Job) -> None:
    """Runs one trial in a worker and reports every measurement, or the error that ended it."""
    began = time.perf_counter()
    try:
        settings = {**job.common, **config["trial"]["settings"]}
        trial, key = from_settings(settings), data_key(settings)
        images = job.node_data.get(key) if job.node_data else ray.get(job.data[key])
        with job.checkpoints.workspace(config["trial"]["id"]) as work:
            _train(trial, images, work, job, began)
    except Exception as error:
        # An exception is an outcome of the trial; were it raised, Ray would start the trial again.
        tune.report(
            {
                "error": f"{type(error).__name__}: {error}",
                "traceback": traceback.format_exc(),
                "out_of_memory": type(error).__name__ == "OutOfMemoryError",  # torch's, on any accelerator
            }
        )


def _train(trial: TrialConfig, images: Any, work: Workspace, job: Job, began: float) -> None:
    """Trains a trial in its workspace and reports every measurement."""
    for earlier in work.reported:
        tune.report({**earlier, "wall_seconds": time.perf_counter() - began})
    if work.finished:
        return
    watch = CollapseWatch(job.rule, work.folder)
    job.trainer.prepare(job.resources)
    for metrics in job.trainer.train(
        trial, images, checkpoint_folder=work.folder, checkpoint_every=job.checkpoint_every
    ):
        work.push()  # what was saved since the last measurement
        row = {name: getattr(metrics, name) for name in METRICS}
        row["probe_accuracy"] = getattr(metrics, "probe_accuracy", None)
        spectra = {
            level: getattr(metrics, f"{level}_spectrum").astype("<f4").tobytes()
            for level in ("representation", "projection")
        }
        seconds = time.perf_counter() - began
        about = {"wall_seconds": seconds, "device": _device(), TIMESTEPS_TOTAL: int(metrics.step)}
        result = {**row, **about, "spectra": spectra}
        work.note(result)
        tune.report(result)
        if watch.ends(row):
            break
    watch.close()


def _device() -> str:
    """The accelerator that this worker was given, or cpu."""
    import sys

    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name(0))
    return "cpu"
