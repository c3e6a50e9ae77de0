"""What all figures share: colours for light and dark, the base layout, facets that reflow, escaped text."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import plotly.graph_objects as go

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
"""Name -> colour on light and on dark paper. Plotly ignores CSS variables, so the page swaps one for the
other; for that each light colour stands for one name only. Blue and vermilion are colour-blind safe."""

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
    """A figure with what a reader needs around it."""

    name: str
    """Unique in a study; part of the figure's id in the page."""
    title: str
    """What is shown, in a few words."""
    caption: str
    """What to see in it, in a sentence or two."""
    figure: go.Figure
    table: Table
    """The figure's numbers, for readers who do not see it."""
    views: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Name of a view and the traces that it shows; the first is shown at the start. Empty for one view."""
    chooser: str = ""
    """What one chooses between, for views."""
    half: bool = field(default=False)
    """Whether two such panels fit beside each other."""


def text(value: object) -> str:
    """A string for Plotly, which reads <b>, <a> and other tags, and %{...} in templates, in any text."""
    escaped = str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("%{", "%&#123;")


def rounded(values: Iterable[float], digits: int = 4) -> list[float | None]:
    """Numbers for JSON: a few significant digits, None for what is not finite."""
    return [float(f"{value:.{digits}g}") if math.isfinite(value) else None for value in map(float, values)]


def axis(title: str | None = None, **more: Any) -> dict[str, Any]:
    """An axis in the house style."""
    made: dict[str, Any] = {
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
        made["title"] = {"text": title, "font": {"color": colour("muted"), "size": 12}, "standoff": 8}
    return made | more


def base(height: int, *, legend: bool = True, faceted: bool = False, **more: Any) -> go.Layout:
    """The layout that every figure starts from. The legend stands above the plot."""
    font = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
    return go.Layout(
        template="none",
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
        **more,
    )


def key(index: int) -> str:
    """Plotly's suffix of the axis of a facet: "", "2", "3", ..."""
    return "" if index == 0 else str(index + 1)


def facets(
    titles: Sequence[str],
    *,
    columns: tuple[int, int],
    row_px: int,
    x: Mapping[str, Any],
    y: Mapping[str, Any],
    shared: bool = True,
    legend: bool = True,
    narrow_titles: Sequence[str] = (),
) -> go.Figure:
    """An empty figure of several plots in a grid.

    Args:
        titles: one a facet, already escaped.
        columns: columns on a wide and on a narrow screen.
        row_px: height of a facet.
        x, y: axes, as `axis` makes them.
        shared: whether all facets zoom together.
        legend: whether there is one.
        narrow_titles: titles for a narrow screen, where they may have two lines.
    """
    two_lines = any("<br>" in title for title in narrow_titles)
    wide = _grid(
        len(titles), columns[0], row_px, 66 if any("<br>" in title for title in titles) else 52, legend
    )
    narrow = _grid(len(titles), columns[1], row_px, 66 if two_lines else 52, legend)
    narrow |= {"margin.l": 34}
    if two_lines:
        narrow |= {f"annotations.{index}.text": title for index, title in enumerate(narrow_titles)}
    height = wide.pop("height")
    layout: dict[str, Any] = {"annotations": []}
    for index, title in enumerate(titles):
        suffix = key(index)
        linked = shared and index > 0
        layout[f"xaxis{suffix}"] = {**x, "anchor": f"y{suffix}"} | ({"matches": "x"} if linked else {})
        layout[f"yaxis{suffix}"] = {**y, "anchor": f"x{suffix}"} | ({"matches": "y"} if linked else {})
        layout["annotations"].append(
            {
                "text": title,
                "xref": f"x{suffix} domain",
                "yref": f"y{suffix} domain",
                "x": 0,
                "y": 1,
                "yshift": 4,
                "xanchor": "left",
                "yanchor": "bottom",
                "showarrow": False,
                "font": {"size": 11, "color": colour("ink")},
                "align": "left",
            }
        )
    # The page applies one of them by the width that it finds.
    meta = {"wide": {**wide, "height": height}, "narrow": narrow}
    figure = go.Figure(layout=base(height, legend=legend, faceted=True, meta=meta, **layout))
    return figure.update_layout(wide)


def _grid(n: int, columns: int, row_px: int, gap_px: int, legend: bool) -> dict[str, Any]:
    """Domains of n facets and the height of the figure, as a flat update of the layout."""
    columns = min(columns, n)
    rows = -(-n // columns)
    inner = rows * row_px + (rows - 1) * gap_px
    gap_x = 0.05 if columns > 2 else 0.1
    width = (1 - gap_x * (columns - 1)) / columns
    update: dict[str, Any] = {}
    for index in range(n):
        row, column = divmod(index, columns)
        top = 1 - row * (row_px + gap_px) / inner
        left = column * (width + gap_x)
        update[f"xaxis{key(index)}.domain"] = [round(left, 5), round(min(1.0, left + width), 5)]
        update[f"yaxis{key(index)}.domain"] = [max(0.0, round(top - row_px / inner, 5)), round(top, 5)]
    update["height"] = inner + gap_px + (8 if legend else -22) + 44
    update["legend.y"] = 1 + (gap_px - 28) / inner
    return update


def threshold_line(figure: go.Figure, value: float, index: int = 0, *, vertical: bool = False) -> None:
    """A dotted line at a threshold, across a facet."""
    suffix = key(index)
    ends = (
        {"x0": value, "x1": value, "y0": 0, "y1": 1}
        if vertical
        else {"x0": 0, "x1": 1, "y0": value, "y1": value}
    )
    refs = {"xref": f"x{suffix}", "yref": f"y{suffix} domain"}
    if not vertical:
        refs = {"xref": f"x{suffix} domain", "yref": f"y{suffix}"}
    line = {"color": colour("muted"), "width": 1, "dash": "dot"}
    figure.add_shape(type="line", layer="above", line=line, **ends, **refs)


def quantiles(values: np.ndarray) -> tuple[list[float | None], list[float | None], list[float | None]]:
    """10 %, 50 % and 90 % over trials, NaN left out. Shape [trials, steps]."""
    with np.errstate(all="ignore"):
        low, middle, high = np.nanquantile(values, [0.1, 0.5, 0.9], axis=0)
    return rounded(low), rounded(middle), rounded(high)
