"""Replacing a file in one step, and the names of a trial's checkpoint files. Imports no torch."""

import contextlib
import filecmp
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STATE = "state.safetensors"
"""The state from which a trial resumes."""
PREVIOUS_STATE = "state.previous.safetensors"
"""The state before, for the case that the latest is damaged."""
ENCODER = "encoder.safetensors"
"""The trained encoder of a finished trial."""


def write_text(path: Path, text: str) -> None:
    """Replaces the file at `path` by `text`, in UTF-8, in one step."""
    with replacing(path) as partial:
        partial.write_bytes(text.encode())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to; at the end of the block that file takes the place of `path`, in one step.

    It is on the disk before it does. After an error `path` stays as it was. A file with the same bytes stays
    too, so that its date says when its content last changed.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        filecmp.clear_cache()  # which knows files by size and date, and dates may be coarse
        if path.exists() and filecmp.cmp(partial, path, shallow=False):
            return
        partial.replace(path)
    except OSError as error:
        if error.errno is not None and error.filename is None:  # a failed write does not say where
            error.filename = str(path)
        raise
    finally:
        partial.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # so that the new name is on the disk too
    finally:
        os.close(folder)


def remove_states(folder: Path) -> None:
    """Removes the states of a trial, so that it does not resume from them."""
    for name in (STATE, PREVIOUS_STATE):
        (folder / name).unlink(missing_ok=True)


def remove_partial_files(folder: Path) -> None:
    """Removes what processes that were killed have left of `replacing`, in `folder` and the folders in it."""
    for partial in folder.rglob(".*.partial"):
        _, _, process = partial.name.removesuffix(".partial").rpartition(".")
        if process.isdecimal() and not is_alive(int(process)):
            partial.unlink(missing_ok=True)


def is_alive(process: int) -> bool:
    """Whether a process with this number runs on this machine."""
    with contextlib.suppress(PermissionError):  # somebody else's
        try:
            os.kill(process, 0)
        except (ProcessLookupError, OverflowError):
            return False
    return True
