"""Errors of requests. Each is one line that says what is wrong and why."""

import errno
from typing import Final

from byol.errors import shortened, shown

NO_VALUE: Final = object()
"""Stands for the value in an error that is not about a value."""

_LONGEST_PLACE: Final = 300
"""Characters of a path or a key that a message shows."""

_SHOWN: Final[dict[type, str]] = {dict: "a mapping", list: "a list", type(None): "nothing"}


class RequestError(ValueError):
    """A request that cannot be carried out. `str(error)` is one line that says what is wrong and why."""


class StudyError(RequestError):
    """A study that breaks a rule. `str(error)` is one line: file, line, key, rule, value, hint."""

    def __init__(
        self,
        rule: str,
        *,
        file: str,
        line: int | None = None,
        key: str = "",
        value: object = NO_VALUE,
        hint: str = "",
    ) -> None:
        """Joins the fields into one line.

        Args:
            rule: what is required, or what is wrong: "must be a list", "is not a setting".
            file: the study's file, as the user named it.
            line: line of the file, counted from 1; None if the error is about the whole file.
            key: the keys that lead to the value, joined by dots; empty for the whole file.
            value: the value given; NO_VALUE if it would not help.
            hint: ends the line, with its leading space: the nearest valid name, or the cell.
        """
        place = file if line is None else f"{file}:{line}"
        got = "" if value is NO_VALUE else f", but got {_SHOWN.get(type(value)) or shown(value)}"
        parts = (shortened(place, _LONGEST_PLACE), shortened(key, _LONGEST_PLACE), f"{rule}{got}{hint}")
        super().__init__(": ".join(part for part in parts if part))
        self.rule = rule
        self.file = file
        self.line = line
        self.key = key
        self.value = value
        self.hint = hint


class DirectoryError(RequestError):
    """A directory that cannot be used as requested."""


class StorageError(RequestError):
    """A store that cannot be used as requested."""


class LastingStorageError(StorageError):
    """A store that no waiting mends: full, read-only, gone, or not permitted. A sweep ends, resumable."""


class EngineError(RequestError):
    """A request that this machine or cluster cannot serve."""


class WorkersError(RequestError):
    """A sweep that has ended early, because the workers cannot run its trials. It can be resumed."""


_DISK_ERRORS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EIO,
    errno.ESTALE,
    errno.ENODEV,
    errno.ENOTCONN,
}
_DISK_WORDS = ("No space left on device", "Disk quota exceeded", "Read-only file system", "disk is full")


def is_of_disk(error: BaseException) -> bool:
    """Whether a disk is full, read-only or gone, so that nothing else can be written there either.

    Libraries that write files themselves say it in words only.
    """
    text = str(error)
    return getattr(error, "errno", None) in _DISK_ERRORS or any(words in text for words in _DISK_WORDS)


def one_line(error: BaseException) -> str:
    """The text of an error as one line; "" if it has none."""
    return " ".join(str(error).split())
