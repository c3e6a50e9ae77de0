"""One check: a function that returns what it found, or raises what is wrong and what to do."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from sweeps.errors import one_line


@dataclass(frozen=True, kw_only=True)
class Check:
    """The result of one check."""

    name: str
    """What was checked."""
    fine: bool
    """Whether it is as it should be."""
    detail: str
    """What was found, or what is wrong."""
    remedy: str = ""
    """What to do about it; empty if it is fine."""


class Trouble(Exception):
    """Something is not as it should be."""

    def __init__(self, problem: str, remedy: str) -> None:
        """Says what is wrong, and what to do about it."""
        super().__init__(problem)
        self.remedy = remedy


UNEXPECTED = "read the message; `run` would fail at the same place"
"""What to do about an error that no check has foreseen."""


def examined(checks: Mapping[str, Callable[[], str]]) -> Iterator[Check]:
    """Runs checks in order. Whatever one raises is its result."""
    for name, check in checks.items():
        try:
            yield Check(name=name, fine=True, detail=check())
        except Trouble as trouble:
            yield Check(name=name, fine=False, detail=one_line(trouble), remedy=trouble.remedy)
        except Exception as error:
            detail = one_line(error) or type(error).__name__
            yield Check(name=name, fine=False, detail=detail, remedy=UNEXPECTED)
