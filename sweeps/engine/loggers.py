"""Copies of the measurements for TensorBoard, MLflow and Weights & Biases, through Ray's own callbacks.

The ledger stays the record. These are for people who watch many projects in one place. Each logger gets the
numbers of metrics.parquet by optimiser step, and the settings in which the trials differ.
"""

import importlib.util
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.air.integrations.wandb import WandbLoggerCallback
from ray.tune.logger.tensorboardx import TBXLoggerCallback
from ray.tune.result import TIMESTEPS_TOTAL, TRAINING_ITERATION

from byol.errors import nearest
from sweeps.errors import RequestError
from sweeps.record.rows import METRICS

PACKAGES = {"tensorboard": "tensorboardX", "mlflow": "mlflow", "wandb": "wandb"}
"""Value of --log -> the package that it needs."""


class _Measurements:
    """Passes only measurements to a logger of Ray, and marks a trial as failed if it reported an error."""

    _failed: frozenset[Any] = frozenset()

    def log_trial_result(self, iteration: int, trial: Any, result: Mapping[str, Any]) -> None:
        """Logs one measurement."""
        if "error" in result:
            self._failed |= {trial}
            return
        numbers = {name: result[name] for name in METRICS if result[name] is not None}
        counters = {key: result[key] for key in (TIMESTEPS_TOTAL, TRAINING_ITERATION)}
        super().log_trial_result(iteration, trial, {**numbers, **counters})  # type: ignore[misc]

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        """Closes the trial's log."""
        super().log_trial_end(trial, failed or trial in self._failed)  # type: ignore[misc]


class TensorBoard(_Measurements, TBXLoggerCallback):  # type: ignore[misc]
    """Writes a TensorBoard log for each trial."""

    def __init__(self, folder: Path) -> None:
        """Writes to `folder`/TRIAL_ID."""
        super().__init__()
        self._folder = folder

    def log_trial_start(self, trial: Any) -> None:
        """Opens the trial's log. Ray would put it into a folder that the driver removes."""
        if trial in self._trial_writer:
            self._trial_writer[trial].close()
        folder = str(self._folder / str(trial))
        self._trial_writer[trial] = self._summary_writer_cls(folder, flush_secs=30)
        self._trial_result[trial] = {}


class MLflow(_Measurements, MLflowLoggerCallback):  # type: ignore[misc]
    """Makes an MLflow run of each trial."""


class WeightsAndBiases(_Measurements, WandbLoggerCallback):  # type: ignore[misc]
    """Makes a Weights & Biases run of each trial."""


def check(names: Sequence[str]) -> None:
    """Checks that the loggers exist and that their packages are installed.

    Raises:
        RequestError: one does not exist, or its package is not installed.
    """
    for name in names:
        if name not in PACKAGES:
            hint = nearest(name, PACKAGES)
            raise RequestError(f"--log: must be one of {', '.join(PACKAGES)}, but got {name!r}{hint}")
        if importlib.util.find_spec(PACKAGES[name]) is None:
            raise RequestError(f"--log {name}: the package {PACKAGES[name]} is not installed here")


def make(names: Sequence[str], out: Path, study: str) -> list[tune.Callback]:
    """Returns the callbacks for `names`, each of which `check` has accepted.

    Args:
        names: keys of PACKAGES.
        out: the sweep's directory, for TensorBoard's files, and MLflow's unless MLFLOW_TRACKING_URI is set.
        study: the study's name, which becomes the name of the experiment or project.
    """
    callbacks: list[tune.Callback] = []
    for name in dict.fromkeys(names):
        if name == "tensorboard":
            callbacks.append(TensorBoard(out / "tensorboard"))
        elif name == "mlflow":
            logging.getLogger("mlflow").setLevel(logging.WARNING)
            logging.getLogger("alembic").setLevel(logging.WARNING)
            uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(out / 'mlflow.db').absolute()}"
            callbacks.append(MLflow(tracking_uri=uri, experiment_name=study))
        else:
            callbacks.append(WeightsAndBiases(project=study, dir=str(out)))
    return callbacks
