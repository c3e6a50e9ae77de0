"""The processes of this machine, as /proc has them."""

import contextlib
import os
import signal
from pathlib import Path


def family(root: int) -> set[int]:
    """A process and all its descendants."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found = {root}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def name(process: int) -> str:
    """Its command line; empty if it has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def workers(root: int) -> list[int]:
    """The descendants in which Ray's workers run; those that have a trial, if there are any."""
    names = {process: name(process) for process in sorted(family(root))}
    found = [process for process, text in names.items() if text.startswith("ray::") and "Agent" not in text]
    return [process for process in found if "IDLE" not in names[process]] or found


def send(processes: set[int], number: int = signal.SIGKILL) -> None:
    """Sends a signal to processes, of which some may have ended."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)
