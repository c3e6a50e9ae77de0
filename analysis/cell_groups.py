"""Cells put together where they are too many to be told apart, by the factors that collapse depends on."""

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.cells import ABSENT, Cell
from analysis.naming import cell_words, factor_words
from analysis.wording import listed


@dataclass(frozen=True, kw_only=True)
class CellGroup:
    """Cells that have the same levels of some factors."""

    name: str
    """What they share and the reference has not."""
    cells: tuple[Cell, ...]
    shared: tuple[tuple[str, str], ...]
    """The factors whose levels they share, with these levels."""

    @property
    def judged(self) -> int:
        """Judged trials."""
        return sum(cell.judged for cell in self.cells)

    @property
    def collapsed(self) -> int:
        """Trials whose representation collapsed."""
        return sum(cell.collapsed for cell in self.cells)


def telling_factors(cells: Sequence[Cell]) -> list[int]:
    """Indices of the factors, that with the largest difference between its levels' rates of collapse first;
    among equals, that of the projection decides."""

    def spread(index: int) -> tuple[float, float]:
        counts: dict[int, list[int]] = {}
        for cell in cells:
            numbers = cell.collapsed, cell.judged, cell.projection_collapsed, cell.projection_judged
            so_far = counts.setdefault(cell.codes[index], [0, 0, 0, 0])
            counts[cell.codes[index]] = [a + b for a, b in zip(so_far, numbers, strict=True)]
        rates = [k / n for k, n, _, _ in counts.values() if n]
        projection = [k / n for _, _, k, n in counts.values() if n]
        return _range(rates), _range(projection)

    return sorted(range(len(cells[0].codes)), key=spread, reverse=True)


def _range(values: Sequence[float]) -> float:
    return max(values) - min(values) if values else 0.0


def grouped(cells: Sequence[Cell], most: int) -> list[CellGroup] | None:
    """The cells by the most telling factors, as many factors as make at most `most` groups.

    Each group is a cell where there are no more cells than that. The groups come in the order of their first
    cells. None where a single factor makes more of them.
    """
    order = telling_factors(cells) if len(cells) > most else list(range(len(cells[0].codes)))
    depth = len(order)
    while depth and len({tuple(cell.codes[index] for index in order[:depth]) for cell in cells}) > most:
        depth -= 1
    if not depth:
        return None
    kept = sorted(order[:depth])
    members: dict[tuple[int, ...], list[Cell]] = {}
    for cell in cells:
        members.setdefault(tuple(cell.codes[index] for index in kept), []).append(cell)
    return [_group(same, kept) for same in members.values()]


def _group(cells: Sequence[Cell], kept: Sequence[int]) -> CellGroup:
    first = cells[0]
    shared = tuple((first.factors[index], first.labels[index]) for index in kept)
    changes = [(first.factors[index], first.labels[index]) for index in kept if first.codes[index] > 0]
    name = cell_words(changes) if len(cells) > 1 else first.text
    if len(cells) > 1 and not changes:
        present = [index for index in kept if first.codes[index] != ABSENT]
        name = (
            f"{listed([factor_words(first.factors[index]) for index in present or kept])} as in the reference"
        )
    return CellGroup(name=name, cells=tuple(cells), shared=shared)


def by_collapse(cells: Sequence[Cell]) -> list[Cell]:
    """The cells with the highest rate of collapse first, then those of the projection; those without a result
    last, the others in their order."""

    def place(cell: Cell) -> tuple[float, float]:
        rate = cell.collapsed / cell.judged if cell.judged else -1.0
        projection = cell.projection_collapsed / cell.projection_judged if cell.projection_judged else -1.0
        return -rate, -projection

    return sorted(cells, key=place)
