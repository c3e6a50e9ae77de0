"""The std of both levels over the steps of training: a facet per cell, and all cells overlaid."""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from analysis.curves import Curves, curves
from analysis.figures.drawing import Drawing
from analysis.figures.facets import facets, key, threshold_line
from analysis.figures.groups import Group, groups
from analysis.figures.selection import of
from analysis.figures.theme import LINES, Panel, axis, colour, quantiles, rounded, text, wrapped
from analysis.results import StudyResults
from analysis.stats import Floats
from analysis.wording import as_written, number, plural

LEVELS = {"representation_std": "representation", "projection_std": "projection"}
LINES_UP_TO = 10
"""Trials in a facet up to which each is drawn; of more, only the band is."""
_FACETS_UP_TO, _LINES_UP_TO = 24, 16
_POINTS_UP_TO = 120
"""Steps of a curve that are drawn, evenly spaced."""


def trajectories(study: StudyResults) -> Panel | None:
    """Median and 10 to 90 % band by step and cell, both levels, with each trial where they are few."""
    by_level = {level: curves(study, column) for column, level in LEVELS.items()}
    shown = _measured(groups(study, _FACETS_UP_TO), by_level["representation"], study.is_measured)
    if not shown:
        return None
    by_level = _with_values(by_level, shown)
    ticks = axis(nticks=4, rangemode="tozero")
    figure = facets([_title(group, 34, 2) for group in shown], columns=(4, 2), row_px=96, x=ticks,
                    y=axis(range=[0, 1.05], tickvals=[0, 0.5, 1]),
                    narrow_titles=[_title(group, 20, 3) for group in shown])  # fmt: skip
    rows = []
    for index, group in enumerate(shown):
        threshold_line(figure, study.representation_threshold, index)
        for level, every in by_level.items():
            values, has_any = _of(group, every)
            _draw(figure, index, group, every.steps[has_any], values[:, has_any], level)
            ends = _ends(values[:, has_any])
            rows.append((group.name, level, str(len(values)), *ends))
    single = study.is_measured and not any(group.merged for group in shown)
    few = max(len(group.rows) for group in shown) <= LINES_UP_TO
    caption = (
        f"Horizontal: step. Vertical: std of the embedding. {_scale(study.representation_threshold)} "
        f"{'' if single else _lines_note(few)}{groups_note(study, shown)}"
    )
    header = ("cell", "level", "trials", "median at the first step", "median of the last values")
    return Panel(name="trajectories", title="Spread of the embeddings during training", caption=caption,
                 drawing=figure, table=(header, rows))  # fmt: skip


def _lines_note(few: bool) -> str:
    """What the lines of a facet are; with few trials in each, these are drawn too."""
    thin = ", thin lines are single trials" if few else ""
    return f"Heavy lines are medians, bands span 10 to 90 % of trials{thin}. "


def overlaid(study: StudyResults) -> Panel | None:
    """The medians of all cells in one plot for each level; None where there are fewer than two."""
    by_level = {level: curves(study, column) for column, level in LEVELS.items()}
    shown = _measured(groups(study, _LINES_UP_TO), by_level["representation"], study.is_measured)
    if len(shown) < 2:
        return None
    by_level = _with_values(by_level, shown)
    figure = facets([f"{level} std" for level in by_level], columns=(len(by_level), 1), row_px=220,
                    x=axis("step", nticks=6, rangemode="tozero"), y=axis(range=[0, 1.05], nticks=6),
                    legend_rows=(-(-len(shown) // 3), len(shown)))  # fmt: skip
    others = iter(range(len(shown)))
    rows = []
    for group in shown:
        place = None if group.is_reference else next(others)
        ends: list[str] = []
        for level, every in by_level.items():
            values, has_any = _of(group, every)
            if has_any.any():
                x, (_, middle, _) = _quantiles(every.steps[has_any], values[:, has_any])
                _draw_median(figure, group, place, level, x, middle)
            ends.append(_ends(values[:, has_any])[1])
        rows.append((group.name, f"{group.collapsed} of {group.judged}", *ends))
    thresholds = (study.representation_threshold, study.projection_threshold)[: len(by_level)]
    for index, threshold in enumerate(thresholds):
        threshold_line(figure, threshold, index)
    scale = _scale(*thresholds)
    medians, heavy = "Medians over the trials. ", "Heavy: the reference. "
    if study.is_measured:
        medians = heavy = ""
    caption = f"{medians}{scale} {heavy}Click a name to select its trials."
    header = ("cell", "collapsed", *(f"{level} std at the end" for level in by_level))
    title = "All overlaid" if study.is_measured else "The cells overlaid"
    return Panel(name="overlaid", title=title, caption=caption, drawing=figure, table=(header, rows))


def _scale(*thresholds: float) -> str:
    """What the vertical axis means; `thresholds` are those that are drawn, of the representation first."""
    written = " and ".join(map(as_written, dict.fromkeys(thresholds)))
    word = "thresholds" if len(set(thresholds)) > 1 else "threshold"
    return f"1 is isotropic, 0 is a point; dotted: the {word}, {written}."


def _measured(every: Sequence[Group], all_curves: Curves, is_measured: bool) -> list[Group]:
    """The groups of which anything was measured; of embeddings from elsewhere, at more steps than one."""
    has_row = np.asarray(all_curves.measured.sum(axis=1) > int(is_measured))
    return [group for group in every if has_row[group.rows].any()]


def _with_values(by_level: Mapping[str, Curves], shown: Sequence[Group]) -> dict[str, Curves]:
    """The representation, and the projection where there is one: embeddings from elsewhere may have none."""
    rows = np.concatenate([group.rows for group in shown])
    return {
        level: every
        for level, every in by_level.items()
        if level == "representation" or not np.isnan(every.values[rows]).all()
    }


def _of(group: Group, every: Curves) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """The curves of its measured trials; at which steps any of them was measured."""
    measured = every.measured[group.rows]
    used = measured.any(axis=1)
    return every.values[group.rows][used], np.asarray(measured[used].any(axis=0))


def _ends(values: Floats) -> tuple[str, str]:
    """The median at the first step, and that of each trial's last value."""
    if not values.size:
        return "–", "–"
    place = values.shape[1] - 1 - np.argmax(~np.isnan(values[:, ::-1]), axis=1)
    last = values[np.arange(len(values)), place]
    first = values[:, 0]
    return _median(first), _median(last)


def _median(values: Floats) -> str:
    known = values[~np.isnan(values)]
    return number(float(np.median(known)) if len(known) else None)


def groups_note(study: StudyResults, shown: Sequence[Group]) -> str:
    """What the facets are."""
    if study.is_search:
        return "Trials are grouped by outcome."
    if study.is_measured:
        return "Titles: the name of each, after 1/1 if it collapsed and 0/1 if not."
    if any(group.merged for group in shown):
        return (
            f"There are too many cells for a plot each, so {plural(len(shown), 'group')} of cells are shown."
        )
    return "Titles: how many collapsed (k/n), and what differs from the reference."


def _title(group: Group, width: int, lines: int) -> str:
    """How many collapsed, then what differs from the reference."""
    tint = colour("collapsed") if group.collapsed else colour("ink")
    share = f"{group.collapsed}/{group.judged}" if group.judged else "no result"
    return f'<span style="color:{tint}"><b>{share}</b></span>  {wrapped(group.name, width, lines)}'


def _thin(steps: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Places of the steps that are drawn."""
    return np.unique(np.linspace(0, len(steps) - 1, min(len(steps), _POINTS_UP_TO)).round().astype(np.int64))


def _quantiles(
    steps: npt.NDArray[np.int64], values: Floats
) -> tuple[list[int], tuple[list[float | None], list[float | None], list[float | None]]]:
    """The steps that are drawn, and 10 %, 50 % and 90 % at them."""
    picked = _thin(steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a step at which no trial was measured
        return steps[picked].tolist(), quantiles(values[:, picked])


def _draw(
    figure: Drawing, index: int, group: Group, steps: npt.NDArray[np.int64], values: Floats, level: str
) -> None:
    if not values.size:
        return
    x, (low, middle, high) = _quantiles(steps, values)
    drawn = values[:, _thin(steps)]
    place = {
        "xaxis": f"x{key(index)}",
        "yaxis": f"y{key(index)}",
        "legendgroup": level,
        "meta": of(group.filter),
    }
    if len(values) > 1:
        band = {"line": {"width": 0}, "mode": "lines", "hoverinfo": "skip", "showlegend": False, **place}
        figure.add_scatter(x=x, y=low, **band)
        figure.add_scatter(x=x, y=high, fill="tonexty", fillcolor=colour(f"{level}-band"), **band)
    if len(values) <= LINES_UP_TO:
        thin = {"color": colour(level), "width": 0.7}
        figure.add_scatter(
            x=[step for _ in drawn for step in (*x, None)],
            y=[value for row in drawn for value in (*rounded(row), None)],
            mode="lines", line=thin, opacity=0.45, hoverinfo="skip", showlegend=False, **place,
        )  # fmt: skip
    line = {"color": colour(level), "width": 2, "dash": "solid" if level == "representation" else "5px,2px"}
    hover = f"{level}: %{{y:.3f}} at step %{{x}}<extra></extra>"
    line_of_medians = {"line": line, "name": level, "showlegend": index == 0, "hovertemplate": hover}
    figure.add_scatter(x=x, y=middle, mode="lines", **line_of_medians, **place)


def _draw_median(
    figure: Drawing, group: Group, place: int | None, level: str, x: list[int], y: list[float | None]
) -> None:
    """One line of the overlay; `place` is the cell's among those that are not the reference."""
    line: dict[str, object] = {"color": colour("ink"), "width": 3.2}
    if place is not None:
        dashes = ("solid", "5px,2px", "1.5px,2px")
        dash = dashes[place // len(LINES) % len(dashes)]
        line = {"color": LINES[place % len(LINES)], "width": 1.7, "dash": dash}
    index = list(LEVELS.values()).index(level)
    hover = f"{wrapped(group.name, 44, 2)}: {level} std %{{y:.3f}} at step %{{x}}<extra></extra>"
    figure.add_scatter(
        x=x, y=y, mode="lines", line=line, name=wrapped(group.name, 44, 1), legendgroup=text(group.name),
        showlegend=index == 0, meta=of(group.filter, legend=True), xaxis=f"x{key(index)}",
        yaxis=f"y{key(index)}", hovertemplate=hover,
    )  # fmt: skip
