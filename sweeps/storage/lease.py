"""One driver at a time for a store, from whatever machine: it holds a lease, an object that it renews.

A lease that was not renewed for three of its intervals is taken over. Ages are measured by the store's own
clock. Stores have no locks, so that two drivers that start in the same second may both get through; one of
them finds the other's lease when it renews its own, and ends.
"""

import json
import math
import os
import platform
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from byol.files import write_text
from sweeps.errors import StorageError
from sweeps.storage.store import Store

LEASE = "driver.json"
"""The object in the store."""
INTERVALS = 3
"""For how many of its intervals a lease holds that is not renewed."""
_PROBE = "driver.probe"
_IDENTITY = "driver.id"


class Lease:
    """The claim of one directory's driver to a store."""

    def __init__(self, store: Store, out: Path, *, every: float) -> None:
        """Of the driver of `out`, who will renew it every so many seconds. Does nothing yet."""
        self._store = store
        self._every = every
        self._identity = out / _IDENTITY
        self._who = {
            "identity": self._identity.read_text() if self._identity.exists() else uuid.uuid4().hex,
            "host": platform.node(),
            "directory": str(out.absolute()),
        }
        self.taken_by: str | None = None
        """The driver that has taken the store over."""

    def take(self) -> None:
        """Becomes the one driver of the store.

        Raises:
            StorageError: another one is, or the store cannot be read and written.
        """
        self._store.write(_PROBE, b"")
        now, renewed = self._store.modified(_PROBE), self._store.modified(LEASE)
        self._store.delete(_PROBE)
        if now is not None and renewed is not None:
            lease = json.loads(self._store.read(LEASE) or b"{}")
            wait = INTERVALS * lease.get("renewed_every_seconds", self._every) - (now - renewed)
            if wait > 0 and not self._is_own(lease):
                raise StorageError(
                    f"{self._store}: is in use by another driver ({_holder(lease)}); if that one has died, "
                    f"its lease ends in {math.ceil(wait)} s"
                )
        self._write(every=self._every)
        self.renew()
        if self.taken_by is not None:
            raise StorageError(f"{self._store}: is in use by another driver ({self.taken_by})")

    def remember(self) -> None:
        """Lets the directory's next driver recognise this lease as its own. The directory must be locked."""
        write_text(self._identity, self._who["identity"])

    def renew(self) -> None:
        """Renews the lease, unless another driver has taken it.

        Raises:
            StorageError: the store fails.
        """
        content = self._store.read(LEASE)
        if content is not None and not self._is_own(lease := json.loads(content)):
            self.taken_by = _holder(lease)
        if self.taken_by is None:
            self._write(every=self._every)

    def release(self) -> None:
        """Gives the store to whoever comes next. The lease stays: a driver that was given up may look for it.

        Raises:
            StorageError: the store fails.
        """
        if self.taken_by is None:
            self._write(every=0)

    def _write(self, *, every: float) -> None:
        lease = {**self._who, "process": os.getpid(), "renewed_every_seconds": every}
        self._store.write(LEASE, json.dumps(lease).encode())

    def _is_own(self, lease: Mapping[str, Any]) -> bool:
        # Of this directory, then: an earlier driver of it is dead, since the directory is free.
        return all(lease.get(key) == value for key, value in self._who.items())


def _holder(lease: Mapping[str, Any]) -> str:
    return f"process {lease.get('process')} on {lease.get('host')}, directory {lease.get('directory')}"
