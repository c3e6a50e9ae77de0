"""A copy of the ledger in a store, from which a sweep resumes on another machine when the first one is gone.

The directory's ledger is the truth and is never overwritten. The mirror is a snapshot of it, taken by a
separate thread, so that neither the driver nor a trial waits for the network. Every driver adds an id to the
ledger. The ids in order are the sweep's history: a directory may replace the store's ledger only if its
history contains all of the store's, and a directory that is behind is refused.
"""

import contextlib
import shutil
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from byol.files import replacing
from sweeps import files
from sweeps.errors import DirectoryError, LastingStorageError, StorageError, is_of_disk, one_line
from sweeps.record import directory, same_study
from sweeps.record.ledger import Ledger
from sweeps.record.rows import Fact
from sweeps.storage.lease import Lease
from sweeps.storage.store import Store
from sweeps.study import Study
from sweeps.temporary import temporary_folder

_SNAPSHOT = ".mirror"
_REMEDY = (
    "If the sweep went on in no other directory, remove it: the next `run` in the sweep's directory sends it "
    "again"
)


def add_driver(ledger: Ledger) -> None:
    """Adds an id for this driver to the ledger's history."""
    ids = [*_history(ledger), uuid.uuid4().hex[:12]]
    ledger.set_fact(Fact.DRIVERS, " ".join(ids))


def _history(ledger: Ledger) -> list[str]:
    """Returns the ids of the drivers that wrote to the ledger, in order."""
    return ledger.facts().get(Fact.DRIVERS, "").split()


class Mirror:
    """Keeps a store up to date with a sweep's directory; does nothing without a store. `Sweep` uses it."""

    def __init__(self, out: Path, store: Store | None, *, every: float) -> None:
        """Connects the directory `out` to `store`, with copies every `every` seconds."""
        self._out = out
        self.store = store
        """The store; None without one."""
        self._every = every
        self._lease = Lease(store, out, every=every) if store else None
        self._sent: tuple[tuple[int, int], ...] = ()
        self.source = out
        """Where to read the sweep's ledger before the directory is locked: `out`, or a fetched copy."""

    @contextlib.contextmanager
    def opened(self, study: Study, trial_ids: set[str]) -> Iterator["Mirror"]:
        """Takes the store's lease, and fetches the sweep from there if `out` has no ledger.

        The lease is renewed, and the fetched copy kept, until it closes.

        Raises:
            StorageError: the store cannot be reached, read and written, or another driver is using it.
            DirectoryError: the store holds another sweep, or a later state of this one.
        """
        if self.store is None or self._lease is None:
            yield self
            return
        self._lease.take()  # before fetching: afterwards no other driver changes the store
        renewal = _Repeating(self._every, self._lease.renew)
        try:
            self.store.remove_partial_files()
            with temporary_folder("ledger") as fetched:
                self._check(self.store, fetched, study, trial_ids)
                yield self
        finally:
            renewal.stop()
            with contextlib.suppress(StorageError):
                self._lease.release()

    @contextlib.contextmanager
    def synchronised(self) -> Iterator[None]:
        """Puts the fetched files into the directory, which must be locked; sends its last state at the end.

        Raises:
            OSError: the store fails at the end.
        """
        self._install()
        try:
            yield
        except BaseException:
            with contextlib.suppress(
                OSError, StorageError, sqlite3.Error
            ):  # the first error says what is wrong
                self._finish()
            raise
        self._finish()

    def _install(self) -> None:
        for left in self._out.glob(f"{files.LEDGER}{_SNAPSHOT}*"):  # of a killed driver
            left.unlink()
        if self._lease is not None:
            self._lease.remember()
        if self.source == self._out:
            return
        # What a killed driver left beside its ledger is of that ledger; SQLite would apply it to the store's.
        for name in (f"{files.LEDGER}-wal", f"{files.LEDGER}-shm"):
            (self._out / name).unlink(missing_ok=True)
        # Once the ledger is there, the directory holds the sweep; it holds the texts, too.
        for name in (files.JOURNAL, files.LEDGER, files.STUDY, files.MANIFEST):
            if (self.source / name).exists():
                with replacing(self._out / name) as partial:
                    shutil.copyfile(self.source / name, partial)
        self.source = self._out

    @contextlib.contextmanager
    def following(self, *, stop: Callable[[], None], warn: Callable[[str], None]) -> Iterator[None]:
        """Uploads the directory at intervals.

        Args:
            stop: called if another driver has taken over the store, or no waiting mends it: this driver ends.
            warn: called with one line about that, and once for each period in which the store fails.
        """
        failing = False

        def try_upload() -> None:
            nonlocal failing
            try:
                self.upload()
                failing = False
            except (StorageError, OSError, sqlite3.Error) as error:
                if not failing:
                    warn(f"{one_line(error)} (nothing is lost: {self._out} has everything)")
                failing = True
                if self._is_taken or isinstance(error, LastingStorageError) or is_of_disk(error):
                    stop()

        uploads = _Repeating(self._every, try_upload, at_once=True) if self.store else None
        try:
            yield
        finally:
            if uploads:
                uploads.stop()

    def upload(self) -> None:
        """Uploads a snapshot of the ledger, and the files that describe it, if anything has changed.

        Raises:
            StorageError: the store fails, or another driver has taken it over.
        """
        if self.store is None or self._lease is None:
            return
        self._lease.renew()
        if self._is_taken:
            raise StorageError(f"{self.store}: was taken over by another driver ({self._lease.taken_by})")
        if not directory.has_ledger(self._out):
            return  # an error came before the plan: a ledger without one would block the store
        ledger = self._out / files.LEDGER
        watched = (ledger, ledger.with_name(f"{ledger.name}-wal"), self._out / files.MANIFEST)
        stamps = tuple((file.stat().st_mtime_ns, file.stat().st_size) for file in watched if file.exists())
        if stamps == self._sent:
            return
        # The journal goes first: a newer ledger settles samples that an older journal counts as running.
        if (self._out / files.JOURNAL).exists():
            self.store.upload(self._out / files.JOURNAL, files.JOURNAL)
        snapshot = ledger.with_name(f"{ledger.name}{_SNAPSHOT}")
        try:
            take_snapshot(ledger, snapshot)
            self.store.upload(snapshot, files.LEDGER)
        finally:
            snapshot.unlink(missing_ok=True)
        for name in (files.STUDY, files.MANIFEST):
            if (self._out / name).exists():
                self.store.upload(self._out / name, name)
        self._sent = stamps

    def _finish(self) -> None:
        if self._is_taken:
            return
        try:
            self.upload()
        except StorageError as error:
            hint = f"{self._out} has everything; run the same command again to send it"
            raise OSError(f"{error}; {hint}") from None

    @property
    def _is_taken(self) -> bool:
        return self._lease is not None and self._lease.taken_by is not None

    def _check(self, store: Store, fetched: Path, study: Study, trial_ids: set[str]) -> None:
        """Fetches the store's ledger, and checks it against the study and the directory's ledger."""
        if not store.download(files.LEDGER, fetched / files.LEDGER):
            return
        with directory.open_ledger(fetched, name=f"{store}/{files.LEDGER}", remedy=_REMEDY) as ledger:
            ledger.check_rows()  # before it becomes the directory's
            same_study.check(ledger, str(store), study, trial_ids)
            stored_history = _history(ledger)
        if not directory.has_ledger(self._out):
            for name in (files.STUDY, files.MANIFEST, files.JOURNAL):
                store.download(name, fetched / name)
            self.source = fetched
            return
        with directory.open_ledger(self._out) as ledger:
            local_history = _history(ledger)
        if stored_history and stored_history[-1] in local_history:
            return
        if local_history and local_history[-1] in stored_history:
            raise DirectoryError(
                f"{self._out}: is behind {store}, from which another driver has resumed; an empty --out "
                "resumes from there"
            )
        raise DirectoryError(
            f"{store}: does not hold the sweep of {self._out}; each sweep needs its own place in a store"
        )


def take_snapshot(ledger: Path, snapshot: Path) -> None:
    """Copies a ledger, as of one moment, into a single file, even while a driver writes to it."""
    with (
        contextlib.closing(sqlite3.connect(f"{ledger.absolute().as_uri()}?mode=ro", uri=True)) as source,
        contextlib.closing(sqlite3.connect(snapshot)) as target,
    ):
        target.execute("PRAGMA synchronous = OFF")
        source.backup(target)  # in one step, without the interpreter's lock
        target.execute("PRAGMA journal_mode = DELETE")  # a single file, which opens anywhere


class _Repeating:
    """Calls a function in a separate thread, at intervals, until stopped."""

    def __init__(self, seconds: float, call: Callable[[], None], *, at_once: bool = False) -> None:
        """Starts the thread. The first call comes after `seconds`, or immediately if `at_once`."""
        self._seconds = seconds
        self._call = call
        self._at_once = at_once
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._repeat, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Waits for a call in progress, and ends the thread."""
        self._stopped.set()
        self._thread.join()

    def _repeat(self) -> None:
        if self._at_once:
            self._call()
        while not self._stopped.wait(self._seconds):
            with contextlib.suppress(StorageError):  # the next interval tries again
                self._call()
