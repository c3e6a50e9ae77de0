"""Errors of requests: each is one line that says what is wrong and why."""

from typing import Final

NO_VALUE: Final = object()
"""The value of an error that is not about a value."""

_SHOWN: Final[dict[type, str]] = {dict: "a mapping", list: "a list", type(None): "nothing"}


class RequestError(ValueError):
    """Something was asked for that cannot be done. `str(error)` is one line that says what and why."""


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
        """Joins the fields to one line.

        Args:
            rule: what is required, or what is wrong: "must be a list", "is not a setting".
            file: the study's file, as the user named it.
            line: of the file, counted from 1; None if the error is about the file as a whole.
            key: the keys that lead to the value, joined by dots; empty for the whole file.
            value: what was given instead; NO_VALUE if that says nothing.
            hint: a remark that ends the line, with its leading space: the nearest valid name, or the cell.
        """
        place = file if line is None else f"{file}:{line}"
        got = "" if value is NO_VALUE else f", but got {_SHOWN.get(type(value), repr(value))}"
        super().__init__(": ".join(part for part in (place, key, f"{rule}{got}{hint}") if part))
        self.rule = rule
        self.file = file
        self.line = line
        self.key = key
        self.value = value
        self.hint = hint


class DirectoryError(RequestError):
    """A directory that cannot be used as asked; `str(error)` is one line."""


class StorageError(RequestError):
    """A store that cannot be used as asked; `str(error)` is one line."""


class EngineError(RequestError):
    """A request that this machine or cluster cannot serve; `str(error)` is one line."""
