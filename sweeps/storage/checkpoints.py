"""Where a trial keeps its checkpoints while it runs: the sweep's directory, or a store with a local copy.

A worker, its disk, and the driver with the newest rows of the ledger may all be lost at once, and the
ledger's mirror in the store lags behind. So a checkpoint carries the measurements that led to it:
`reported.jsonl` is sent before the state, so that the store has at least the rows up to the state's step. A
trial that resumes reports them again first, and the ledger replaces its rows. A checkpoint may thus be older
than the ledger (later steps are measured again) or newer (earlier rows come with it), and no row is lost.

A store that fails does not fail the trial: the trial continues, and the next push sends the same files.

The store keeps the state before the latest, too, and a trial whose latest is damaged resumes from that.
"""

import base64
import contextlib
import hashlib
import json
import logging
import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from byol.files import ENCODER, PREVIOUS_STATE, STATE, remove_states, write_text
from byol.pulse import beat
from byol.tensor_file import CheckpointError, verified_header
from sweeps.errors import LastingStorageError, StorageError
from sweeps.files import CHECKPOINTS
from sweeps.record import checksums
from sweeps.record.rows import Measurement
from sweeps.storage.store import Store

ENCODER_AGAIN = "the trial's results stand; a run of it in another directory makes the encoder again"
"""What restores a damaged encoder."""

REPORTED = "reported.jsonl"
"""The measurements that a trial has reported, one per line."""
PAUSE_SECONDS = 60
"""How long a process does not try a store again after it has failed: each attempt costs seconds."""
_paused_until: dict[str, float] = {}
"""URI of a store that has failed -> the time of the monotonic clock at which it is tried again."""

_log = logging.getLogger(__name__)


class Workspace:
    """A worker's folder for one trial. This one is in the sweep's directory, and nothing is copied."""

    def __init__(self, folder: Path) -> None:
        """Uses `folder`, which need not exist."""
        self.folder = folder
        """Where the learner saves state and encoder."""
        self.reported: list[Measurement] = []
        """Measurements of earlier attempts that the ledger may lack: the worker reports them again."""
        self.finished = False
        """Whether the trial has been trained to its end."""

    def keep(self, measurement: Measurement) -> None:
        """Saves a measurement before it is reported."""

    def push(self) -> None:
        """Updates the store between two measurements."""


class StoredWorkspace(Workspace):
    """A worker's folder for one trial, fetched from a store and pushed to it."""

    def __init__(self, folder: Path, store: Store, name: str) -> None:
        """Uses `folder` as the local copy of the folder `name` in `store`."""
        super().__init__(folder)
        self._store = store
        self._name = name
        self._sent: dict[str, tuple[int, int]] = {}
        """File -> modification time and size of the version in the store."""
        self._stored_state_is_whole = True
        """Whether the store's state may take the place of the one before: it is not known to be damaged."""

    def fetch(self) -> None:
        """Fetches the store's files, unless a process that died here has left newer ones."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._fetch()
        except StorageError as error:
            _log.warning("%s; resuming from what is in %s", error, self.folder)
        has_state = self._has(STATE) or self._has(PREVIOUS_STATE)
        reported = _read(self.folder / REPORTED) if self.finished or has_state else []
        if reported is None:
            _log.warning("%s: is damaged; the trial starts again", self.folder / REPORTED)
            remove_states(self.folder)
        self.reported = reported or []
        self.finished = self.finished and bool(self.reported)
        write_text(self.folder / REPORTED, "".join(map(_line, self.reported)))

    def keep(self, measurement: Measurement) -> None:
        """Saves a measurement before it is reported."""
        with (self.folder / REPORTED).open("a", encoding="utf-8") as file:
            file.write(_line(measurement))

    def push(self) -> None:
        """Sends the changed files if there is a new state or encoder.

        Raises:
            LastingStorageError: the store is full, read-only or gone.
        """
        if time.monotonic() < _paused_until.get(self._store.uri, -math.inf):
            return
        try:
            self._push()
        except LastingStorageError:
            raise
        except StorageError as error:
            _log.warning("%s; trying again in %d s", error, PAUSE_SECONDS)
            _paused_until[self._store.uri] = time.monotonic() + PAUSE_SECONDS

    def close(self) -> bool:
        """Sends the rest and removes the local folder. Returns False if it stays because the store failed."""
        try:
            self._push()
        except StorageError as error:
            _log.warning("%s; the trial's files stay in %s", error, self.folder)
            return False
        shutil.rmtree(self.folder, ignore_errors=True)
        return True

    def _fetch(self) -> None:
        stored = self._store.names(self._name)
        self.finished = ENCODER in stored and STATE not in stored and self._encoder_is_whole()
        local_time = (self.folder / STATE).stat().st_mtime if self._has(STATE) else -math.inf
        if self.finished or local_time < stored.get(STATE, -math.inf):
            # The state comes first: files fetched after it were sent with it or later.
            for name in sorted(stored.keys() - {ENCODER, PREVIOUS_STATE}, key=lambda name: name != STATE):
                beat()
                self._store.download(f"{self._name}/{name}", self.folder / name)
                self._sent[name] = _stamp(self.folder / name)
            self._check_state()

    def _encoder_is_whole(self) -> bool:
        name = f"{self._name}/{ENCODER}"
        try:
            verified_header(self._store.read(name) or b"", f"{self._store}/{name}")
        except CheckpointError as error:
            _log.warning("%s; the trial starts again", error)
            return False
        return True

    def _check_state(self) -> None:
        """Fetches the state before the latest if the latest is damaged, and removes that."""
        path = self.folder / STATE
        try:
            if path.exists():
                verified_header(path, f"{self._store}/{self._name}/{STATE}")
                return
        except CheckpointError as error:
            _log.warning("%s; the state before it is taken, if there is one", error)
            path.unlink()
            self._stored_state_is_whole = False
        self._store.download(f"{self._name}/{PREVIOUS_STATE}", self.folder / PREVIOUS_STATE)

    def _push(self) -> None:
        kept_apart = (PREVIOUS_STATE,)  # the store has its own
        files = {
            path.name: _stamp(path)
            for path in self.folder.iterdir()
            if path.suffix != ".partial" and path.name not in kept_apart
        }
        changed = {name for name, stamp in files.items() if self._sent.get(name) != stamp}
        if not changed & {STATE, ENCODER}:
            return
        if self._sent and not self._store.names(self._name):
            raise LastingStorageError(f"{self._store}/{self._name}: is gone, although files were sent there")
        for name in sorted(changed, key=lambda name: (name in (STATE, ENCODER), name)):
            beat()
            if name == STATE and self._stored_state_is_whole:
                self._store.copy(f"{self._name}/{STATE}", f"{self._name}/{PREVIOUS_STATE}")
            self._store.upload(self.folder / name, f"{self._name}/{name}")
            self._sent[name] = files[name]
            self._stored_state_is_whole = self._stored_state_is_whole or name == STATE
        kept = {*files, *(kept_apart if STATE in files else ())}
        for name in self._store.names(self._name).keys() - kept:
            self._store.delete(f"{self._name}/{name}")

    def _has(self, name: str) -> bool:
        return (self.folder / name).exists()


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """Where the checkpoints of a sweep are; the workers get a copy. Small and picklable."""

    folder: Path
    """The folder of checkpoints in the sweep's directory; absolute."""
    store: Store | None = None
    """The store that has the checkpoints instead, if any: then `folder` stays empty."""

    @contextlib.contextmanager
    def workspace(self, trial_id: str) -> Iterator[Workspace]:
        """Yields the folder in which a trial runs; afterwards its files are in the store, if there is one."""
        if self.store is None:
            yield Workspace(self.folder / trial_id)
            return
        folder = local_copies(self.store)
        _send_unsent(folder, self.store)
        # What is still unsent of this trial is its own now: another one that begins here must not remove it.
        (folder / f"{trial_id}.unsent").unlink(missing_ok=True)
        workspace = StoredWorkspace(folder / trial_id, self.store, f"{CHECKPOINTS}/{trial_id}")
        workspace.fetch()
        try:
            yield workspace
        finally:
            if not workspace.close():
                (folder / f"{trial_id}.unsent").touch()

    def has_state(self, trial_id: str) -> bool:
        """Whether the trial has a state from which it can go on; False if the store does not answer."""
        if self.store is None:
            return any((self.folder / trial_id / name).exists() for name in (STATE, PREVIOUS_STATE))
        with contextlib.suppress(StorageError):
            return STATE in self.store.names(f"{CHECKPOINTS}/{trial_id}")
        return False

    def encoder(self, trial_id: str) -> bytes | None:
        """Returns the trained encoder, a safetensors file; None if the trial has none.

        Raises:
            StorageError: the store cannot be read, or the encoder is damaged or of another trial.
        """
        path = self.folder / trial_id / ENCODER
        if path.exists():
            content, place = path.read_bytes(), str(path)
        else:
            name = f"{CHECKPOINTS}/{trial_id}/{ENCODER}"
            stored = self.store.read(name) if self.store else None
            if stored is None:
                return None
            content, place = stored, f"{self.store}/{name}"
        try:
            verified_header(content, place, trial=trial_id)
        except CheckpointError as error:
            raise StorageError(f"{error}; {ENCODER_AGAIN}") from None
        return content


def local_copies(store: Store) -> Path:
    """Returns this machine's temporary folder in which the trials of a sweep run."""
    digest = hashlib.sha256(store.uri.encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"sweep-checkpoints-{os.getuid()}-{digest}"


def _send_unsent(folder: Path, store: Store) -> None:
    """Sends the files that trials on this machine could not send when they ended."""
    for marker in folder.glob("*.unsent"):
        try:
            marker.unlink()  # only one of several processes succeeds
        except FileNotFoundError:
            continue
        workspace = StoredWorkspace(folder / marker.stem, store, f"{CHECKPOINTS}/{marker.stem}")
        if workspace.folder.exists() and not workspace.close():
            marker.touch()
            return


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


def _line(measurement: Measurement) -> str:
    spectra = {level: base64.b64encode(values).decode() for level, values in measurement.spectra.items()}
    text = json.dumps({**measurement.to_report(), "spectra": spectra})
    return f"{text}\t{checksums.of_text(text)}\n"


def _read(path: Path) -> list[Measurement] | None:
    """Reads measurements by step; None if the file is damaged.

    As in the ledger, a repeated step replaces the earlier rows from it on. An unfinished last line is left
    out: the process died while it wrote that. Lines of earlier versions have no checksum.
    """
    measurements: list[Measurement] = []
    lines = path.read_bytes().decode(errors="replace").splitlines(keepends=True) if path.exists() else []
    for number, line in enumerate(lines):
        text, _, checksum = line.rstrip("\n").partition("\t")
        try:
            if checksum and checksum != checksums.of_text(text):
                raise ValueError
            report = json.loads(text)
            spectra = {level: base64.b64decode(value) for level, value in report["spectra"].items()}
            measurement = Measurement.from_report({**report, "spectra": spectra})
        except (ValueError, TypeError, LookupError, AttributeError):
            if number == len(lines) - 1 and not line.endswith("\n"):
                break
            return None
        measurements = [earlier for earlier in measurements if earlier.step < measurement.step]
        measurements.append(measurement)
    return measurements
