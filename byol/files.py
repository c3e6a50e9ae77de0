"""Files that are replaced in one step, and the names of those that a trial leaves. Imports no torch."""

import filecmp
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STATE = "state.safetensors"
"""From which a trial goes on."""
ENCODER = "encoder.safetensors"
"""What a finished trial leaves."""


def write_text(path: Path, text: str) -> None:
    """Replaces the file at `path` by `text`, in UTF-8, in one step."""
    with replacing(path) as partial:
        partial.write_bytes(text.encode())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where to write the file that takes the place of `path` once it is whole and on the disk.

    After an error nothing takes its place. A file with the same bytes is left as it is, so that its date says
    when its content last changed.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        if path.exists() and filecmp.cmp(partial, path, shallow=False):
            return
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name, too, is on the disk
    finally:
        os.close(folder)
