"""What all figures share: the Panel, colours for light and dark, the base layout, escaped text."""

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import plotly.graph_objects as go

from analysis.figures.drawing import Drawing, Layout
from analysis.outcomes import Outcome

Table: TypeAlias = tuple[tuple[str, ...], Sequence[tuple[str, ...]]]
"""Header and rows, as text."""

COLOURS = {
    "paper": ("#ffffff", "#14181e"),
    "ink": ("#1d2733", "#e6ebf2"),
    "muted": ("#5c6773", "#9ba7b5"),
    "grid": ("#e7eaee", "#29313b"),
    "axis": ("#b9c0c9", "#4a5563"),
    "accent": ("#2b6ca3", "#74b3e6"),
    "survived": ("#2b6ca4", "#74b3e5"),
    "collapsed": ("#c4511b", "#f28d55"),
    "dimensional": ("#7b5ea7", "#b9a0e3"),
    "diverged": ("#6b7280", "#9aa3b3"),
    "other": ("#9aa1ab", "#6b7482"),
    "projection": ("#a5761a", "#e0b353"),
    "representation": ("#1d2734", "#e6ebf3"),
    "representation-band": ("rgba(29,39,51,0.14)", "rgba(230,235,242,0.18)"),
    "projection-band": ("rgba(165,118,26,0.16)", "rgba(224,179,83,0.20)"),
    "survived-band": ("rgba(43,108,163,0.14)", "rgba(116,179,230,0.18)"),
    "collapsed-band": ("rgba(196,81,27,0.14)", "rgba(242,141,85,0.18)"),
}
"""Name -> colour on light and on dark paper. Plotly ignores CSS variables, so the page replaces one by
the other; each light colour therefore stands for one name only. Blue and vermilion are colour-blind safe."""

LINES = ("#2b6ca2", "#c4511a", "#4d9078", "#7b5ea6", "#a5761b", "#6b7281", "#b0487a", "#3c8fa8")
LINES_DARK = ("#74b3e4", "#f28d54", "#7fc4ab", "#b9a0e2", "#e0b354", "#9aa3b4", "#e08bb4", "#7cc3d8")
"""For levels of a factor and for seeds."""

SYMBOLS = {
    Outcome.SURVIVED: "circle",
    Outcome.COLLAPSED: "x-thin-open",
    Outcome.DIMENSIONAL: "diamond-open",
    Outcome.DIVERGED: "cross-thin-open",
}
"""The outcomes of trials that are drawn as marks -> their symbols."""


def colour(name: str) -> str:
    """The light colour of a name."""
    return COLOURS[name][0]


def dark_map() -> dict[str, str]:
    """Light colour -> dark colour."""
    pairs = dict(COLOURS.values()) | dict(zip(LINES, LINES_DARK, strict=True))
    assert len(pairs) == len(COLOURS) + len(LINES), "a light colour stands for two names"
    return pairs


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A figure with its title, its caption and its numbers.

    It takes part in the page's selection of trials, one filter for all views, by what its traces say:

    - A trace with a mark per trial has `customdata`, a number per mark: the trial's row in `study.trials`,
      from `selection.rows_of_trials`. Marks of other trials are dimmed; a click on one selects its trial.
    - A trace that stands for several trials has `meta=selection.of(TERM, ...)`, where a term is a filter
      such as `predictor=none`. It is dimmed while none of its trials is selected, and a click on it selects
      them. With `legend=True`, a click on its entry in the legend does so, too, instead of hiding it; a
      trace of marks can have both.
    - `brush` names the columns behind the axes: a range that is drawn along them is selected.

    A figure with none of these shows the whole study, and the page says so while something is selected.
    """

    name: str
    """Unique in a study; part of the figure's id in the page."""
    title: str
    """What is shown, in a few words."""
    caption: str
    """What to see in it, in a sentence or two."""
    drawing: Drawing
    table: Table
    """The figure's numbers, for readers who do not see it."""
    views: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Name of a view and the traces that it shows; the first is shown at the start. Empty for one view."""
    chooser: str = ""
    """What the views differ in: the label of their menu."""
    half: bool = False
    """Whether two such panels fit beside each other."""
    brush: Mapping[str, str] = field(default_factory=dict)
    """Axis, "x" or "y", and the column of the table of trials that it shows, such as `loss`."""
    floors: Mapping[str, float] = field(default_factory=dict)
    """Axis and its floor: whatever is smaller is drawn there, so a range from there has no lower end."""

    @cached_property
    def figure(self) -> go.Figure:
        """The drawing as a figure of Plotly's, checked."""
        return self.drawing.figure()


def text(value: object) -> str:
    """A string that Plotly shows as it is: unescaped, it reads tags such as <b>, and %{...} in templates."""
    escaped = str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("%{", "%&#123;")


def wrapped(value: object, width: int, lines: int = 2) -> str:
    """An escaped name in at most so many lines of at most so many letters, cut with … beyond them."""
    pieces = textwrap.wrap(
        str(value)[: width * lines + width], width, max_lines=lines, placeholder="…", break_on_hyphens=False
    )
    return "<br>".join(map(text, pieces))


def named_places(names: Sequence[str], *, row_px: int = 21) -> tuple[dict[str, Any], dict[str, Any]]:
    """A vertical axis with a name at each place from the top, for a wide and for a narrow screen.

    Args:
        names: of the places, as plain text.
        row_px: height of a place on a wide screen.

    Returns:
        Properties of the axis; an update of the layout for a narrow screen, where names have several lines
        and `height` is what it takes more than `row_px` a place.
    """
    properties = {
        "tickvals": list(range(len(names))),
        "ticktext": [wrapped(name, 60, 1) for name in names],
        "range": [len(names) - 0.4, -0.6],
        "ticks": "",
    }
    narrow = [wrapped(name, 20, 3) for name in names]
    lines = max((name.count("<br>") + 1 for name in narrow), default=1)
    more = len(names) * max(0, 15 * lines - row_px)
    return properties, {"yaxis.ticktext": narrow, "height": more}


def rounded(values: Iterable[float], digits: int = 4) -> list[float | None]:
    """Numbers for JSON: a few significant digits, None where not finite."""
    return [float(f"{value:.{digits}g}") if math.isfinite(value) else None for value in map(float, values)]


def axis(title: str | None = None, *, standoff: int = 8, **properties: Any) -> dict[str, Any]:
    """An axis as all figures have it, its title `standoff` pixels off, with `properties` of its own."""
    style: dict[str, Any] = {
        "gridcolor": colour("grid"),
        "linecolor": colour("axis"),
        "tickcolor": colour("axis"),
        "tickfont": {"color": colour("muted"), "size": 11},
        "zeroline": False,
        "showline": True,
        "ticks": "outside",
        "ticklen": 3,
        "automargin": True,
    }
    if title is not None:
        style["title"] = {"text": title, "font": {"color": colour("muted"), "size": 12}, "standoff": standoff}
    return style | properties


def base(height: int, *, legend: bool = True, faceted: bool = False, **properties: Any) -> Layout:
    """The layout that every figure starts from, the legend above the plot, with `properties` of its own."""
    font = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
    return dict(
        height=height,
        margin={"l": 52, "r": 14, "t": 28 if faceted else 12, "b": 44},
        paper_bgcolor=colour("paper"),
        plot_bgcolor=colour("paper"),
        font={"family": font, "size": 12, "color": colour("ink")},
        hoverlabel={
            "bgcolor": colour("paper"),
            "bordercolor": colour("axis"),
            "font": {"color": colour("ink")},
        },
        showlegend=legend,
        legend={
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1.0 + (26 if faceted else 6) / height,
            "yanchor": "bottom",
            "font": {"size": 12, "color": colour("ink")},
            "itemsizing": "constant",
            "traceorder": "normal",
            "bgcolor": "rgba(0,0,0,0)",
        },
        dragmode=False,
        **properties,
    )


def quantiles(values: np.ndarray) -> tuple[list[float | None], list[float | None], list[float | None]]:
    """10 %, 50 % and 90 % over trials, NaN left out. Shape [trials, steps]."""
    # NumPy takes a hundred times as long where there can be NaN.
    quantile = np.nanquantile if np.isnan(values).any() else np.quantile
    with np.errstate(all="ignore"):
        low, middle, high = quantile(values, [0.1, 0.5, 0.9], axis=0)
    return rounded(low), rounded(middle), rounded(high)
