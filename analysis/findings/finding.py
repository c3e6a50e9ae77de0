"""One sentence with its numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from analysis.stats import Interval

Value: TypeAlias = "float | int | str | bool | Sequence[Value] | Mapping[str, Value] | None"
"""Plain data, as in JSON."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A sentence and what it was built from."""

    kind: str
    """What it is about: verdict, reference, removals, split, projection, onset, knn, loss, ..."""
    text: str
    """One or two sentences."""
    values: Mapping[str, Value]
    """The numbers in it."""
    interval: Interval | None = None
    """Of the estimate that the text is about, in its own units; None where it has none."""
    n: int | None = None
    """How many trials, seeds or cells it is over: docs/result-tables.md says which."""
    caveat: bool = False
    """Whether it limits what the others say."""

    def __str__(self) -> str:
        """The text."""
        return self.text
