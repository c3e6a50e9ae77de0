"""Parallel coordinates, drawn as lines: every sample of a search, or every cell of a larger design.

Plotly's own trace for this is drawn by WebGL, which shows nothing under the page's content security policy.
The axes lie, one below the other, so that names and values fit on any screen.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.cell_groups import by_collapse
from analysis.cells import cells_of
from analysis.figures.drawing import Drawing
from analysis.figures.selection import cell_term, of, term
from analysis.figures.theme import Panel, axis, base, colour, rounded, text, wrapped
from analysis.naming import factor_words
from analysis.outcomes import JUDGED
from analysis.results import NOT_SET, StudyResults
from analysis.search import search_result
from analysis.stats import Floats
from analysis.wording import number, percent, plural, shortened

_LINES_UP_TO, _CELLS_FROM, _LEVELS_UP_TO = 150, 17, 8
"""Lines that a browser draws without delay; cells of a design that other figures do not tell apart as well;
levels of an axis that are named."""
_AXIS_PX = 58


@dataclass(frozen=True, kw_only=True)
class _Axis:
    """One of the axes."""

    name: str
    places: Floats
    """Of the lines, from 0 to 1; NaN where it does not apply. Shape [lines]."""
    ticks: tuple[tuple[float, str], ...]
    """Place and text."""
    tells: bool
    """Whether lines differ on it."""


@dataclass(frozen=True, kw_only=True)
class _Line:
    """What a line is, and how it is drawn."""

    name: str
    filter: str
    tint: str
    kind: str
    """Its entry in the legend."""
    strong: bool = False


def parallel(study: StudyResults) -> Panel | None:
    """Parameters and results of each sample, or levels and results of each cell; None for a small design."""
    made = _of_search(study) if study.is_search else _of_cells(study)
    if made is None:
        return None
    lines, axes, total, what = made
    figure = Drawing(base(70 + _AXIS_PX * len(axes)))
    figure.update_layout(margin={"l": 12, "r": 12, "b": 8})
    for line, places in zip(lines, np.stack([one.places for one in axes], axis=1), strict=True):
        _draw_line(figure, line, places)
    _draw_axes(figure, axes)
    figure.update_layout(
        xaxis=axis(range=[-0.04, 1.04], visible=False),
        yaxis=axis(range=[len(axes) - 0.45, -0.55], visible=False),
    )
    caption = f"A line is a {what}; it meets each axis at its value. Click a line to select it."
    if len(lines) < total:
        caption += f" {len(lines)} of {plural(total, what)} are drawn, evenly spaced."
    header = ("axis", "lines", "lowest", "highest")
    rows = [
        (one.name, str(int((~np.isnan(one.places)).sum())), one.ticks[0][1], one.ticks[-1][1]) for one in axes
    ]
    return Panel(name="parallel", title=f"Every {what} across its settings and results", caption=caption,
                 drawing=figure, table=(header, rows))  # fmt: skip


_Made = tuple[list[_Line], list[_Axis], int, str]


def _of_search(study: StudyResults) -> _Made | None:
    result = search_result(study)
    at = np.flatnonzero(~np.isnan(result.values[:, 0]))
    if len(at) < 2:
        return None
    picked = at[:: -(-len(at) // _LINES_UP_TO)]
    if result.winner is not None and result.winner not in picked:
        picked = np.append(picked, result.winner)
    samples = result.samples.iloc[picked]
    axes = []
    for factor in study.factors:
        values = samples[factor.column].tolist()
        if factor.levels:
            axes.append(_of_levels(factor.name, factor.levels, values))
        else:
            log = bool((result.section.get("space") or {}).get(factor.name, {}).get("log", False))
            axes.append(_of_numbers(factor_words(factor.name), np.array(values, dtype=np.float64), log=log))
    for objective, values_S in zip(result.objectives, result.values[picked].T, strict=True):
        axes.append(_of_numbers(objective.name, values_S, share=objective.is_share))
    if "representation_std" not in {objective.column for objective in result.objectives}:
        stds = samples["representation_std"].to_numpy(np.float64, na_value=np.nan)
        axes.append(_of_numbers("representation std", stds))
    lines = [
        _Line(
            name=f"sample {place + 1}",
            filter=term("trial_id", trial),
            tint="ink" if place == result.winner else outcome if outcome in JUDGED else "other",
            kind="winner" if place == result.winner else outcome,
            strong=bool(place == result.winner),
        )
        for place, trial, outcome in zip(picked, samples["trial_id"], samples["outcome"], strict=True)
    ]
    return lines, [one for one in axes if one.tells], len(at), "sample"


def _of_cells(study: StudyResults) -> _Made | None:
    cells = [cell for cell in by_collapse(cells_of(study)) if cell.judged]
    if len(cells) < _CELLS_FROM:
        return None
    shown = cells[:: -(-len(cells) // _LINES_UP_TO)]
    axes = [
        _of_levels(factor.name, factor.levels, [cell.labels[index] for cell in shown])
        for index, factor in enumerate(study.factors)
    ]
    rates = np.array([cell.collapsed / cell.judged for cell in shown])
    axes.append(_of_numbers("collapsed", rates, share=True))
    for name, column, share in (
        ("projection std", "projection_std", False), ("representation std", "representation_std", False),
        ("kNN accuracy", "knn_accuracy", True),
    ):  # fmt: skip
        means = [float(values.mean()) if len(values := cell.values(column)) else math.nan for cell in shown]
        axes.append(_of_numbers(name, np.array(means), share=share))
    kinds = {1.0: ("collapsed", "collapsed"), 0.0: ("survived", "survived")}
    lines = []
    for cell, rate in zip(shown, rates.tolist(), strict=True):
        tint, kind = (
            ("ink", "the reference") if cell.is_reference else kinds.get(rate, ("other", "in some seeds"))
        )
        name = shortened(cell.text, 80)
        lines.append(_Line(name=name, filter=cell_term(cell), tint=tint, kind=kind, strong=cell.is_reference))
    return lines, [one for one in axes if one.tells], len(cells), "cell"


def _of_levels(name: str, levels: Sequence[str], values: Sequence[str]) -> _Axis:
    last = max(1, len(levels) - 1)
    place = {level: index / last for index, level in enumerate(levels)}
    places = np.array([place.get(value, math.nan) if value != NOT_SET else math.nan for value in values])
    named = range(len(levels)) if len(levels) <= _LEVELS_UP_TO else (0, len(levels) - 1)
    ticks = tuple((index / last, levels[index]) for index in named)
    # Lines at the same level would lie on each other: each is moved a little, the same on every axis.
    jitter = (np.arange(len(values)) / max(1, len(values) - 1) - 0.5) * min(0.08, 0.3 / last)
    tells = len(np.unique(places[~np.isnan(places)])) > 1
    return _Axis(name=factor_words(name), places=places + jitter, ticks=ticks, tells=tells)


def _of_numbers(name: str, values: Floats, *, log: bool = False, share: bool = False) -> _Axis:
    known = values[np.isfinite(values)]
    if not len(known):
        nowhere = np.full(len(values), np.nan)
        return _Axis(name=name, places=nowhere, ticks=((0.0, "–"), (1.0, "–")), tells=False)
    low, high = float(known.min()), float(known.max())
    scale = np.log if log and low > 0 else np.asarray
    span = float(scale(high) - scale(low)) or 1.0
    with np.errstate(all="ignore"):
        places = np.asarray((scale(np.where(np.isfinite(values), values, np.nan)) - scale(low)) / span)
    middle = math.sqrt(low * high) if log and low > 0 else (low + high) / 2
    ends = (0.0, low), (0.5, middle), (1.0, high)
    ticks = tuple((place, percent(value, 1) if share else number(value)) for place, value in ends)
    return _Axis(name=name, places=places, ticks=ticks, tells=low < high)


def _draw_line(figure: Drawing, line: _Line, places: Floats) -> None:
    figure.add_scatter(
        x=rounded(places), y=list(range(len(places))), mode="lines", connectgaps=False, name=line.kind,
        legendgroup=line.kind, showlegend=not any(trace["name"] == line.kind for trace in figure.data),
        line={"color": colour(line.tint), "width": 3.0 if line.strong else 1.2},
        opacity=1.0 if line.strong else 0.5, meta=of(line.filter),
        hovertemplate=f"{text(line.name)}<extra></extra>",
    )  # fmt: skip


def _draw_axes(figure: Drawing, axes: Sequence[_Axis]) -> None:
    """A line each, its name above and its values below."""
    for row, one in enumerate(axes):
        ends = {"x0": 0, "x1": 1, "y0": row, "y1": row, "xref": "x", "yref": "y"}
        figure.add_shape(type="line", layer="below", line={"color": colour("axis"), "width": 1.4}, **ends)
        label = {"showarrow": False, "xref": "x", "yref": "y", "y": row}
        figure.add_annotation(
            x=0, text=wrapped(one.name, 40, 1), xanchor="left", yanchor="bottom", yshift=3,
            font={"size": 12, "color": colour("ink")}, bgcolor=colour("paper"), **label,
        )  # fmt: skip
        for place, words in one.ticks:
            side = "left" if place == 0 else "right" if place == 1 else "center"
            figure.add_annotation(
                x=place, text=wrapped(words, 14, 1), xanchor=side, yanchor="top", yshift=-3,
                font={"size": 10.5, "color": colour("muted")}, bgcolor=colour("paper"), **label,
            )  # fmt: skip
