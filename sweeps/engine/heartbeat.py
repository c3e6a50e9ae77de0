"""What the driver and the workers tell each other while trials run: signs of life, to end, that it is saved.

While trials train, their process counts the batches that it draws (`byol.pulse`), and a thread beside it puts
the count into the key-value table of Ray's control service, from which the driver reads it. A process that
is stopped puts nothing there, and of a loop that hangs the count stays. Time is measured by the driver alone,
but for the hours that a trial may wait for its data.

By the same table the driver tells all trials to end, each tells it when its state is saved, and the driver
tells that the run is over. A process that starts again reads there which trials of its pack have ended.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import ray
from ray.experimental import internal_kv

from byol.pulse import Stopped, beats, tell_to_end

_SECONDS = 5.0
"""Most seconds between two looks at the count in a worker."""
_TOLD_SECONDS = 0.5
"""Most seconds until a worker notices that it is told to end."""
_OVER_SECONDS = 0.2
"""Seconds between two looks at whether the run is over."""
_TABLE = "byol-sweeps"
_END = "end"
_SAVED = "saved"
_OVER = "over"
_RECORDED = "recorded"
_IDLE_SECONDS = 600.0
"""Most seconds that a trial which has saved its state waits for the run to be over."""
LOADING_SECONDS = 6 * 3600.0
"""How long a trial may wait for its data and its checkpoint: one process of a node downloads for all."""


class Heartbeat:
    """Tells the driver of a pack's signs of life while it is open. One for each pack, in its worker."""

    def __init__(
        self, run: str, trial_ids: Sequence[str], *, limit: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        """Tells of a pack of the run with this token, several times within `limit` seconds by `now`.

        Args:
            run: the token of the run.
            trial_ids: the trials of the pack, whose name is that of the first.
            limit: seconds without a sign of life after which the pack counts as hung.
            now: the clock, in seconds.
        """
        self._run, self._trial_ids = run, trial_ids
        self._closed = threading.Event()
        self._seconds = min(_SECONDS, limit / 10)
        self._now, self._told = now, -1
        self._loads_until = now() + LOADING_SECONDS
        self.loading = False
        """Whether the pack waits for its data, which counts as a sign of life for LOADING_SECONDS."""

    @contextlib.contextmanager
    def beating(self) -> Iterator["Heartbeat"]:
        """Tells of signs of life until it closes."""
        thread = threading.Thread(target=self._repeat, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._closed.set()

    def check_end(self) -> None:
        """Before a trial begins. Ray starts one in a place that becomes free while the sweep ends.

        Raises:
            Stopped: the trials were told to end, so that this one does not begin.
        """
        if _read(f"{self._run}/{_END}") is not None:
            raise Stopped

    def saved(self, trial_id: str) -> None:
        """Tells the driver that a trial can be ended: nothing more is lost by it."""
        _write(f"{self._run}/{trial_id}/{_SAVED}", "")

    def recorded(self, trial_id: str) -> None:
        """Tells this pack's next process, if there is one, that the driver has recorded a trial's end."""
        _write(f"{self._run}/{trial_id}/{_RECORDED}", "")

    def is_recorded(self, trial_id: str) -> bool:
        """Whether an earlier process of this pack has told that a trial's end is recorded."""
        return _read(f"{self._run}/{trial_id}/{_RECORDED}") is not None

    def wait_for_end(self) -> None:
        """Waits until the run is over: one that returned earlier would make Ray start the next one."""
        until = self._now() + _IDLE_SECONDS
        while self._now() < until and _read(f"{self._run}/{_OVER}") is None:
            time.sleep(_OVER_SECONDS)

    def _repeat(self) -> None:
        count, due = 0, self._now()
        while True:
            if self._now() >= due:
                due = self._now() + self._seconds
                if self._is_alive():
                    count += 1
                    _write(f"{self._run}/{self._trial_ids[0]}", f"{os.getpid()} {count}")
            self._listen()
            if self._closed.wait(min(self._seconds, _TOLD_SECONDS)):
                return

    def _listen(self) -> None:
        """Passes on that the trials are to end. One that has not begun has nothing to save."""
        if _read(f"{self._run}/{_END}") is not None:
            tell_to_end()
            if self.loading:
                for trial_id in self._trial_ids:
                    self.saved(trial_id)

    def _is_alive(self) -> bool:
        """Whether there was a sign of life since this was last asked."""
        told, self._told = self._told, beats()
        return told != self._told or (self.loading and self._now() < self._loads_until)


def _write(key: str, value: str) -> None:
    with contextlib.suppress(Exception):  # a control service that is away for a moment
        internal_kv._internal_kv_put(key, value, namespace=_TABLE)


def _read(key: str) -> bytes | None:
    with contextlib.suppress(Exception):  # Ray itself says that its control service is gone
        value: bytes | None = internal_kv._internal_kv_get(key, namespace=_TABLE)
        return value
    return None


def tell_all_to_end(run: str) -> None:
    """Tells all trials of the run with this token to save their states and end."""
    _write(f"{run}/{_END}", "")


def tell_run_is_over(run: str) -> None:
    """Tells the idle trials of a run that no other starts. Ray would wait some 10 s before it kills them."""
    _write(f"{run}/{_OVER}", "")


def has_saved(run: str, trial_id: str) -> bool:
    """Whether a trial that was told to end has saved its state, and is idle."""
    return _read(f"{run}/{trial_id}/{_SAVED}") is not None


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
