"""States and end reasons of trials: words of the tables, for those who write them and those who read them.

Needs the standard library only.
"""

from enum import StrEnum


class TrialState(StrEnum):
    """States of a trial, named as Optuna names them."""

    WAITING = "WAITING"
    """Not started yet, or to be retried alone."""
    RUNNING = "RUNNING"
    """Given to a worker."""
    COMPLETE = "COMPLETE"
    """Came to a result; collapse and divergence are results."""
    PRUNED = "PRUNED"
    """Stopped by the scheduler of a search."""
    FAIL = "FAIL"
    """Ended by an error or an interruption."""


class EndReason(StrEnum):
    """Why the latest attempt at a trial ended."""

    FINISHED = "finished"
    """All planned steps ran."""
    COLLAPSED = "collapsed"
    """The study's collapse rule stopped it."""
    PRUNED = "pruned"
    """The scheduler of a search stopped it."""
    DIVERGED = "diverged"
    """The loss or the embedding was not finite."""
    ERROR = "error"
    """It raised an error, or its process died too often."""
    INTERRUPTED = "interrupted"
    """The sweep ended before it did; it runs again when the sweep is resumed."""
    OUT_OF_MEMORY = "out_of_memory"
    """It ran out of memory beside others. WAITING, it will be retried alone, or with the others if the sweep
    is interrupted before."""


MEASURED = "measured"
"""The column `design` of embeddings that were trained elsewhere and only measured here."""

SAMPLE, WINNER = "search", "winner"
"""The column `design` of a search's samples, and of the winner's trials on fresh seeds."""
