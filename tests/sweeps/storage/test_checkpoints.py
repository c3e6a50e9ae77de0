"""Checkpoints in a store, because a trial's machine may vanish at any moment."""

import dataclasses
import itertools
import math
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from byol.data import load_data
from byol.files import ENCODER, PREVIOUS_STATE, STATE
from byol.presets import from_settings
from byol.pulse import beats
from byol.train import train
from sweeps.errors import LastingStorageError
from sweeps.record.rows import Measurement
from sweeps.storage.checkpoints import REPORTED, Checkpoints, local_copies
from sweeps.storage.store import Store
from tests.sweeps.record.test_ledger import measurement
from tests.sweeps.storage.object_store import ObjectStore
from tests.sweeps.tensor_files import data_of, tensor_file

STEPS = 60
WEIGHTS = tensor_file(b"weights")


@pytest.fixture
def checkpoints(tmp_path: Path, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Checkpoints:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return Checkpoints(folder=tmp_path / "out", store=Store.at(object_store.uri("sweep")))


def remove_local_copies(checkpoints: Checkpoints) -> None:
    assert checkpoints.store is not None
    shutil.rmtree(local_copies(checkpoints.store))


def train_in(folder: Path, *, measure: int = 10, save: int = 15) -> Iterator[int]:
    """Like byol.train: resumes from the state, and yields a step's measurement before it saves its state."""
    folder.mkdir(exist_ok=True)
    state = folder / STATE
    if not state.exists() and (folder / PREVIOUS_STATE).exists():
        (folder / PREVIOUS_STATE).rename(state)
    start = int(data_of(state.read_bytes())) if state.exists() else 0
    if start == 0:
        yield 0
    for step in range(start + 1, STEPS + 1):
        if step % measure == 0:
            yield step
        if step % save == 0 and step < STEPS:
            state.write_bytes(tensor_file(str(step).encode()))
    (folder / ENCODER).write_bytes(WEIGHTS)
    state.unlink(missing_ok=True)


def measurement_at(step: int) -> Measurement:
    spectra = {"representation": bytes([step, 255])}
    return dataclasses.replace(measurement(step, loss=math.nan), spectra=spectra)


def run(checkpoints: Checkpoints, *, dies_at: int | None = None) -> tuple[list[int], list[int]]:
    """Runs the trial as the engine does. Returns the steps reported again, and those of this attempt."""
    repeated, measured = [], []
    with checkpoints.workspace("trial") as workspace:
        for earlier in workspace.reported:
            assert str(earlier) == str(measurement_at(earlier.step)), "NaN and bytes come back as they were"
            repeated.append(earlier.step)
        for step in [] if workspace.finished else train_in(workspace.folder):
            workspace.push()
            if step == dies_at:
                raise SystemExit  # see `run_until_death`
            workspace.keep(measurement_at(step))
            measured.append(step)
    return repeated, measured


def run_until_death(checkpoints: Checkpoints, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the trial until its process dies, without closing the workspace."""
    with monkeypatch.context() as patch:
        patch.setattr("sweeps.storage.checkpoints.StoredWorkspace.close", lambda workspace: True)
        with pytest.raises(SystemExit):
            run(checkpoints, dies_at=at)


def test_without_a_store_the_folder_is_in_the_sweeps_directory(tmp_path: Path) -> None:
    assert run(Checkpoints(folder=tmp_path)) == ([], [0, 10, 20, 30, 40, 50, 60])
    assert {path.name for path in (tmp_path / "trial").iterdir()} == {ENCODER}


def test_a_trial_leaves_its_encoder_in_the_store_and_no_local_files(checkpoints: Checkpoints) -> None:
    assert run(checkpoints) == ([], [0, 10, 20, 30, 40, 50, 60])
    assert checkpoints.store is not None
    assert checkpoints.store.names("checkpoints/trial").keys() == {ENCODER, REPORTED}, "the state is removed"
    assert list(local_copies(checkpoints.store).iterdir()) == []
    assert not checkpoints.folder.exists()
    assert checkpoints.encoder("trial") == WEIGHTS
    assert checkpoints.encoder("another") is None


@pytest.mark.parametrize("at", [20, 30, 40, 60])
def test_a_trial_resumed_on_a_fresh_machine_reports_every_step(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """The driver and its ledger may be gone too, so all rows come from the store."""
    run_until_death(checkpoints, at, monkeypatch)
    remove_local_copies(checkpoints)
    repeated, measured = run(checkpoints)
    state = {20: 15, 30: 15, 40: 30, 60: 45}[at]  # a checkpoint lags behind by a measurement at most
    assert measured == [step for step in range(0, 61, 10) if step > state]
    assert [*repeated, *measured] == [0, 10, 20, 30, 40, 50, 60]


@pytest.mark.parametrize("uploads", range(1, 6))
def test_a_trial_whose_machine_vanishes_during_a_push_reports_every_step(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch, uploads: int
) -> None:
    upload, remaining = Store.upload, iter(range(uploads))

    def upload_or_die(store: Store, path: Path, name: str) -> None:
        if next(remaining, None) is None:
            raise SystemExit
        upload(store, path, name)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "upload", upload_or_die)
        patch.setattr("sweeps.storage.checkpoints.StoredWorkspace.close", lambda workspace: True)
        with pytest.raises(SystemExit):
            run(checkpoints)
    remove_local_copies(checkpoints)
    repeated, measured = run(checkpoints)
    assert sorted({*repeated, *measured}) == [0, 10, 20, 30, 40, 50, 60]
    state = 15 * (uploads // 2)
    assert measured == [step for step in range(0, 61, 10) if step > state or state == 0]


@pytest.mark.parametrize("damaged", ["state", "rows"])
def test_a_damaged_file_in_the_store_costs_steps_and_no_rows(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch, damaged: str, caplog: pytest.LogCaptureFixture
) -> None:
    run_until_death(checkpoints, 50, monkeypatch)
    remove_local_copies(checkpoints)
    store, folder = checkpoints.store, "checkpoints/trial"
    assert store is not None
    assert store.names(folder).keys() == {STATE, PREVIOUS_STATE, REPORTED}
    name = {"state": STATE, "rows": REPORTED}[damaged]
    content = bytearray(store.read(f"{folder}/{name}") or b"")
    content[len(content) // 2] ^= 1
    store.write(f"{folder}/{name}", bytes(content))
    repeated, measured = run(checkpoints)
    first = {"state": 40, "rows": 0}[damaged]
    assert measured == list(range(first, 61, 10)), "from step 30, the state before; or from the start"
    assert sorted({*repeated, *measured}) == [0, 10, 20, 30, 40, 50, 60]
    assert f"{folder}/{STATE}: is damaged" in caplog.text or f"{REPORTED}: is damaged" in caplog.text
    assert store.names(folder).keys() == {ENCODER, REPORTED}


def test_a_state_known_to_be_damaged_is_not_copied_over_the_one_before(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_until_death(checkpoints, 50, monkeypatch)  # states of steps 30 and 45 in the store
    remove_local_copies(checkpoints)
    store, folder = checkpoints.store, "checkpoints/trial"
    assert store is not None
    store.write(f"{folder}/{STATE}", b"damaged")
    run_until_death(checkpoints, 50, monkeypatch)  # goes on from step 30, and sends the state of step 45
    states = [data_of(store.read(f"{folder}/{name}") or b"") for name in (PREVIOUS_STATE, STATE)]
    assert states == [b"30", b"45"]


def test_a_damaged_encoder_of_a_trial_that_the_ledger_lacks_is_made_again(checkpoints: Checkpoints) -> None:
    run(checkpoints)
    store = checkpoints.store
    assert store is not None
    store.write(f"checkpoints/trial/{ENCODER}", WEIGHTS[:-1])
    assert run(checkpoints)[1] == [0, 10, 20, 30, 40, 50, 60]
    assert checkpoints.encoder("trial") == WEIGHTS


@pytest.mark.parametrize("fault", ["full", "gone"])
def test_a_store_that_no_waiting_mends_ends_the_trial_and_keeps_its_files(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    store, upload, count = checkpoints.store, Store.upload, itertools.count()
    assert store is not None

    def fail(store: Store, path: Path, name: str) -> None:
        number = next(count)
        if number == 2 and fault == "full":
            raise LastingStorageError("No space left on device")
        upload(store, path, name)
        if number == 1 and fault == "gone":  # after the first state
            for sent in store.names("checkpoints/trial"):
                store.delete(f"checkpoints/trial/{sent}")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "upload", fail)
        with pytest.raises(LastingStorageError):
            run(checkpoints)
    repeated, measured = run(checkpoints)
    assert sorted({*repeated, *measured}) == [0, 10, 20, 30, 40, 50, 60]
    assert checkpoints.encoder("trial") == WEIGHTS


def test_files_of_a_dead_process_that_are_newer_than_the_store_are_used(
    checkpoints: Checkpoints, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_until_death(checkpoints, 20, monkeypatch)
    object_store.stop()
    run_until_death(checkpoints, 50, monkeypatch)
    object_store.start()
    repeated, measured = run(checkpoints)
    assert measured == [50, 60], "the state of step 45 never reached the store"
    assert repeated == [0, 10, 20, 30, 40]


def test_a_finished_trial_that_the_ledger_lacks_is_only_reported_again(checkpoints: Checkpoints) -> None:
    run(checkpoints)
    assert run(checkpoints) == ([0, 10, 20, 30, 40, 50, 60], [])


def test_a_failing_store_does_not_fail_the_trial(checkpoints: Checkpoints, object_store: ObjectStore) -> None:
    object_store.stop()
    assert run(checkpoints) == ([], [0, 10, 20, 30, 40, 50, 60])
    object_store.start()
    assert checkpoints.store is not None
    assert checkpoints.store.names("checkpoints/trial") == {}
    with checkpoints.workspace("the next trial on this machine"):
        pass
    assert checkpoints.encoder("trial") == WEIGHTS
    assert list(local_copies(checkpoints.store).iterdir()) == []


def test_only_a_trial_with_a_state_goes_on(
    checkpoints: Checkpoints, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not checkpoints.has_state("trial")
    run_until_death(checkpoints, 40, monkeypatch)
    assert checkpoints.has_state("trial")
    object_store.stop()
    assert not checkpoints.has_state("trial")
    object_store.start()
    run(checkpoints)
    assert not checkpoints.has_state("trial")


def test_a_line_that_a_dying_process_left_unfinished_is_ignored(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_until_death(checkpoints, 40, monkeypatch)
    assert checkpoints.store is not None
    with (local_copies(checkpoints.store) / "trial" / REPORTED).open("a") as file:
        file.write('{"step": 40, "lo')
    repeated, measured = run(checkpoints)
    assert [*repeated, *measured] == [0, 10, 20, 30, 40, 50, 60]


def test_without_a_new_state_a_push_does_not_use_the_store(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    with checkpoints.workspace("trial") as workspace:
        workspace.keep(measurement_at(0))
        monkeypatch.setattr(Store, "names", None)
        monkeypatch.setattr(Store, "upload", None)
        workspace.push()
        monkeypatch.undo()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("dies_after", [2, 3, 4, 5])
def test_training_that_changes_machines_reports_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_after: int
) -> None:
    """With the learner in byol/, which must not save a step's state before that step's measurement."""
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
        with checkpoints.workspace("trial") as workspace:
            rows += [(earlier.step, earlier.loss) for earlier in workspace.reported]
            for metrics in train(config, data, checkpoint_folder=workspace.folder, checkpoint_every=2):
                workspace.push()
                if measured == stop_after:
                    raise SystemExit
                workspace.keep(Measurement.of(metrics, wall_seconds=0.0, device="cpu"))
                rows = [*(row for row in rows if row[0] < metrics.step), (metrics.step, metrics.loss)]
                measured += 1
        return rows, measured

    with monkeypatch.context() as patch:
        patch.setattr("sweeps.storage.checkpoints.StoredWorkspace.close", lambda workspace: True)
        with pytest.raises(SystemExit):
            losses(dies_after - 1)
    remove_local_copies(checkpoints)
    rows, measured = losses()
    assert rows == [(metrics.step, metrics.loss) for metrics in train(config, data)]
    assert measured == 5 - (dies_after - 1) + (dies_after == 2), "from the state of the step before"


def test_each_copy_is_a_sign_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    checkpoints = Checkpoints(folder=tmp_path / "out", store=Store.at(str(tmp_path / "store")))
    before = beats()
    with checkpoints.workspace("trial") as workspace:
        workspace.keep(measurement_at(0))
        (workspace.folder / STATE).write_bytes(WEIGHTS)
    assert beats() == before + 2, "state and measurements were sent"
    with checkpoints.workspace("trial"):
        assert beats() == before + 4, "and fetched"
