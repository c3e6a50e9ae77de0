"""The collapse map as a heat map: levels against levels, coloured by the rate of collapse."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

from analysis.cell_groups import by_collapse
from analysis.cells import ABSENT, Cell, cells_of
from analysis.figures.drawing import Drawing
from analysis.figures.theme import Panel, axis, base, colour, rounded, text, wrapped
from analysis.naming import level_words
from analysis.results import Factor, StudyResults
from analysis.stats import clopper_pearson
from analysis.wording import percent, rate

_TILES_UP_TO = 600
_LISTED_UP_TO, _COLUMNS = 64, 40
"""Cells in a list that are named; columns of the grid that shows more of them."""
_TILE_PX, _SQUARE_PX, _AROUND_PX = 46, 24, 110


def is_crossed(factors: Sequence[Factor], cells: Sequence[Cell]) -> bool:
    """Whether the cells fill a table of levels against levels: half of all combinations, and each factor
    applies in all of them. Else they are listed."""
    combinations = math.prod(len(factor.levels) for factor in factors)
    fills = combinations <= _TILES_UP_TO and 2 * len(cells) >= combinations
    return fills and all(ABSENT not in cell.codes for cell in cells)


def rows_of(factors: Sequence[Factor]) -> int:
    """How many of the factors, from the first, are rows; the others are columns."""
    return (len(factors) + 1) // 2 if len(factors) > 1 else int(len(factors[0].levels) > 4)


def collapse_map(study: StudyResults) -> Panel | None:
    """The rate of collapse of the representation in every cell; None without cells."""
    cells = cells_of(study)
    if not cells:
        return None
    factors = study.factors
    split = rows_of(factors)
    if is_crossed(factors, cells):
        beside, above = factors[:split], factors[split:]
        rows, columns = _combinations(beside), _combinations(above)
        by_codes = {cell.codes: cell for cell in cells}
        grid = [[by_codes.get((*row, *column)) for column in columns] for row in rows]
        y, x = [_names(beside, codes, 60) for codes in rows], [_names(above, codes, 14) for codes in columns]
    elif len(cells) <= _LISTED_UP_TO:
        ordered = by_collapse(cells)
        grid, x = [[cell] for cell in ordered], [""]
        y = [wrapped(cell.text, 60, 1) for cell in ordered]
    else:
        return _grid_of_many(cells)
    figure = Drawing(base(_AROUND_PX + _TILE_PX * len(grid), legend=False))
    _draw(figure, grid, text=[[_tile(cell) for cell in row] for row in grid], texttemplate="%{text}")
    labels: dict[str, Any] = {"tickmode": "array", "showgrid": False, "showline": False, "ticks": ""}
    figure.update_layout(
        xaxis=axis(tickvals=[*range(len(x))], ticktext=x, **labels),
        yaxis=axis(tickvals=[*range(len(y))], ticktext=y, autorange="reversed", **labels),
    )
    _frame_reference(figure, grid)
    _write_where_empty(figure, grid)
    return _panel(figure, cells, "Collapsed of judged trials, with the exact 95 % interval.")


def _grid_of_many(cells: Sequence[Cell]) -> Panel:
    """A square a cell, those that collapsed first, named on hover."""
    ordered: list[Cell | None] = [*by_collapse(cells)]
    ordered += [None] * (-len(ordered) % _COLUMNS)
    grid = [ordered[start : start + _COLUMNS] for start in range(0, len(ordered), _COLUMNS)]
    figure = Drawing(base(_AROUND_PX + _SQUARE_PX * len(grid), legend=False))
    _draw(figure, grid)
    figure.update_layout(xaxis=axis(visible=False), yaxis=axis(visible=False, autorange="reversed"))
    _frame_reference(figure, grid)
    return _panel(figure, cells, "A square is a cell, named on hover; those that collapsed come first.")


def _draw(figure: Drawing, grid: Sequence[Sequence[Cell | None]], **properties: Any) -> None:
    figure.add_heatmap(
        z=[rounded([_rate(cell) for cell in row]) for row in grid],
        customdata=[[_hover(cell) for cell in row] for row in grid],
        hovertemplate="%{customdata}<extra></extra>",
        hoverongaps=True,
        zmin=0,
        zmax=1,
        xgap=2,
        ygap=2,
        colorscale=[[0, colour("grid")], [1, colour("collapsed")]],
        colorbar={"tickformat": ".0%", "title": {"text": "collapsed"}, "outlinewidth": 0},
        **properties,
    )


def _panel(figure: Drawing, cells: Sequence[Cell], caption: str) -> Panel:
    return Panel(
        name="collapse-map",
        title="Collapse map",
        caption=f"{caption} Framed: the reference.",
        drawing=figure,
        table=(("cell", "collapsed", "95 % interval"), [_table_row(cell) for cell in by_collapse(cells)]),
    )


def _combinations(factors: Sequence[Factor]) -> list[tuple[int, ...]]:
    return list(itertools.product(*(range(len(factor.levels)) for factor in factors)))


def _names(factors: Sequence[Factor], codes: Sequence[int], width: int) -> str:
    """All levels, each with its factor."""
    pairs = zip(factors, codes, strict=True)
    return wrapped(
        ", ".join(level_words(factor.name, factor.levels[code]) for factor, code in pairs), width, 3
    )


def _rate(cell: Cell | None) -> float:
    return cell.collapsed / cell.judged if cell is not None and cell.judged else math.nan


def _tile(cell: Cell | None) -> str:
    """`3/3` and its interval; "" without a result."""
    if cell is None or not cell.judged:
        return ""
    interval = clopper_pearson(cell.collapsed, cell.judged).interval
    assert interval is not None
    return f"{cell.collapsed}/{cell.judged}<br>{100 * interval.low:.0f}–{percent(interval.high)}"


def _hover(cell: Cell | None) -> str:
    if cell is None:
        return "not planned"
    counts = ", ".join(f"{number} {outcome}" for outcome, number in cell.outcomes.items())
    return f"{text(cell.text)}<br>{counts}"


def _frame_reference(figure: Drawing, grid: Sequence[Sequence[Cell | None]]) -> None:
    for row, tiles in enumerate(grid):
        for column, cell in enumerate(tiles):
            if cell is not None and cell.is_reference:
                ends = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
                figure.add_shape(type="rect", line={"color": colour("ink"), "width": 2}, **ends)


def _write_where_empty(figure: Drawing, grid: Sequence[Sequence[Cell | None]]) -> None:
    """A heat map writes no text where it has no value."""
    for row, tiles in enumerate(grid):
        for column, cell in enumerate(tiles):
            if math.isnan(_rate(cell)):
                words = "not planned" if cell is None else "no result"
                font = {"color": colour("muted"), "size": 11}
                figure.add_annotation(x=column, y=row, text=words, showarrow=False, font=font)


def _table_row(cell: Cell) -> tuple[str, ...]:
    value = clopper_pearson(cell.collapsed, cell.judged)
    return cell.text, f"{cell.collapsed} of {cell.judged}", rate(value).removeprefix("95 % interval ") or "–"
