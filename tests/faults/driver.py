"""Drivers to be killed: processes that run the command line with a simulated trainer that saves states.

`python -m tests.faults.driver ARGUMENTS` runs one. Without arguments it imports everything, and then reads
requests from its standard input, one JSON object a line. For each it forks a driver, and answers with that
one's exit status (negative: the signal) and the moments that it reached.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import processes
from tests.faults.moments import Moments, counted

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """How a driver ended."""

    status: int
    """Exit status; negative is the number of the signal that killed it."""
    moments: int
    """The moments that it passed; 0 if it was killed."""
    shown: str
    """Its standard output and error."""


class Drivers:
    """Starts drivers, one at a time."""

    def __init__(self, folder: Path) -> None:
        """Keeps what they print in `folder`."""
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.driver"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, arguments: list[str], out: Path, *, at: int = 0, what: str = "") -> Ended:
        """Runs a command line on the sweep in `out`, with `what` of `ACTIONS` at the moment `at`."""
        printed = self._folder / "printed.txt"
        request = {"arguments": arguments, "out": str(out), "at": at, "what": what, "printed": str(printed)}
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return Ended(answer["status"], answer["moments"], printed.read_text(errors="replace"))

    def close(self) -> None:
        """Ends the process that they are forked from."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(timeout=30)


@contextlib.contextmanager
def drivers(folder: Path) -> Iterator[Drivers]:
    """Drivers, until the block ends."""
    started = Drivers(folder)
    try:
        yield started
    finally:
        started.close()


def _kill_all() -> None:
    everybody = processes.family(os.getpid())
    processes.send(everybody - {os.getpid()})
    os.kill(os.getpid(), signal.SIGKILL)


def _signal(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


ACTIONS: dict[str, Callable[[], None]] = {
    "driver": _signal(signal.SIGKILL),
    "everything": _kill_all,
    "SIGTERM": _signal(signal.SIGTERM),
    "SIGINT": _signal(signal.SIGINT),
    "SIGUSR1": _signal(signal.SIGUSR1),
}
"""What may happen to a driver, by the name in a request."""


def _serve() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os._exit(_drive(request, writer))
        os.close(writer)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        # A process that the driver has started may still hold the pipe, so this must not wait for its end.
        os.set_blocking(reader, False)
        try:
            count = int(os.read(reader, 20) or b"0")
        except BlockingIOError:
            count = 0
        os.close(reader)
        print(json.dumps({"status": status, "moments": count}), flush=True)


def _drive(request: dict[str, Any], writer: int) -> int:
    """The life of a driver; its exit status. Writes the moments that it has passed."""
    os.setsid()
    printed = os.open(request["printed"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for descriptor in (1, 2):
        os.dup2(printed, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    moments = Moments(Path(request["out"]), request["at"], ACTIONS.get(request["what"], lambda: None))
    try:
        with counted(moments):
            status = run_sweep.main(request["arguments"], trainer=SAVING)
    except BaseException:
        traceback.print_exc()
        status = 99
    sys.stdout.flush()
    os.write(writer, str(moments.count).encode())
    return status


if __name__ == "__main__":
    import ray  # noqa: F401
    from ray import tune  # noqa: F401

    import run_sweep
    import sweeps.engine.driver
    import sweeps.run  # noqa: F401
    from analysis import api
    from tests.faults.saving import SAVING

    api.report = lambda results: "<html>the report</html>"  # the page takes seconds to draw
    if len(sys.argv) > 1:
        sys.exit(run_sweep.main(sys.argv[1:], trainer=SAVING))
    _serve()
