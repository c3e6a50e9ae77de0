"""Copies of the measurements for TensorBoard, MLflow and Weights & Biases, through Ray's own callbacks.

The ledger stays the record; these are for people who watch many projects in one place. Each gets the numbers
of metrics.parquet over the optimiser step, and the settings in which the trials differ.
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
"""What --log takes -> the package that it needs."""


class _Measurements:
    """Lets through the measurements alone, and calls a trial failed that reported an error."""

    _failed: frozenset[Any] = frozenset()

    def log_trial_result(self, iteration: int, trial: Any, result: Mapping[str, Any]) -> None:
        """Logs one measurement."""
        if "error" in result:
            self._failed |= {trial}
            return
        numbers = {name: result[name] for name in METRICS if result[name] is not None}
        places = {key: result[key] for key in (TIMESTEPS_TOTAL, TRAINING_ITERATION)}
        super().log_trial_result(iteration, trial, {**numbers, **places})  # type: ignore[misc]

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        """Closes the trial's log."""
        super().log_trial_end(trial, failed or trial in self._failed)  # type: ignore[misc]


class TensorBoard(_Measurements, TBXLoggerCallback):  # type: ignore[misc]
    """Writes `folder`/TRIAL_ID for TensorBoard."""

    def __init__(self, folder: Path) -> None:
        """Writes below `folder`."""
        super().__init__()
        self._folder = folder

    def log_trial_start(self, trial: Any) -> None:
        """Opens the trial's log; Ray's own place for it is a temporary folder here."""
        if trial in self._trial_writer:
            self._trial_writer[trial].close()
        place = self._folder / str(trial)
        self._trial_writer[trial] = self._summary_writer_cls(str(place), flush_secs=30)
        self._trial_result[trial] = {}


class MLflow(_Measurements, MLflowLoggerCallback):  # type: ignore[misc]
    """A run of MLflow per trial."""


class WeightsAndBiases(_Measurements, WandbLoggerCallback):  # type: ignore[misc]
    """A run of Weights & Biases per trial."""


def check(names: Sequence[str]) -> None:
    """Checks that the loggers exist and that their packages are installed.

    Raises:
        RequestError: otherwise.
    """
    for name in names:
        if name not in PACKAGES:
            hint = nearest(name, PACKAGES)
            raise RequestError(f"--log: must be of {', '.join(PACKAGES)}, but got {name!r}{hint}")
        if importlib.util.find_spec(PACKAGES[name]) is None:
            raise RequestError(f"--log {name}: the package {PACKAGES[name]} is not installed here")


def make(names: Sequence[str], out: Path, study: str) -> list[tune.Callback]:
    """The callbacks for `names`, each of which `check` has accepted.

    Args:
        names: of PACKAGES.
        out: the sweep's directory; TensorBoard's files go there, and MLflow's without MLFLOW_TRACKING_URI.
        study: the study's name, which is the name of the experiment or project.
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
