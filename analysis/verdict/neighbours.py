"""The cells that differ from the reference in one factor, and what that change did."""

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.cells import Cell, reference_of


@dataclass(frozen=True, kw_only=True)
class Removals:
    """The cells that differ from the reference in one factor."""

    fatal: tuple[Cell, ...]
    """Those in which any trial collapsed."""
    harmless: tuple[Cell, ...]
    """Those in which none did."""

    @property
    def count(self) -> int:
        """How many cells that are."""
        return len(self.fatal) + len(self.harmless)


def changed_in_one_factor(cells: Sequence[Cell]) -> list[Cell]:
    """The cells with results that differ from the reference in one factor, in the order of the factors."""
    neighbours = [cell for cell in cells if len(cell.changed) == 1 and cell.judged]
    return sorted(neighbours, key=lambda cell: (cell.changed[0], cell.codes[cell.changed[0]]))


def removals(cells: Sequence[Cell]) -> Removals | None:
    """Sorts these cells by whether they collapsed; None unless they and the reference have results."""
    reference, neighbours = reference_of(cells), changed_in_one_factor(cells)
    if reference is None or not reference.judged or not neighbours:
        return None
    return Removals(
        fatal=tuple(cell for cell in neighbours if cell.collapsed),
        harmless=tuple(cell for cell in neighbours if not cell.collapsed),
    )
