"""What a worker reports with each measurement, without Ray."""

import contextlib
import dataclasses
import errno
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray import tune

from byol.measure.collapse import CollapseRule
from byol.presets import from_settings
from byol.pulse import Stopped
from byol.sources import code_digest
from sweeps.engine import worker
from sweeps.engine.heartbeat import Heartbeat
from sweeps.errors import LastingStorageError, StorageError
from sweeps.record.conditions import of_numbers
from sweeps.record.manifest import versions_line
from sweeps.record.rows import Measurement
from sweeps.simulated import TRAINER, load_data
from sweeps.storage.checkpoints import Checkpoints, Workspace
from sweeps.study import Resources


def a_job(folder: Path, **changes: Any) -> worker.Job:
    job = worker.Job(
        common={},
        data={},
        node_data=None,
        trainer=TRAINER,
        precision="fp32",
        rule=CollapseRule(),
        resources=Resources(),
        checkpoints=Checkpoints(folder=folder),
        checkpoint_every=0,
        code={"commit": "abc", "clean": False},
        conditions={},
        run="a token",
        hung_after=60.0,
    )
    return dataclasses.replace(job, **changes)


def test_a_trial_loads_until_its_data_and_its_checkpoint_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hearts: list[Heartbeat] = []
    loading: list[bool] = []

    @contextlib.contextmanager
    def beating(heart: Heartbeat) -> Iterator[Heartbeat]:
        hearts.append(heart)
        yield heart

    @contextlib.contextmanager
    def workspace(trial_id: str) -> Iterator[Workspace]:
        loading.append(hearts[0].loading)
        yield Workspace(tmp_path / trial_id)

    def train(*_: Any) -> Iterator[None]:
        loading.append(hearts[0].loading)
        yield

    monkeypatch.setattr(Heartbeat, "beating", beating)
    monkeypatch.setattr(worker._Trial, "_train", train)
    monkeypatch.setattr(tune, "report", lambda result: result["returned"] or pytest.fail(str(result)))
    checkpoints = SimpleNamespace(workspace=workspace, folder=tmp_path)
    node_data = SimpleNamespace(get=lambda _: loading.append(hearts[0].loading))
    job = a_job(tmp_path, checkpoints=checkpoints, node_data=node_data)
    settings = from_settings({"steps": 10}).to_settings()
    pack = [{"id": trial_id, "settings": settings} for trial_id in "ab"]
    worker.run_pack({"pack": pack}, job=job)
    assert loading == [*[True] * 4, False, False], "all load before one trains"


def test_each_measurement_says_what_it_was_made_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results: list[dict[str, Any]] = []
    monkeypatch.setattr(tune, "report", results.append)
    monkeypatch.setattr(worker, "versions_line", lambda: "torch 0")
    job = a_job(tmp_path, node_data=SimpleNamespace(get=lambda _: load_data("made-up")))
    settings = from_settings({"steps": 10, "eval_every": 5}).to_settings()
    worker.run_pack({"pack": [{"id": "a", "settings": settings}]}, job=job)
    reported = [Measurement.from_report(result) for result in results]
    assert [row.step for row in reported] == [0, 5, 10]
    assert {(row.commit, row.clean, row.versions) for row in reported} == {("abc", False, "torch 0")}
    assert {(row.code, row.data_digest) for row in reported} == {(code_digest(), "simulated-1000")}


def test_a_trial_that_has_saved_its_state_tells_the_driver_and_stays_idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In that order: what lies in a store is there, and Ray starts no other trial in the process."""
    happened: list[str] = []

    @contextlib.contextmanager
    def workspace(trial_id: str) -> Iterator[Workspace]:
        try:
            yield Workspace(tmp_path / trial_id)
        finally:
            happened.append("sent")

    def stopped(*_: Any) -> None:
        raise Stopped

    monkeypatch.setattr(worker._Trial, "_train", stopped)
    monkeypatch.setattr(Heartbeat, "saved", lambda *_: happened.append("told"))
    monkeypatch.setattr(Heartbeat, "wait_for_end", lambda _: happened.append("idle"))
    monkeypatch.setattr(tune, "report", lambda failure: pytest.fail(str(failure)))
    checkpoints = SimpleNamespace(workspace=workspace, folder=tmp_path)
    job = a_job(tmp_path, checkpoints=checkpoints, node_data=SimpleNamespace(get=lambda _: None))
    settings = from_settings({"steps": 10}).to_settings()
    worker.run_pack({"pack": [{"id": "a", "settings": settings}]}, job=job)
    assert happened == ["sent", "told", "idle"]


@pytest.mark.parametrize(
    ("error", "meets_all"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EROFS, "Read-only file system", "/elsewhere"), True),
        (
            RuntimeError('I/O error: Os { code: 28, kind: StorageFull, message: "No space left on device" }'),
            True,
        ),
        (FileNotFoundError(errno.ENOENT, "No such file", "/out/checkpoints/abc/state.safetensors"), True),
        (LastingStorageError("the store is gone"), True),
        (StorageError("the store cannot be reached"), False),
        (FileNotFoundError(errno.ENOENT, "No such file", "/data/image.png"), False),
        (RuntimeError("nothing of that kind"), False),
    ],
)
def test_errors_that_every_other_trial_would_meet_end_the_sweep(error: Exception, meets_all: bool) -> None:
    folder = Path("/out/checkpoints")
    assert worker._meets_all(error, folder) == meets_all
    with pytest.raises(RuntimeError, match="because") as outer:
        raise RuntimeError("because") from error
    assert worker._meets_all(outer.value, folder) == meets_all


def test_a_node_with_another_version_is_named_with_both() -> None:
    here = of_numbers()
    worker._check_node(here)
    with pytest.raises(worker.OtherCodeError, match=r"^torch on this node is .*, and not 1\.0\.0 as the"):
        worker._check_node({**here, "torch": "1.0.0"})


def test_the_versions_are_those_of_this_process() -> None:
    import torch

    assert f", torch {torch.__version__.split('+')[0]}" in versions_line()
    assert versions_line().startswith("python 3.")
