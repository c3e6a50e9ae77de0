"""How many examples a property-based test tries, and what holds for each: success or one line, at once."""

import resource
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings

from tests.faults import ALL
from tests.faults.injected import REFUSED, REPAIRED

Test = TypeVar("Test", bound=Callable[..., Any])

SECONDS = 2.0
"""Seconds of this process that an answer may take."""
GIB = 1.0
"""GiB of memory that this process may gain by it."""
LONGEST_LINE = 2_000
"""Characters of an error."""
_MORE = 10 if ALL else 1


_ALL_SECONDS = 60 * _MORE
"""Seconds of the clock on the wall that all examples of a test may take."""


def examples(count: int) -> Callable[[Test], Test]:
    """`count` examples in `make test`, the same each time; many more, and new ones, in `make faults`."""
    tried = settings(
        max_examples=count * _MORE,
        derandomize=_MORE == 1,
        deadline=None,  # of the clock on the wall; `answered` counts the process's own time
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    return lambda test: pytest.mark.timeout(_ALL_SECONDS)(tried(test))


def answered(call: Callable[[], Any], refusal: type[Exception], count: Callable[[str], None]) -> Any:
    """What `call` returns, or None if it is refused; any other error fails the test.

    Args:
        call: what is tried.
        refusal: the error by which it may refuse.
        count: called with the outcome.
    """
    began, before = time.process_time(), peak_gib()
    try:
        result, outcome = call(), REPAIRED
    except refusal as error:
        result, outcome, text = None, REFUSED, str(error)
        assert "\n" not in text, text
        assert 0 < len(text) < LONGEST_LINE, text
    assert time.process_time() - began < SECONDS
    assert peak_gib() - before < GIB
    count(outcome)
    return result


def peak_gib() -> float:
    """The most memory that this process has had, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
