"""Finds trials whose process shows no sign of life: stopped, or waiting for something that never comes.

While a trial trains, its process counts the batches that it draws (`byol.pulse`), and a thread beside it puts
the count into the key-value table of Ray's control service, from which the driver reads it. A process that
is stopped puts nothing there, and of a loop that hangs the count stays. Time is measured by the driver alone,
but for the hours that a trial may wait for its data.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import ray
from ray.experimental import internal_kv

from byol.pulse import beats

_SECONDS = 5.0
"""Most seconds between two looks at the count in a worker."""
_TABLE = "byol-sweeps"
LOADING_SECONDS = 6 * 3600.0
"""How long a trial may wait for its data and its checkpoint: one process of a node downloads for all."""


class Heartbeat:
    """Tells the driver of a trial's signs of life while it is open. One for each trial, in its worker."""

    def __init__(
        self, run: str, trial_id: str, *, limit: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        """Tells of one trial of the run with this token, several times within `limit` seconds by `now`."""
        self._key = f"{run}/{trial_id}"
        self._ended = threading.Event()
        self._seconds = min(_SECONDS, limit / 10)
        self._now, self._told = now, -1
        self._loads_until = now() + LOADING_SECONDS
        self.loading = True
        """Whether the trial waits for its data, which counts as a sign of life for LOADING_SECONDS."""

    @contextlib.contextmanager
    def beating(self) -> Iterator["Heartbeat"]:
        """Tells of signs of life until it closes."""
        thread = threading.Thread(target=self._repeat, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()

    def _repeat(self) -> None:
        count = 0
        while True:
            if self._is_alive():
                count += 1
                with contextlib.suppress(Exception):  # a control service that is away for a moment
                    internal_kv._internal_kv_put(self._key, f"{os.getpid()} {count}", namespace=_TABLE)
            if self._ended.wait(self._seconds):
                return

    def _is_alive(self) -> bool:
        """Whether there was a sign of life since this was last asked."""
        told, self._told = self._told, beats()
        return told != self._told or (self.loading and self._now() < self._loads_until)


def _read(key: str) -> bytes | None:
    with contextlib.suppress(Exception):  # Ray itself says that its control service is gone
        value: bytes | None = internal_kv._internal_kv_get(key, namespace=_TABLE)
        return value
    return None


def kill(process: "ray.actor.ActorHandle") -> None:
    """Kills the process of a trial, whatever state it is in and whatever node it is on."""
    with contextlib.suppress(Exception):  # it may have died by itself
        ray.kill(process)


class Watch:
    """Tells the driver which trials have shown no sign of life for too long."""

    def __init__(
        self,
        run: str,
        limit: float,
        *,
        read: Callable[[str], bytes | None] = _read,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Watches the trials of one run.

        Args:
            run: the token of the run.
            limit: seconds without a sign of life after which a trial counts as hung.
            read: returns the latest sign of life by its key; None if there is none yet.
            now: the clock, in seconds.
        """
        self._run, self._limit, self._read, self._now = run, limit, read, now
        self._every = min(30.0, limit / 10)
        self._silent: dict[str, float] = {}
        """Id of a running trial -> seconds since its last sign of life."""
        self._latest: dict[str, tuple[object, bytes | None]] = {}
        self._looked = now()

    @property
    def is_due(self) -> bool:
        """Whether it is time to look again."""
        return self._now() - self._looked >= self._every

    def hung(self, running: Mapping[str, object]) -> list[str]:
        """The trials that have now been silent for `limit` seconds; to be called when `is_due`.

        What passes while the driver itself does not look, since it is stopped or busy, is no silence.

        Args:
            running: id of a trial that a process works on -> that process.
        """
        elapsed = self._now() - self._looked
        self._looked += elapsed
        silent = {}
        for trial_id, process in running.items():
            latest = process, self._read(f"{self._run}/{trial_id}")
            known = trial_id in self._silent and latest == self._latest[trial_id]
            silent[trial_id] = self._silent[trial_id] + min(elapsed, 2 * self._every) if known else 0.0
            self._latest[trial_id] = latest
        found = [trial_id for trial_id, seconds in silent.items() if seconds >= self._limit]
        # One that outlives what follows is found again.
        self._silent = silent | dict.fromkeys(found, 0.0)
        return found

    def close(self) -> None:
        """Removes the signs of life of this run."""
        with contextlib.suppress(Exception):
            internal_kv._internal_kv_del(f"{self._run}/", del_by_prefix=True, namespace=_TABLE)
