"""The collapse map: a tile per cell, coloured by the rate of collapse, from a few cells to a thousand."""

import itertools
import math
from collections.abc import Sequence

from analysis.cell_groups import by_collapse
from analysis.cells import Cell
from analysis.figures.collapse_map import is_crossed, rows_of
from analysis.figures.selection import cell_term, level_term
from analysis.naming import factor_words
from analysis.outcomes import TO_COME, Outcome
from analysis.page.large_map import large_map
from analysis.page.markup import element, escaped
from analysis.results import Factor, StudyResults
from analysis.stats import clopper_pearson
from analysis.wording import percent

_NOTED = (Outcome.DIMENSIONAL, Outcome.DIVERGED, Outcome.FAILED, Outcome.PRUNED, Outcome.UNKNOWN)
_VIEWS = (("representation", "Representation"), ("projection", "Projection"), ("knn", "kNN accuracy"))
_TILES_UP_TO, _COLUMNS_UP_TO = 64, 8
"""Tiles with numbers that can be read at a glance, and columns that fit beside each other."""


def collapse_map(study: StudyResults, cells: Sequence[Cell]) -> str:
    """The map as HTML: nested rows and columns if the design fills half of all combinations, else a list.
    A factor that does not apply in some cells has no row or column to put them in, so that is a list, too.
    More cells than can be read at a glance are grouped.

    A tile shows k of n and the exact 95 % interval; a hatched one has no result.
    """
    scale = _knn_scale(cells)
    if len(cells) > _TILES_UP_TO:
        body = large_map(cells, scale)
    elif is_crossed(study.factors, cells) and _n_columns(study.factors) <= _COLUMNS_UP_TO:
        body = _crossed(study.factors, cells, scale)
    else:
        body = _listed(by_collapse(cells), scale)
    switch = "".join(
        f'<button type="button" data-view="{view}" aria-pressed="{str(not index).lower()}">{label}</button>'
        for index, (view, label) in enumerate(_VIEWS)
    )
    low, high = (percent(value) for value in scale)
    key = (
        '<span class="for-rate"><i>0 %</i><b class="ramp"></b><i>100 % collapsed</i></span>'
        f'<span class="for-knn"><i>{low}</i><b class="ramp knn"></b><i>{high} kNN</i></span>'
        '<span><b class="hatch"></b><i>no result</i></span>'
    )
    if study.trials["knn_accuracy_start"].notna().any():
        key += '<span class="for-knn"><i>start: of the same encoders, untrained</i></span>'
    group = f'<div class="switch" role="group" aria-label="What the map shows">{switch}</div>'
    top = f'<div class="map-top">{group}</div>'
    foot = f'<p class="key">{key}</p>'
    box = f'<div class="scroll" tabindex="0">{body}</div>'
    return f'<div class="map" data-view="representation">{top}{box}{foot}</div>'


def _knn_scale(cells: Sequence[Cell]) -> tuple[float, float]:
    """The least and the greatest mean of a cell."""
    means = [float(values.mean()) for cell in cells if len(values := cell.values("knn_accuracy"))]
    return (min(means), max(means)) if means else (math.nan, math.nan)


def _n_columns(factors: Sequence[Factor]) -> int:
    return math.prod(len(factor.levels) for factor in factors[rows_of(factors) :])


def _crossed(factors: Sequence[Factor], cells: Sequence[Cell], scale: tuple[float, float]) -> str:
    """Rows from the first half of the factors, columns from the second; outer headers span the inner ones."""
    split = rows_of(factors)
    above, beside = factors[split:], factors[:split]
    by_codes = {cell.codes: cell for cell in cells}
    body = ""
    for row in itertools.product(*(range(len(factor.levels)) for factor in beside)):
        columns = itertools.product(*(range(len(factor.levels)) for factor in above))
        tiles = "".join(_tile(by_codes.get((*row, *column)), scale) for column in columns)
        body += f"<tr>{_row_titles(beside, row)}{tiles}</tr>"
    head = _column_titles(above, beside)
    return f'<table class="tiles"><thead>{head}</thead><tbody>{body}</tbody></table>'


def _column_titles(above: Sequence[Factor], beside: Sequence[Factor]) -> str:
    """A line of headers for each factor above, and one with the names of those beside."""
    head = ""
    for depth, factor in enumerate(above):
        span = math.prod(len(inner.levels) for inner in above[depth + 1 :])
        repeats = math.prod(len(outer.levels) for outer in above[:depth])
        name = escaped(factor_words(factor.name))
        corner = f'<th class="name" colspan="{max(1, len(beside))}" scope="row">{name}</th>'
        titles = [f'<th scope="col" colspan="{span}">{_level(factor, level)}</th>' for level in factor.levels]
        head += f"<tr>{corner}{''.join(titles) * repeats}</tr>"
    if beside:
        names = [f'<th class="name side">{escaped(factor_words(factor.name))}</th>' for factor in beside]
        head += f"<tr>{''.join(names)}</tr>"
    return head


def _row_titles(beside: Sequence[Factor], row: Sequence[int]) -> str:
    """The headers that begin in this row: of a factor whose inner factors are at their first levels."""
    if not beside:
        return '<th class="name"></th>'
    titles = ""
    for depth, factor in enumerate(beside):
        if not any(row[depth + 1 :]):
            span = math.prod(len(inner.levels) for inner in beside[depth + 1 :])
            titles += f'<th scope="row" rowspan="{span}">{_level(factor, factor.levels[row[depth]])}</th>'
    return titles


def _level(factor: Factor, level: str) -> str:
    """A heading that selects the trials of its level."""
    title = f"{factor.name} = {level}: select its trials"
    return element(
        "button",
        escaped(level),
        type="button",
        class_="level",
        data_term=level_term(factor.name, level),
        title=title,
    )


def _listed(cells: Sequence[Cell], scale: tuple[float, float]) -> str:
    """A row per cell, named by what it changes."""
    body = ""
    for cell in cells:
        body += f'<tr><th scope="row">{escaped(cell.text)}</th>{_tile(cell, scale)}</tr>'
    return f'<table class="tiles list"><tbody>{body}</tbody></table>'


def _tile(cell: Cell | None, scale: tuple[float, float]) -> str:
    if cell is None:
        return '<td class="hatched"><span class="tile"><small>not planned</small></span></td>'
    note = _note(cell)
    faces = [
        _rate_face("representation", cell.collapsed, cell.judged, note),
        _rate_face("projection", cell.projection_collapsed, cell.projection_judged, note),
        _knn_face(cell, scale, note),
    ]
    title = f"{cell.text}: select its trials"
    reference = ' data-reference=""' if cell.is_reference else ""
    inner = "".join(faces)
    button = element(
        "button",
        inner,
        type="button",
        class_="tile",
        data_term=cell_term(cell),
        title=title,
    )
    return f"<td{reference}>{button}</td>"


def _note(cell: Cell) -> str:
    """The trials that the rate leaves out, and those that it hides."""
    numbers = cell.outcomes
    to_come = sum(numbers.get(outcome, 0) for outcome in TO_COME)
    parts = [f"{numbers[outcome]} {outcome}" for outcome in _NOTED if outcome in numbers]
    parts += [f"{to_come} to come"] if to_come else []
    return f"<small>{', '.join(parts)}</small>" if parts else ""


def _face(view: str, strong: str, small: str, note: str, share: float | None) -> str:
    inner = f"<strong>{strong}</strong>" + (f"<small>{small}</small>" if small else "") + note
    if share is None:
        return element("span", inner, class_="face hatched", data_face=view)
    return element("span", inner, class_="face", data_face=view, style=f"--share:{share:.3f}")


def _rate_face(view: str, k: int, n: int, note: str) -> str:
    rate = clopper_pearson(k, n)
    if rate.interval is None:
        return _face(view, "–", "" if note else "no result", note, None)
    low, high = (f"{100 * value:.0f}" for value in (rate.interval.low, rate.interval.high))
    return _face(view, f"{k}/{n}", f"{low}–{high} %", note, rate.estimate)


def _knn_face(cell: Cell, scale: tuple[float, float], note: str) -> str:
    values = cell.values("knn_accuracy")
    if not len(values):
        return _face("knn", "–", "" if note else "no kNN", note, None)
    mean, (low, high) = float(values.mean()), scale
    early = int(cell.judged - cell.table.full_length[cell.rows].sum())
    n = f"n = {len(values)}" + (f", {early} ended early" if early else "")
    starts = cell.values("knn_accuracy_start")
    if len(starts):
        start = percent(float(starts.mean()), 1).replace(" ", "&nbsp;")
        note = f"<small>start {start}</small>{note}"
    return _face("knn", percent(mean, 1), n, note, (mean - low) / (high - low) if high > low else 1.0)
