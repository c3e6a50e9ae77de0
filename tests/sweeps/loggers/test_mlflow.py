"""The runs that MLflow has, in a file beside the sweep."""

import time
from pathlib import Path
from typing import Any

import pytest

from sweeps.errors import RequestError
from sweeps.loggers import places
from sweeps.study import Study
from sweeps.study.designs import Trial
from tests.sweeps.loggers.conftest import LoggedSweep

pytestmark = pytest.mark.timeout(120)


def runs(out: Path, name: str = "small") -> tuple[Any, dict[str, Any]]:
    """A client, and the runs by trial; there is one for each."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{out / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    by_trial = {run.data.tags["trial_id"]: run for run in found}
    assert len(by_trial) == len(found)
    return client, by_trial


def test_runs_say_what_they_are_and_a_resumed_trial_goes_on_in_its_run(
    tmp_path: Path, study: Study, healthy: Trial, collapsing: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    sweep = LoggedSweep(tmp_path, study, "mlflow")
    sweep.run_interrupted(healthy, collapsing)
    assert sweep.shown.getvalue().count("--log") == 0
    _, found = runs(tmp_path)
    interrupted, collapsed = found[healthy.trial_id], found[collapsing.trial_id]
    assert collapsed.info.run_name == "encoder_norm=group, data=a/b|c, seed 7"
    tags = {
        "study": "small",
        "sweep": "abc123",
        "cell": "encoder_norm=group, data=a/b|c",
        "cell_id": collapsing.cell_id,
        "seed": "7",
        "level.encoder_norm": "group",
        "collapsed": "True",
        "end_reason": "diverged",
        "report": str(tmp_path / "report.html"),
    }
    assert collapsed.data.tags.items() >= tags.items()
    assert {"commit", "clean"} <= set(collapsed.data.tags)
    assert collapsed.data.params == {name: str(value) for name, value in collapsing.settings.items()}
    assert collapsed.info.status == "FINISHED"
    assert (interrupted.info.status, interrupted.data.tags["end_reason"]) == ("KILLED", "interrupted")

    sweep.resume(healthy, first=0)
    client, found = runs(tmp_path)
    resumed = found[healthy.trial_id]
    assert resumed.info.run_id == interrupted.info.run_id
    assert (resumed.info.status, resumed.data.tags["end_reason"]) == ("FINISHED", "finished")
    assert resumed.data.tags["collapsed"] == "False"
    history = client.get_metric_history(resumed.info.run_id, "loss")
    assert [(metric.step, round(metric.value, 3)) for metric in history] == [
        (0, 0.0), (5, 0.5), (10, 1.0), (15, 1.5), (20, 2.0)
    ]  # fmt: skip

    other = LoggedSweep(tmp_path / "other", study, "mlflow", sweep="def456")
    other.out.mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    other.resume(healthy)
    experiment = client.get_experiment_by_name("small")
    assert len(client.search_runs([experiment.experiment_id])) == 3, "another sweep has a run of its own"


def test_a_server_that_is_not_there_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    places.check(["tensorboard"])
    began = time.monotonic()
    with pytest.raises(RequestError, match=r"^--log mlflow: API request to http://127.0.0.1:9/.* failed"):
        places.check(["mlflow"])
    assert time.monotonic() - began < 60
