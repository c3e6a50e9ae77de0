"""The std of both levels over the steps of training, a facet per cell."""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.figures.facets import facets, key, threshold_line
from analysis.figures.groups import Group, groups
from analysis.figures.theme import Panel, axis, colour, quantiles, rounded, text
from analysis.results import StudyResults
from analysis.wording import as_written, number, plural

LEVELS = {"representation_std": "representation", "projection_std": "projection"}
_TITLE_UP_TO = 28
"""Letters that fit above a facet in one line."""
LINES_UP_TO = 10
"""Trials in a facet up to which each is drawn; of more, only the band is."""


def trajectories(study: StudyResults) -> Panel | None:
    """Median and 10 to 90 % band by step and cell, both levels, with each trial where they are few."""
    measured = study.metrics.dropna(subset=["step"])
    shown = [
        group for group in groups(study, 36) if measured["trial_id"].isin(group.trials["trial_id"]).any()
    ]
    if not shown:
        return None
    longest = max(len(group.short) for group in shown)
    titles = [_title(group, "<br>" if longest > _TITLE_UP_TO else " · ") for group in shown]
    ticks = axis(nticks=4, rangemode="tozero")
    figure = facets(titles, columns=(4, 2), row_px=96, x=ticks, y=axis(range=[0, 1.05], tickvals=[0, 0.5, 1]),
                    narrow_titles=[_title(group, "<br>") for group in shown])  # fmt: skip
    rows = []
    for index, group in enumerate(shown):
        threshold_line(figure, study.representation_threshold, index)
        metrics = measured[measured["trial_id"].isin(group.trials["trial_id"])]
        for column, level in LEVELS.items():
            table = metrics.pivot_table(
                index="trial_id", columns="step", values=column, sort=True, dropna=False
            )
            if table.empty:
                continue
            _draw(figure, index, table, level)
            first, last = table.iloc[:, 0].median(), table.ffill(axis=1).iloc[:, -1].median()
            rows.append((group.name, level, str(len(table)), number(float(first)), number(float(last))))
    few = max(len(group.trials) for group in shown) <= LINES_UP_TO
    threshold = as_written(study.representation_threshold)
    caption = (
        "Horizontal: step. Vertical: std of the embedding (1 is isotropic, 0 is a point; dotted: the "
        f"threshold, {threshold}). Heavy lines are medians, bands span 10 to 90 % of trials"
        f"{', thin lines are single trials' if few else ''}. {groups_note(study, shown)}"
    )
    header = ("cell", "level", "trials", "median at the first step", "median of the last values")
    return Panel(name="trajectories", title="Spread of the embeddings during training", caption=caption,
                 figure=figure, table=(header, rows))  # fmt: skip


def groups_note(study: StudyResults, shown: Sequence[Group]) -> str:
    """What the facets are."""
    if study.is_search:
        return "Trials are grouped by outcome."
    if any(group.merged for group in shown):
        return (
            f"There are too many cells for a plot each, so {plural(len(shown), 'group')} of cells are shown."
        )
    names = " · ".join(factor.name for factor in study.factors)
    return f"Titles: how many collapsed (k/n); {names}."


def _title(group: Group, middle: str) -> str:
    """How many collapsed, then the levels with `middle` between their halves."""
    tint = colour("collapsed") if group.collapsed else colour("ink")
    share = f"{group.collapsed}/{group.judged}" if group.judged else "no result"
    half = (len(group.levels) + 1) // 2
    halves = [text(" · ".join(part)) for part in (group.levels[:half], group.levels[half:]) if part]
    return f'<span style="color:{tint}"><b>{share}</b></span>  {middle.join(halves)}'


def _draw(figure: go.Figure, index: int, table: pd.DataFrame, level: str) -> None:
    values, steps = table.to_numpy(np.float64), [int(step) for step in table.columns]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a step at which no trial was measured
        low, middle, high = quantiles(values)
    place = {"xaxis": f"x{key(index)}", "yaxis": f"y{key(index)}", "legendgroup": level}
    if len(values) > 1:
        band = {"line": {"width": 0}, "mode": "lines", "hoverinfo": "skip", "showlegend": False, **place}
        figure.add_scatter(x=steps, y=low, **band)
        figure.add_scatter(x=steps, y=high, fill="tonexty", fillcolor=colour(f"{level}-band"), **band)
    if len(values) <= LINES_UP_TO:
        x = [step for _ in values for step in (*steps, None)]
        y = [value for row in values for value in (*rounded(row), None)]
        thin = {"color": colour(level), "width": 0.7}
        figure.add_scatter(
            x=x, y=y, mode="lines", line=thin, opacity=0.45, hoverinfo="skip", showlegend=False, **place
        )
    line = {"color": colour(level), "width": 2, "dash": "solid" if level == "representation" else "5px,2px"}
    hover = f"{level}: %{{y:.3f}} at step %{{x}}<extra></extra>"
    line_of_medians = {"line": line, "name": level, "showlegend": index == 0, "hovertemplate": hover}
    figure.add_scatter(x=steps, y=middle, mode="lines", **line_of_medians, **place)
