"""MLflow: a run for each trial in the experiment of the study, in DIR/mlflow.db or on a server."""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sweeps.loggers.run import Run, verdict
from sweeps.record.rows import Ending, EndReason, TrialState

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_MOST_PARAMS = 100
"""Parameters that MLflow takes at once."""
_IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


class MLflow:
    """Makes MLflow runs, and goes on with those that this sweep has made before."""

    def __init__(self, out: Path, study: str) -> None:
        """Logs to MLFLOW_TRACKING_URI or else to `out`/mlflow.db, in the experiment called `study`."""
        self._uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(out / 'mlflow.db').absolute()}"
        self._study = study
        self._opened: tuple[MlflowClient, str] | None = None
        self._runs: dict[str, str] = {}
        """Our id of an open run -> MLflow's."""

    def start(self, run: Run) -> int:
        """Makes a run, or finds the one with the same trial and sweep."""
        client, experiment = self._client()
        query = f"tags.trial_id = '{run.trial.trial_id}' and tags.sweep = '{run.sweep['sweep']}'"
        found = client.search_runs([experiment], query, max_results=1)
        tags = {name: str(value) for name, value in {**run.facts, **verdict(None)}.items()}
        tags |= {f"level.{name}": str(label) for name, label in run.trial.labels.items()}
        if not found:
            made = client.create_run(experiment, run_name=run.name, tags=tags)
            self._runs[run.run_id] = made.info.run_id
            self._log_settings(run)
            return -1
        run_id = self._runs[run.run_id] = found[0].info.run_id
        client.update_run(run_id, status="RUNNING")
        self._tag(run_id, tags)
        # Each measurement has these; others, such as the loss, are not there at every step.
        history = client.get_metric_history(run_id, "representation_std")
        return max((metric.step for metric in history), default=-1)

    def log(self, run: Run, step: int, numbers: Mapping[str, float]) -> None:
        """Logs the numbers in one request."""
        from mlflow.entities import Metric

        client, _ = self._client()
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for name, value in numbers.items()]
        client.log_batch(self._runs[run.run_id], metrics=metrics)

    def end(self, run: Run, ending: Ending) -> None:
        """Tags the run with how the trial ended: KILLED is what will go on."""
        client, _ = self._client()
        run_id = self._runs.pop(run.run_id)
        self._tag(run_id, {name: str(value) for name, value in verdict(ending).items()})
        waits = ending.state == TrialState.WAITING
        failed = ending.end_reason == EndReason.ERROR
        client.set_terminated(run_id, "KILLED" if waits else "FAILED" if failed else "FINISHED")

    def _client(self) -> "tuple[MlflowClient, str]":
        """The client, and the id of the experiment; both are made on first use."""
        if self._opened is None:
            client = _connect(self._uri)
            experiment = client.get_experiment_by_name(self._study)
            experiment_id = experiment.experiment_id if experiment else client.create_experiment(self._study)
            self._opened = client, experiment_id
        return self._opened

    def _log_settings(self, run: Run) -> None:
        """Logs the complete configuration as parameters, which can be compared but never changed."""
        from mlflow.entities import Param

        client, _ = self._client()
        params = [Param(name, str(value)) for name, value in run.trial.settings.items()]
        for first in range(0, len(params), _MOST_PARAMS):
            client.log_batch(self._runs[run.run_id], params=params[first : first + _MOST_PARAMS])

    def _tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        client, _ = self._client()
        client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])


def check() -> None:
    """Raises whatever MLflow raises if MLFLOW_TRACKING_URI is set and cannot be reached."""
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if uri:
        with _impatient():
            _connect(uri).search_experiments(max_results=1)


def _connect(uri: str) -> "MlflowClient":
    """A client that writes no lines between those of the sweep."""
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    from mlflow.tracking import MlflowClient

    return MlflowClient(uri)


@contextmanager
def _impatient() -> Iterator[None]:
    """MLflow would try for minutes."""
    added = {name: value for name, value in _IMPATIENT.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
