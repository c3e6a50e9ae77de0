"""Temporary folders that do not outlive a kill for long: the next process removes those of dead ones."""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """A folder, removed at the end. Removes those that killed processes of this user have left.

    A folder is locked while its process lives. A process number would mean another process in a container
    that shares the place for temporary files.
    """
    prefix = f"byol-sweeps-{os.getuid()}-"
    folder = Path(tempfile.gettempdir())
    with contextlib.ExitStack() as stack:
        with contextlib.ExitStack() as entering:
            own = _own_folder()
            if own is not None:  # else nothing is removed
                entering.enter_context(_locked(own / "lock", wait=True))  # none is seen before it is locked
                for left in folder.glob(f"{prefix}*-*"):
                    with contextlib.suppress(OSError), _locked(left):
                        shutil.rmtree(left, ignore_errors=True)
            name = stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{prefix}{purpose}-"))
            stack.enter_context(_locked(Path(name)))
        yield Path(name)


def _own_folder() -> Path | None:
    """A folder that this user alone can enter; None if another has taken its name.

    In the place that all users share, another could lock the file first, and would block this process.
    """
    folder = Path(tempfile.gettempdir()) / f"byol-sweeps-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    about = folder.lstat()
    is_own = stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and not about.st_mode & 0o077
    return folder if is_own else None


@contextlib.contextmanager
def _locked(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Locks a folder, or a file that is made if there is none. The lock ends with the process.

    Raises:
        BlockingIOError: another process has locked it, and `wait` is false.
    """
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    lock = os.open(path, flags, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(lock)
