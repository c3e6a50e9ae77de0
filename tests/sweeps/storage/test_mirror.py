"""The ledger's mirror is valid at any time, enough to resume from, and written by one driver at a time."""

import dataclasses
import errno
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from sweeps import files
from sweeps.errors import DirectoryError, StorageError
from sweeps.export import export_encoder
from sweeps.options import RunOptions
from sweeps.record import directory, same_study
from sweeps.record.ledger import Ledger
from sweeps.record.rows import Ending, EndReason, TrialState
from sweeps.run import run
from sweeps.storage.lease import INTERVALS, LEASE, Lease
from sweeps.storage.mirror import Mirror, add_driver, take_snapshot
from sweeps.storage.store import Store
from sweeps.study import Study
from tests.sweeps.record.test_ledger import measurement
from tests.sweeps.storage.object_store import ObjectStore
from tests.sweeps.tensor_files import tensor_file

EVERY = 0.2
"""Seconds between uploads. Such times need a folder's clock: that of S3 counts whole seconds."""


@pytest.fixture
def folder(tmp_path: Path) -> Store:
    return Store.at(str(tmp_path / "store"))


@contextmanager
def driving(out: Path, store: Store, study: Study, *, every: float = 60) -> Iterator[tuple[Mirror, Ledger]]:
    """What a driver does before and after its trials."""
    ids = {trial.trial_id for trial in study.trials()}
    directory.check(out, study, ids)
    with (
        Mirror(out, store, every=every).opened(study, ids) as mirror,
        directory.driver_lock(out),
        mirror.synchronised(),
        Ledger(out / files.LEDGER) as ledger,
    ):
        add_driver(ledger)
        ledger.set_fact("study", study.name)
        ledger.set_fact("collapse", same_study.rule_text(study))
        ledger.plan((trial, 20) for trial in study.trials())
        yield mirror, ledger


def measure(ledger: Ledger, study: Study, count: int) -> None:
    for trial in study.trials()[:count]:
        attempt = ledger.start(trial.trial_id)
        ledger.append(trial.trial_id, attempt, measurement(0))
        ledger.end(
            trial.trial_id,
            attempt,
            Ending(state=TrialState.COMPLETE, end_reason=EndReason.FINISHED, collapsed=False),
        )


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def mirrored(store: Store, place: Path) -> int:
    """Measurements in the store's ledger, which is sound."""
    assert store.download(files.LEDGER, place)
    with closing(sqlite3.connect(place)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return int(db.execute("SELECT count(*) FROM metrics").fetchone()[0])


def test_a_snapshot_is_sound_and_complete_at_any_time(tmp_path: Path, small: Study) -> None:
    path, written, stopped = tmp_path / files.LEDGER, [0], threading.Event()

    def write() -> None:
        with Ledger(path) as ledger:
            ledger.plan((trial, 20) for trial in small.trials())
            trial = small.trials()[0].trial_id
            attempt = ledger.start(trial)
            while not stopped.is_set():
                ledger.append(trial, attempt, measurement(written[0]))
                written[0] += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait_for(lambda: written[0] > 0)
        for _ in range(20):
            at_least = written[0]
            take_snapshot(path, tmp_path / "snapshot")
            with closing(sqlite3.connect(tmp_path / "snapshot")) as db:
                assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                assert at_least <= db.execute("SELECT count(*) FROM metrics").fetchone()[0] <= written[0] + 1
                counts = "SELECT (SELECT count(*) FROM metrics) * 2 = (SELECT count(*) FROM spectra)"
                assert db.execute(counts).fetchone() == (1,), "each measurement is complete"
    finally:
        stopped.set()
        writer.join()
    assert {path.name for path in tmp_path.iterdir()} == {files.LEDGER, "snapshot"}


def test_a_fresh_machine_resumes_from_the_store_alone(
    tmp_path: Path, small: Study, object_store: ObjectStore
) -> None:
    store = Store.at(object_store.uri("sweep"))
    with driving(tmp_path / "a", store, small) as (_, ledger):
        (tmp_path / "a" / files.MANIFEST).write_text("{}")
        measure(ledger, small, 3)
        rows = ledger.trials()
    with driving(tmp_path / "b", store, small) as (_, ledger):
        assert ledger.trials() == rows
        measure(ledger, small, 5)
    assert (tmp_path / "b" / files.MANIFEST).read_text() == "{}"
    assert mirrored(store, tmp_path / "copy") == 5
    assert not list(tmp_path.rglob("*.mirror"))


def test_a_directory_that_is_behind_or_of_another_sweep_is_refused(
    tmp_path: Path, small: Study, folder: Store
) -> None:
    with driving(tmp_path / "a", folder, small):
        pass
    with driving(tmp_path / "b", folder, small):
        pass
    with pytest.raises(DirectoryError, match=r"a: is behind file://.*; an empty --out resumes from there$"):
        ExitStack().enter_context(driving(tmp_path / "a", folder, small))
    with driving(tmp_path / "b", folder, small):
        pass
    with driving(tmp_path / "c", Store.at(str(tmp_path / "another")), small):
        pass
    with pytest.raises(
        DirectoryError, match=r"does not hold the sweep of .*c; each sweep needs its own place in"
    ):
        ExitStack().enter_context(driving(tmp_path / "c", folder, small))
    renamed = dataclasses.replace(small, name="another-study")
    with pytest.raises(
        DirectoryError, match=r'^file://.*/store: holds the study "small", not "another-study"'
    ):
        ExitStack().enter_context(driving(tmp_path / "d", folder, renamed))
    assert not (tmp_path / "d").exists()


def test_a_second_driver_is_refused_until_the_first_has_ended(
    tmp_path: Path, small: Study, object_store: ObjectStore
) -> None:
    store = Store.at(object_store.uri("sweep"))
    with driving(tmp_path / "a", store, small):
        with pytest.raises(
            StorageError, match=r"is in use by another driver \(process \d+ on .*/a\); if .* s$"
        ):
            ExitStack().enter_context(driving(tmp_path / "b", store, small))
        assert not (tmp_path / "b").exists()
    with driving(tmp_path / "b", store, small):
        pass


def test_a_dead_drivers_lease_ends_after_three_intervals(tmp_path: Path, folder: Store) -> None:
    first, second = (Lease(folder, tmp_path / name, every=EVERY) for name in "ab")
    first.take()
    taken = time.monotonic()
    with pytest.raises(StorageError, match="is in use by another driver"):
        second.take()
    time.sleep(2 * EVERY)
    first.renew()
    time.sleep(2 * EVERY)
    with pytest.raises(StorageError, match="is in use by another driver"):
        second.take()
    time.sleep(INTERVALS * EVERY)
    assert time.monotonic() - taken > INTERVALS * EVERY
    second.take()
    first.renew()
    assert first.taken_by is not None
    assert "/b" in first.taken_by
    second.release()
    late = Lease(folder, tmp_path / "a", every=EVERY)
    late.renew()
    assert late.taken_by is not None, "a driver given up for dead finds that another one was here"


def test_the_next_driver_of_a_directory_need_not_wait_for_the_lease_to_end(
    tmp_path: Path, folder: Store
) -> None:
    (tmp_path / "a").mkdir()
    dead = Lease(folder, tmp_path / "a", every=60)
    dead.take()
    dead.remember()
    Lease(folder, tmp_path / "a", every=60).take()
    with pytest.raises(StorageError):
        Lease(folder, tmp_path / "b", every=60).take()


def test_a_driver_whose_lease_was_taken_over_ends_without_touching_the_store(
    tmp_path: Path, small: Study, folder: Store
) -> None:
    stop_requested, warnings = threading.Event(), list[str]()
    with driving(tmp_path / "a", folder, small, every=EVERY) as (mirror, ledger):
        with mirror.following(stop=stop_requested.set, warn=warnings.append):
            wait_for(lambda: folder.modified(files.LEDGER))
            lease = json.loads(folder.read(LEASE) or b"")
            folder.write(LEASE, json.dumps({**lease, "identity": "of another"}).encode())
            assert stop_requested.wait(5)
        before = folder.modified(files.LEDGER)
        measure(ledger, small, 3)
    assert folder.modified(files.LEDGER) == before
    assert len(warnings) == 1
    assert "was taken over by another driver (process " in warnings[0]
    assert json.loads(folder.read(LEASE) or b"")["identity"] == "of another"


@pytest.mark.parametrize("fault", ["emptied", "full"])
def test_a_store_that_no_waiting_mends_ends_the_driver(
    tmp_path: Path, small: Study, folder: Store, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_requested, warnings, stack = threading.Event(), list[str](), ExitStack()
    mirror, ledger = stack.enter_context(driving(tmp_path / "a", folder, small, every=EVERY))
    with mirror.following(stop=stop_requested.set, warn=warnings.append):
        wait_for(lambda: folder.modified(files.LEDGER))
        measure(ledger, small, 2)
        if fault == "emptied":
            (tmp_path / "store").rename(tmp_path / "unmounted")
        else:
            monkeypatch.setattr("sweeps.storage.store.fs.copy_files", full_disk)
            measure(ledger, small, 3)
        assert stop_requested.wait(5)
    with pytest.raises(OSError, match=r"a has everything; run the same command again to send it$"):
        stack.close()
    told = {"emptied": "driver.json is gone: the store was emptied, or", "full": "No space left on device"}[
        fault
    ]
    assert told in warnings[0]
    assert not (tmp_path / "store" / files.LEDGER).exists() or fault == "full", "nothing is written elsewhere"
    if fault == "emptied":
        assert not (tmp_path / "store").exists()
        (tmp_path / "unmounted").rename(tmp_path / "store")
    monkeypatch.undo()
    with driving(tmp_path / "a", folder, small):
        pass
    assert mirrored(folder, tmp_path / "copy") == {"emptied": 2, "full": 3}[fault]


def full_disk(*arguments: Any, **options: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.timeout(60)
def test_a_store_that_fails_for_a_while_is_reported_once_and_catches_up(
    tmp_path: Path, small: Study, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload, attempts = Mirror.upload, list[Mirror]()

    def count_and_upload(mirror: Mirror) -> None:
        attempts.append(mirror)
        upload(mirror)

    monkeypatch.setattr(Mirror, "upload", count_and_upload)
    store, warnings = Store.at(object_store.uri("sweep")), list[str]()
    with (
        driving(tmp_path / "a", store, small, every=EVERY) as (mirror, ledger),
        mirror.following(stop=pytest.fail, warn=warnings.append),
    ):
        wait_for(lambda: store.modified(files.LEDGER))
        object_store.stop()
        measure(ledger, small, 4)
        wait_for(lambda: warnings)
        count = len(attempts)
        wait_for(lambda: len(attempts) == count + 2)  # the first of these also failed
        object_store.start()
        wait_for(lambda: mirrored(store, tmp_path / "copy") == 4)
    assert len(warnings) == 1
    assert "cannot be reached" in warnings[0]
    assert "\n" not in warnings[0]


@pytest.mark.timeout(60)
def test_a_store_that_fails_at_the_end_is_an_error_and_nothing_is_lost(
    tmp_path: Path, small: Study, object_store: ObjectStore
) -> None:
    store = Store.at(object_store.uri("sweep"))
    driver = driving(tmp_path / "a", store, small)
    _, ledger = driver.__enter__()
    measure(ledger, small, 2)
    object_store.stop()
    with pytest.raises(
        OSError, match=r"cannot be reached.*a has everything; run the same command again to send it$"
    ):
        driver.__exit__(None, None, None)
    object_store.start()
    with driving(tmp_path / "a", store, small):
        pass
    assert mirrored(store, tmp_path / "copy") == 2


def test_a_complete_sweep_is_fetched_and_its_encoders_exported(
    tmp_path: Path, small: Study, object_store: ObjectStore
) -> None:
    uri = object_store.uri("sweep")
    with driving(tmp_path / "a", Store.at(uri), small) as (_, ledger):
        measure(ledger, small, 8)
    outcome = run(small, tmp_path / "b", options=RunOptions(storage=uri))
    assert not outcome.ran
    assert outcome.counts["complete"] == 8
    assert (tmp_path / "b" / "trials.parquet").exists()
    trial_id = small.trials()[0].trial_id
    Store.at(uri).write(f"checkpoints/{trial_id}/encoder.safetensors", tensor_file(b"weights", trial_id))
    export_encoder(tmp_path / "b", trial_id, tmp_path / "encoder")
    assert (tmp_path / "encoder").read_bytes() == tensor_file(b"weights", trial_id)
