"""The connection to Ray, its resources, and the signals that end a sweep."""

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

import ray
from ray.exceptions import RayError
from ray.tune.error import TuneError

from byol.errors import shortened
from sweeps.engine import access
from sweeps.engine.environment import ray_environment
from sweeps.errors import EngineError, WorkersError, one_line
from sweeps.study import Resources

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""Signals that end a sweep gracefully: Ctrl-C, an orderly shutdown, the warning of a batch system."""


_WAITING = b"Interrupted: the sweep ends as soon as what has begun is done. Ctrl-C again ends it at once.\n"


class Interruption:
    """Requests the end of the sweep: after a signal, by a call, or when its time is up.

    After a signal, and when the time is up, running trials may save their states first. A second SIGINT ends
    that; a third one, and a second where no trial runs, raises KeyboardInterrupt.
    """

    def __init__(self, deadline: float | None = None) -> None:
        """Requests nothing yet; `deadline` is a time of the monotonic clock."""
        self.requested = False
        """Whether the end of the sweep was requested."""
        self.at_once = False
        """Whether running trials are cut off: they have saved their states, or have no time to."""
        self.out_of_time = False
        """Whether the deadline has requested it."""
        self.in_run = False
        """Whether trials may be running, which is for `Driver` to say."""
        self._deadline = deadline

    def stop_all(self) -> bool:
        """Returns whether the sweep must end."""
        if not self.requested and self._deadline is not None and time.monotonic() >= self._deadline:
            self.requested = self.out_of_time = True
        return self.requested

    def request(self) -> None:
        """Requests the end of the sweep at once: nothing can be recorded or saved any more."""
        self.requested = self.at_once = True

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Handles a signal."""
        if self.requested and number == signal.SIGINT:
            if self.at_once or not self.in_run:
                raise KeyboardInterrupt
            self.at_once = True
        if not self.requested and not self.in_run:  # Ray's start takes seconds, and cannot be left half done
            with contextlib.suppress(OSError):  # where standard error is closed
                os.write(2, _WAITING)  # a handler must not print: it may have interrupted a print
        self.requested = True

    def install(self) -> None:
        """Installs the signal handler. Needed again once Ray has started, because Ray installs its own."""
        for number in SIGNALS:
            signal.signal(number, self.handle)


@contextlib.contextmanager
def interruptible(deadline: float | None = None) -> Iterator[Interruption]:
    """Lets SIGNALS and the deadline request the sweep's end; restores the earlier handlers afterwards."""
    earlier = {number: signal.getsignal(number) for number in SIGNALS}
    interruption = Interruption(deadline)
    interruption.install()
    try:
        yield interruption
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def connected(
    address: str | None, resources: Resources, packages: Sequence[Path] = ()
) -> Iterator[dict[str, float]]:
    """Starts Ray on this machine, or joins the cluster at `address` ("auto" finds it); yields its resources.

    While connected, Ray's environment variables are set. A Ray that is already running is used, not stopped.

    Args:
        address: of the cluster; None starts one here.
        resources: what one worker occupies.
        packages: Python files and folders of packages that all workers can then import. Workers of a Ray that
            is already running have to find them themselves.

    Raises:
        EngineError: Ray cannot be started or reached, or this machine cannot hold a worker.
        WorkersError: Ray fails later, for example because its disk is full.
    """
    threads = max(1, int(resources.cpu)) if address is None else None
    with ray_environment(threads=threads):
        start_here = not ray.is_initialized()
        if start_here:
            _start(address, packages)
        try:
            logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
            available = dict(ray.cluster_resources())
            if address is None:
                _check_fit(resources, available)
            yield available
        except (RayError, TuneError) as error:
            reason: BaseException = error
            while reason.__cause__ is not None:  # Tune says that it failed, and its cause says why
                reason = reason.__cause__
            told = shortened(one_line(reason) or type(reason).__name__, 500)
            raise WorkersError(f"Ray failed: {told}; run the same command again to resume") from error
        finally:
            if start_here:
                ray.shutdown()


def _start(address: str | None, packages: Sequence[Path]) -> None:
    if address is None:
        access.protect_token()
    else:
        _check_reachable(address)
        access.check_token(address)
    try:
        with contextlib.nullcontext() if address else access.loopback_only(), _own_handlers():
            ray.init(
                address=address or "local",
                include_dashboard=None if address else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={"py_modules": [str(path) for path in packages]} if packages else None,
            )
    except SystemExit:  # Ray's answer to SIGTERM
        raise KeyboardInterrupt from None
    except Exception as error:  # Ray also raises bare exceptions, for example if its start takes too long
        hint = " (a cluster with tokens needs RAY_AUTH_MODE=token and its token here)" if address else ""
        reason = one_line(error)
        raise EngineError(f"Ray at {address or 'this machine'}: {reason}{hint}") from None


@contextlib.contextmanager
def _own_handlers() -> Iterator[None]:
    """Keeps the handlers of signals that Ray replaces."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _check_reachable(address: str) -> None:
    """Connects before Ray does: Ray would try for a long time and print a long message."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise EngineError(f"Ray at {address}: no cluster answers there ({error})") from None


def room(resources: Resources, available: Mapping[str, float]) -> int:
    """Returns how many workers fit at the same time, at least 1."""
    workers = [_fitting(available.get("CPU", 0), resources.cpu)]
    if resources.gpu:
        workers.append(_fitting(available.get("GPU", 0), resources.gpu))
    return max(1, min(workers))


def _fitting(available: float, needed: float) -> int:
    """Returns how often `needed` fits. A share below 1 lies within one unit, as Ray places it."""
    return int(available) * int(1 / needed + 1e-9) if needed < 1 else int(available / needed)


def _check_fit(resources: Resources, available: Mapping[str, float]) -> None:
    for key, needed in (("cpu", resources.cpu), ("gpu", resources.gpu)):
        limit = available.get(key.upper(), 0)
        if needed > limit:
            raise EngineError(
                f"resources.{key}: must be at most the {limit:g} of this machine, but got {needed:g}"
            )
