"""One sentence with its numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

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
    caveat: bool = False
    """Whether it limits what the others say."""

    def __str__(self) -> str:
        """The text."""
        return self.text
