"""Only one driver at a time uses a store, on whatever machine: it holds a lease, an object that it renews.

A lease that was not renewed for three of its intervals may be taken over. The store's clock measures its age.
Stores have no locks, so two drivers that start in the same second may both get a lease. One of them finds the
other's lease when it renews its own, and ends.
"""

import json
import math
import os
import platform
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from byol.files import write_text
from sweeps.errors import LastingStorageError, StorageError
from sweeps.storage.store import Store

LEASE = "driver.json"
"""The object in the store."""
INTERVALS = 3
"""The number of its intervals after which a lease that was not renewed ends."""
_PROBE = "driver.probe"
_IDENTITY = "driver.id"


class Lease:
    """The lease of one directory's driver on a store. `Mirror` takes and renews it."""

    def __init__(self, store: Store, out: Path, *, every: float) -> None:
        """Prepares a lease for the driver of `out`, which will renew it every `every` seconds."""
        self._store = store
        self._every = every
        self._identity_file = out / _IDENTITY
        self._driver = {
            "identity": _identity(self._identity_file) or uuid.uuid4().hex,
            "host": platform.node(),
            "directory": str(out.absolute()),
        }
        self._is_held = False
        self.taken_by: str | None = None
        """The driver that has taken over the store; None if none has."""

    def take(self) -> None:
        """Takes the lease.

        Raises:
            StorageError: another driver has it, or the store cannot be read and written.
        """
        self._store.write(_PROBE, b"")
        now, renewed = self._store.modified(_PROBE), self._store.modified(LEASE)
        self._store.delete(_PROBE)
        if now is not None and renewed is not None:
            lease = _parsed(self._store.read(LEASE))
            every = self._every if lease is None else lease["renewed_every_seconds"]
            wait = INTERVALS * every - (now - renewed)
            if wait > 0 and lease is None:
                raise StorageError(
                    f"{self._store}/{LEASE}: is damaged, so another driver may be using the store; "
                    f"if none is, its lease ends in {math.ceil(wait)} s"
                )
            if wait > 0 and lease is not None and not self._is_of_this_directory(lease):
                raise StorageError(
                    f"{self._store}: is in use by another driver ({_holder(lease)}); "
                    f"if that driver has died, its lease ends in {math.ceil(wait)} s"
                )
        self._write(every=self._every)
        self.renew()
        self._is_held = True
        if self.taken_by is not None:
            raise StorageError(f"{self._store}: is in use by another driver ({self.taken_by})")

    def remember(self) -> None:
        """Lets the directory's next driver take over this lease at once. The directory must be locked."""
        write_text(self._identity_file, self._driver["identity"])

    def renew(self) -> None:
        """Renews the lease, unless another driver has taken it. Replaces a damaged one.

        Raises:
            StorageError: the store fails, or is not the one any more in which the lease was taken.
        """
        content = self._store.read(LEASE)
        if content is None and self._is_held:
            raise LastingStorageError(
                f"{self._store}: {LEASE} is gone: the store was emptied, or is not mounted any more"
            )
        lease = _parsed(content)
        if lease is not None and not self._is_of_this_directory(lease):
            self.taken_by = _holder(lease)
        if self.taken_by is None:
            self._write(every=self._every)

    def release(self) -> None:
        """Frees the store for the next driver. The object stays: a driver given up for dead may look for it.

        Raises:
            StorageError: the store fails.
        """
        if self.taken_by is None and self._store.read(LEASE) is not None:
            self._write(every=0)

    def _write(self, *, every: float) -> None:
        lease = {**self._driver, "process": os.getpid(), "renewed_every_seconds": every}
        self._store.write(LEASE, json.dumps(lease).encode())

    def _is_of_this_directory(self, lease: Mapping[str, object]) -> bool:
        # An earlier driver of this directory is dead, because the directory is not locked.
        return all(lease.get(key) == value for key, value in self._driver.items())


def _identity(path: Path) -> str | None:
    """The id that an earlier driver of the directory has left; None without one, or if it is damaged."""
    text = path.read_bytes().decode(errors="replace") if path.exists() else ""
    return text if re.fullmatch("[0-9a-f]{32}", text) else None


def _parsed(content: bytes | None) -> dict[str, Any] | None:
    """The lease in an object; None without one, or if it is damaged."""
    try:
        lease = json.loads(content or b"")
        every = lease["renewed_every_seconds"]
        lease["identity"], lease["host"], lease["directory"]
    except (ValueError, TypeError, LookupError):
        return None
    return dict(lease) if isinstance(every, int | float) and 0 <= every < math.inf else None


def _holder(lease: Mapping[str, object]) -> str:
    return f"process {lease.get('process')} on {lease.get('host')}, directory {lease.get('directory')}"
