"""Errors of requests: each is one line that says what and why."""


class RequestError(ValueError):
    """Something was asked for that cannot be done. `str(error)` is one line that says what and why."""


class StudyError(RequestError):
    """A study that breaks a rule. `str(error)` is one line: file, line, key, rule, value, nearest name."""


class DirectoryError(RequestError):
    """A directory that cannot be used as asked; `str(error)` is one line."""


class StorageError(RequestError):
    """A store that cannot be used as asked; `str(error)` is one line."""


class EngineError(RequestError):
    """A request that this machine or cluster cannot serve; `str(error)` is one line."""
