"""How many examples a property-based test tries, and what holds for each: success or one line, at once."""

import os
import time
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings

SECONDS = 2.0
"""Seconds of this process that an answer may take."""
LONGEST_LINE = 2_000
"""Characters of an error."""
_MORE = 25 if os.environ.get("FAULTS") == "all" else 1


def examples(count: int) -> settings:
    """`count` examples in `make test`, the same each time; many more, and new ones, in `make faults`."""
    return settings(
        max_examples=count * _MORE,
        derandomize=_MORE == 1,
        deadline=None,  # of the clock on the wall; `answered` counts the process's own time
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def answered(call: Callable[[], Any], refusal: type[Exception]) -> Any:
    """What `call` returns, or None if it is refused; any other error fails the test."""
    began = time.process_time()
    try:
        result = call()
    except refusal as error:
        result, text = None, str(error)
        assert "\n" not in text, text
        assert 0 < len(text) < LONGEST_LINE, text
    assert time.process_time() - began < SECONDS
    return result
