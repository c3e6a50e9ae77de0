"""Temporary folders that do not outlive a kill for long: the next process removes those of dead ones."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from byol.files import is_alive


@contextlib.contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """A folder, removed at the end. Removes those that killed processes of this user have left."""
    prefix = f"byol-sweeps-{os.getuid()}-"
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        process = left.name.removeprefix(prefix).partition("-")[0]
        if process.isdecimal() and not is_alive(int(process)):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{prefix}{os.getpid()}-{purpose}-") as name:
        yield Path(name)
