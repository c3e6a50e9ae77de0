"""Ray."""

import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any

import ray
from ray import tune

from sweeps.errors import EngineError
from sweeps.study import Resources


class Interruption(tune.Stopper):  # type: ignore[misc]
    """Stops the sweep gracefully on SIGINT, SIGTERM or SIGUSR1, or when its time is up.

    A second SIGINT stops it at once.
    """

    def __init__(self, deadline: float | None = None) -> None:
        """Not interrupted yet; `deadline` is a time of the monotonic clock."""
        self.asked = False
        self.out_of_time = False
        self._deadline = deadline

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Stops no trial by itself."""
        return False

    def stop_all(self) -> bool:
        """Whether the sweep is to stop."""
        if not self.asked and self._deadline is not None and time.monotonic() >= self._deadline:
            self.asked = self.out_of_time = True
        return self.asked

    def ask(self) -> None:
        """Asks for the end, as the first signal does."""
        self.asked = True

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The signal handler."""
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True

    def install(self) -> None:
        """Becomes the handler. Ray sets handlers of its own when it starts, so this is called again then."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, self.handle)


@contextlib.contextmanager
def interruptible(deadline: float | None = None) -> Iterator[Interruption]:
    """Within it, signals that ask for an end set `asked` on the interruption, and so does the deadline."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    interruption = Interruption(deadline)
    interruption.install()
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def connected(address: str | None, resources: Resources) -> Iterator[dict[str, float]]:
    """Starts Ray on this machine, or joins the cluster at `address` ("auto" finds it); yields what there is.

    Raises:
        EngineError: no cluster answers, or none of its nodes can hold a trial.
    """
    started_here = not ray.is_initialized()
    if started_here:
        _check_reachable(address)
        if address is None:
            os.environ["OMP_NUM_THREADS"] = str(max(1, int(resources.cpu)))
        try:
            ray.init(
                address=address or "local",
                include_dashboard=None if address else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except Exception as error:  # Ray raises bare ones too, such as for a start that took too long
            hint = " (a cluster with tokens wants RAY_AUTH_MODE=token and its token here)" if address else ""
            reason = " ".join(str(error).split())
            raise EngineError(f"Ray at {address or 'this machine'}: {reason}{hint}") from None
    try:
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        available = dict(ray.cluster_resources())
        if address is None:
            _check_fit(resources, available)
        yield available
    finally:
        if started_here:
            ray.shutdown()


def _check_reachable(address: str | None) -> None:
    """Asks before Ray does, which would try for long and say it at length."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise EngineError(f"Ray at {address}: no cluster answers there ({error})") from None


def room(resources: Resources, available: Mapping[str, float]) -> int:
    """How many trials fit at a time, at least 1."""
    fitting = [_fitting(available.get("CPU", 0), resources.cpu)]
    if resources.gpu:
        fitting.append(_fitting(available.get("GPU", 0), resources.gpu))
    return max(1, min(fitting))


def _fitting(there: float, asked: float) -> int:
    """How often `asked` fits; a share below 1 lies within one unit, as Ray places it."""
    return int(there) * int(1 / asked + 1e-9) if asked < 1 else int(there / asked)


def _check_fit(resources: Resources, available: Mapping[str, float]) -> None:
    for key, asked in (("cpu", resources.cpu), ("gpu", resources.gpu)):
        there = available.get(key.upper(), 0)
        if asked > there:
            raise EngineError(
                f"resources.{key}: must be at most the {there:g} of this machine, but got {asked:g}"
            )
