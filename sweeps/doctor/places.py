"""Where a sweep would be kept: the disk of its directory, and a store."""

import contextlib
import fcntl
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sweeps.doctor.check import Trouble
from sweeps.errors import StorageError
from sweeps.storage.store import Store

LEAST_DISK_GIB = 1.0
MOST_SKEW_SECONDS = 30.0
"""Clocks that differ by more make dates in ledger and manifest misleading; S3 refuses 15 minutes."""
SET_CLOCK = "let a time service set the clock of this machine (`timedatectl set-ntp true`)"


def _folder(out: Path) -> Path:
    """The directory, or the one above it that exists."""
    return next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())


def disk(out: Path) -> str:
    """Free space where sweeps would be written."""
    folder = _folder(out)
    free = shutil.disk_usage(folder).free / 2**30
    if free < LEAST_DISK_GIB:
        raise Trouble(
            f"{folder} has only {free:.2f} GiB free, and a full disk stops a sweep",
            "make room there, or name another place by --out",
        )
    return f"{free:.1f} GiB free at {folder}"


def writing(out: Path) -> str:
    """Does what a sweep does to its directory: files, renames, a lock, and SQLite's log."""
    folder = _folder(out)
    try:
        with tempfile.TemporaryDirectory(prefix=".byol-sweeps-doctor-", dir=folder) as place:
            _write(Path(place))
    except (OSError, sqlite3.Error) as error:
        raise Trouble(
            f"{folder} cannot hold a sweep: {error}",
            "name a folder on a local disk that you may write to by --out, and keep a copy elsewhere by "
            "--storage",
        ) from None
    return f"files, locks and SQLite work at {folder}"


def _write(place: Path) -> None:
    (place / "partial").write_bytes(b"a")
    (place / "partial").rename(place / "whole")
    lock = os.open(place / "whole", os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.fsync(lock)
    finally:
        os.close(lock)
    db = sqlite3.connect(place / "ledger.sqlite")
    try:
        [mode] = db.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise OSError(f"SQLite keeps no write-ahead log there (journal_mode is {mode})")
        db.execute("CREATE TABLE a (b)")
        db.commit()
    finally:
        db.close()


@contextlib.contextmanager
def _leaving_nothing(place: Store, name: str) -> Iterator[None]:
    """Removes a file of the store at the end, and the folders that were made for it."""
    folder = place.local_folder()
    made = [path for path in (folder, *folder.parents) if not path.exists()] if folder else []
    try:
        yield
    finally:
        with contextlib.suppress(StorageError):
            place.delete(name)
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()


def store(storage: str) -> str:
    """Writes, reads, lists and deletes a file in the store."""
    name, content, began = f"doctor.{os.getpid()}.probe", os.urandom(16), time.perf_counter()
    try:
        place = Store.at(storage)
        with _leaving_nothing(place, name):
            place.write(name, content)
            same = place.read(name) == content
            place.delete(name)
    except StorageError as error:
        raise Trouble(
            str(error),
            "create the bucket or the folder, allow reading, listing, writing and deleting below it, and set "
            "the credentials in the environment (docs/storage.md)",
        ) from None
    if not same:
        raise Trouble(f"{place}: returns other bytes than were written", "use another store")
    return f"{place}: written, read and deleted in {time.perf_counter() - began:.2f} s"


def store_clock(storage: str) -> str:
    """Compares the store's clock with this machine's."""
    place, name = Store.at(storage), f"doctor.{os.getpid()}.clock"
    with _leaving_nothing(place, name):
        before = time.time()
        place.write(name, b"")
        stamp, after = place.modified(name), time.time()
    if stamp is None:
        raise Trouble(f"{place}: does not find what was written", "use a store that reads what was written")
    return skew("the store", stamp, before, after)


def skew(what: str, stamp: float, before: float, after: float) -> str:
    """How far a clock is from this one, which showed `before` and `after` around its `stamp`, in seconds."""
    seconds = max(0.0, before - 1 - stamp, stamp - after)  # some clocks show whole seconds
    if seconds > MOST_SKEW_SECONDS:
        raise Trouble(f"the clock of {what} differs by {seconds:,.0f} s from this machine's", SET_CLOCK)
    return f"{what}: within {max(1, round(seconds))} s"
