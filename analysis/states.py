"""States and end reasons of trials, as docs/result-tables.md names them. Needs the standard library only."""

from enum import StrEnum


class State(StrEnum):
    """The column `state`."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    FAIL = "FAIL"


class EndReason(StrEnum):
    """The column `end_reason`; null while a trial waits or runs."""

    FINISHED = "finished"
    COLLAPSED = "collapsed"
    """Stopped early because it had collapsed."""
    PRUNED = "pruned"
    """Stopped by a scheduler."""
    DIVERGED = "diverged"
    ERROR = "error"
    INTERRUPTED = "interrupted"
    """Stopped from outside; runs again when the sweep is resumed."""
