"""Checks of disk and store: each is seen to fail, and says what to do."""

import fcntl
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from sweeps.doctor import places
from sweeps.doctor.check import Trouble
from sweeps.errors import StorageError
from sweeps.storage.store import Store
from tests.sweeps.doctor.test_machine import result


def test_a_directory_that_is_not_there_yet_is_on_the_disk_of_its_parent(tmp_path: Path) -> None:
    assert result(lambda: places.disk(tmp_path / "runs" / "new")).detail.endswith(f" GiB free at {tmp_path}")
    assert result(lambda: places.writing(tmp_path / "runs" / "new")).fine
    assert not [*tmp_path.iterdir()], "nothing is left behind"


def test_a_disk_that_is_nearly_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**28))
    found = result(lambda: places.disk(tmp_path))
    assert (found.fine, found.detail.startswith(f"{tmp_path} has only 0.25 GiB free")) == (False, True)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    found = result(lambda: places.writing(Path("/proc/nowhere")))
    assert (found.fine, found.detail.startswith("/proc cannot hold a sweep: ")) == (False, True)


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    found = result(lambda: places.writing(tmp_path))
    assert (found.fine, "No locks available" in found.detail) == (False, True)


def test_a_store_that_works_and_what_is_wrong_with_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = f"file://{tmp_path}/a%20new/store"
    for check in (lambda: places.store(new), lambda: places.store_clock(new)):
        assert result(check).fine
        assert not [*tmp_path.iterdir()], "nothing is left behind"
    (tmp_path / "store").mkdir()
    assert result(lambda: places.store(str(tmp_path / "store"))).fine
    assert not [*(tmp_path / "store").iterdir()], "nothing is left behind"
    (tmp_path / "file").touch()
    found = result(lambda: places.store(str(tmp_path / "file")))
    assert (found.fine, "credentials" in found.remedy) == (False, True)
    assert not result(lambda: places.store("s3://")).fine
    monkeypatch.setattr(Store, "read", lambda self, name: b"other")
    assert "returns other bytes" in result(lambda: places.store(str(tmp_path / "store"))).detail

    def unreadable(self: Store, name: str) -> bytes:
        raise StorageError("cannot be read")

    monkeypatch.setattr(Store, "read", unreadable)
    assert result(lambda: places.store(str(tmp_path / "store"))).detail == "cannot be read"
    assert not [*(tmp_path / "store").iterdir()], "nothing is left behind by a check that fails"


def test_a_store_whose_clock_is_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert result(lambda: places.store_clock(str(tmp_path))).fine
    write = Store.write

    def late(self: Store, name: str, content: bytes) -> None:
        write(self, name, content)
        os.utime(tmp_path / name, (time.time() - 3600, time.time() - 3600))

    monkeypatch.setattr(Store, "write", late)
    found = result(lambda: places.store_clock(str(tmp_path)))
    assert (found.fine, "differs by 3," in found.detail) == (False, True)
    assert found.remedy == places.SET_CLOCK
    monkeypatch.setattr(Store, "modified", lambda self, name: None)
    assert "does not find what was written" in result(lambda: places.store_clock(str(tmp_path))).detail


def test_clocks_are_compared_with_room_for_the_answer() -> None:
    assert places.skew("it", 100.5, 100, 101) == "it: within 1 s"
    assert places.skew("it", 100.0, 100.9, 101.5) == "it: within 1 s", "whole seconds"
    assert places.skew("it", 110.0, 100, 101) == "it: within 9 s"
    for stamp in (60.0, 140.0):
        with pytest.raises(Trouble, match="the clock of it differs by "):
            places.skew("it", stamp, 100, 101)
