"""Checkpoints that follow a trial through a store: a trial's machine may vanish at any moment."""

import dataclasses
import json
import math
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from byol.data import load_data
from byol.files import ENCODER, STATE
from byol.presets import from_settings
from byol.train import train
from sweeps.record.rows import Measurement
from sweeps.storage.checkpoints import REPORTED, Checkpoints, local_copies
from sweeps.storage.store import Store
from tests.sweeps.record.test_ledger import measurement
from tests.sweeps.storage.object_store import ObjectStore

STEPS = 60


@pytest.fixture
def checkpoints(tmp_path: Path, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Checkpoints:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return Checkpoints(folder=tmp_path / "out", store=Store.at(object_store.uri("sweep")))


def machine_vanishes(checkpoints: Checkpoints) -> None:
    assert checkpoints.store is not None
    shutil.rmtree(local_copies(checkpoints.store))


def learn(folder: Path, *, measure: int = 10, save: int = 15) -> Iterator[int]:
    """As byol.train: goes on from the state, and yields a step's measurement before it saves its state."""
    folder.mkdir(exist_ok=True)
    state = folder / STATE
    start = json.loads(state.read_text()) if state.exists() else 0
    if start == 0:
        yield 0
    for step in range(start + 1, STEPS + 1):
        if step % measure == 0:
            yield step
        if step % save == 0 and step < STEPS:
            state.write_text(json.dumps(step))
    (folder / ENCODER).write_text("weights")
    state.unlink(missing_ok=True)


def result(step: int) -> Measurement:
    spectra = {"representation": bytes([step, 255])}
    return dataclasses.replace(measurement(step, loss=math.nan), spectra=spectra)


def run(checkpoints: Checkpoints, *, dies_at: int | None = None) -> tuple[list[int], list[int]]:
    """Runs the trial as the engine does: the steps reported again, and those measured in this attempt."""
    again, measured = [], []
    with checkpoints.workspace("trial") as work:
        for earlier in work.reported:
            assert str(earlier) == str(result(earlier.step)), "NaN and bytes come back as they were"
            again.append(earlier.step)
        for step in [] if work.finished else learn(work.folder):
            work.push()
            if step == dies_at:
                raise SystemExit  # see `dies`
            work.keep(result(step))
            measured.append(step)
    return again, measured


def dies(checkpoints: Checkpoints, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the trial until its process is gone, without a chance to close anything."""
    with monkeypatch.context() as patch:
        patch.setattr("sweeps.storage.checkpoints.StoredWorkspace.close", lambda work: True)
        with pytest.raises(SystemExit):
            run(checkpoints, dies_at=at)


def test_without_a_store_the_folder_is_the_sweeps_own(tmp_path: Path) -> None:
    assert run(Checkpoints(folder=tmp_path)) == ([], [0, 10, 20, 30, 40, 50, 60])
    assert {path.name for path in (tmp_path / "trial").iterdir()} == {ENCODER}


def test_a_trial_leaves_its_encoder_in_the_store_and_nothing_here(checkpoints: Checkpoints) -> None:
    assert run(checkpoints) == ([], [0, 10, 20, 30, 40, 50, 60])
    assert checkpoints.store is not None
    assert checkpoints.store.names("checkpoints/trial").keys() == {ENCODER, REPORTED}, "the state is removed"
    assert list(local_copies(checkpoints.store).iterdir()) == []
    assert not checkpoints.folder.exists()
    assert checkpoints.encoder("trial") == b"weights"
    assert checkpoints.encoder("another") is None


@pytest.mark.parametrize("at", [20, 30, 40, 60])
def test_a_trial_resumed_on_a_fresh_machine_reports_every_step(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """The driver that heard of them, and its ledger, may be gone too: all rows come from here."""
    dies(checkpoints, at, monkeypatch)
    machine_vanishes(checkpoints)
    again, measured = run(checkpoints)
    state = {20: 15, 30: 15, 40: 30, 60: 45}[at]  # a checkpoint lags behind by a measurement at most
    assert measured == [step for step in range(0, 61, 10) if step > state]
    assert [*again, *measured] == [0, 10, 20, 30, 40, 50, 60]


@pytest.mark.parametrize("uploads", range(1, 6))
def test_a_trial_whose_machine_vanishes_in_the_middle_of_a_push_reports_every_step(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch, uploads: int
) -> None:
    upload, left = Store.upload, iter(range(uploads))

    def cut(store: Store, path: Path, name: str) -> None:
        if next(left, None) is None:
            raise SystemExit
        upload(store, path, name)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "upload", cut)
        patch.setattr("sweeps.storage.checkpoints.StoredWorkspace.close", lambda work: True)
        with pytest.raises(SystemExit):
            run(checkpoints)
    machine_vanishes(checkpoints)
    again, measured = run(checkpoints)
    assert sorted({*again, *measured}) == [0, 10, 20, 30, 40, 50, 60]
    state = 15 * (uploads // 2)
    assert measured == [step for step in range(0, 61, 10) if step > state or state == 0]


def test_a_process_that_died_leaves_something_newer_than_the_store(
    checkpoints: Checkpoints, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    dies(checkpoints, 20, monkeypatch)
    object_store.stop()
    dies(checkpoints, 50, monkeypatch)
    object_store.start()
    again, measured = run(checkpoints)
    assert measured == [50, 60], "the state of step 45 never reached the store"
    assert again == [0, 10, 20, 30, 40]


def test_a_finished_trial_that_the_ledger_forgot_is_only_reported_again(checkpoints: Checkpoints) -> None:
    run(checkpoints)
    assert run(checkpoints) == ([0, 10, 20, 30, 40, 50, 60], [])


def test_a_store_that_fails_is_not_the_trials_failure(
    checkpoints: Checkpoints, object_store: ObjectStore
) -> None:
    object_store.stop()
    assert run(checkpoints) == ([], [0, 10, 20, 30, 40, 50, 60])
    object_store.start()
    assert checkpoints.store is not None
    assert checkpoints.store.names("checkpoints/trial") == {}
    with checkpoints.workspace("the next trial on this machine"):
        pass
    assert checkpoints.encoder("trial") == b"weights"
    assert list(local_copies(checkpoints.store).iterdir()) == []


def test_a_line_that_a_dying_process_cut_off_is_left_out(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    dies(checkpoints, 40, monkeypatch)
    assert checkpoints.store is not None
    with (local_copies(checkpoints.store) / "trial" / REPORTED).open("a") as file:
        file.write('{"step": 40, "lo')
    again, measured = run(checkpoints)
    assert [*again, *measured] == [0, 10, 20, 30, 40, 50, 60]


def test_nothing_is_done_between_measurements_without_a_new_state(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    with checkpoints.workspace("trial") as work:
        work.keep(result(0))
        monkeypatch.setattr(Store, "names", None)
        monkeypatch.setattr(Store, "upload", None)
        work.push()
        monkeypatch.undo()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("dies_after", [2, 3, 4, 5])
def test_a_trained_trial_that_changes_machines_reports_what_it_would_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_after: int
) -> None:
    """With the learner of byol/, whose state of a step must never precede that step's measurement."""
    settings: dict[str, Any] = {
        "train_images": 64, "batch_size": 16, "steps": 8, "eval_every": 2, "eval_images": 64,
        "projector_width": 32, "projector_size": 16, "predictor_width": 32, "precision": "fp32",
    }  # fmt: skip
    config, data = from_settings(settings), load_data("fashion-mnist-8k", train_images=64)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    checkpoints = Checkpoints(folder=tmp_path / "out", store=Store.at(str(tmp_path / "store")))

    def losses(stop_after: int | None = None) -> tuple[list[tuple[int, float | None]], int]:
        rows: list[tuple[int, float | None]] = []
        measured = 0
        with checkpoints.workspace("trial") as work:
            rows += [(earlier.step, earlier.loss) for earlier in work.reported]
            for metrics in train(config, data, checkpoint_folder=work.folder, checkpoint_every=2):
                work.push()
                if measured == stop_after:
                    raise SystemExit
                work.keep(Measurement.of(metrics, wall_seconds=0.0, device="cpu"))
                rows = [*(row for row in rows if row[0] < metrics.step), (metrics.step, metrics.loss)]
                measured += 1
        return rows, measured

    with monkeypatch.context() as patch:
        patch.setattr("sweeps.storage.checkpoints.StoredWorkspace.close", lambda work: True)
        with pytest.raises(SystemExit):
            losses(dies_after - 1)
    machine_vanishes(checkpoints)
    rows, measured = losses()
    assert rows == [(metrics.step, metrics.loss) for metrics in train(config, data)]
    assert measured == 5 - (dies_after - 1) + (dies_after == 2), "from the state of the step before"
