"""Several plots in one figure, in a grid that changes with the width of the screen."""

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.figures.drawing import Drawing
from analysis.figures.theme import base, colour

LEGEND_ROW_PX = 19


def key(index: int) -> str:
    """The suffix that Plotly gives the axes of a facet: "", "2", "3", ..."""
    return "" if index == 0 else str(index + 1)


def facets(
    titles: Sequence[str],
    *,
    columns: tuple[int, int],
    row_px: int,
    x: Mapping[str, Any],
    y: Mapping[str, Any],
    shared: bool = True,
    narrow_titles: Sequence[str] = (),
    legend_rows: tuple[int, int] = (1, 1),
) -> Drawing:
    """An empty figure of several plots in a grid.

    Args:
        titles: of the facets, already escaped, in one line or several.
        columns: columns on a wide and on a narrow screen.
        row_px: height of a facet.
        x, y: axes, as `axis` makes them.
        shared: whether all facets zoom together.
        narrow_titles: the titles on a narrow screen, which may have more lines.
        legend_rows: lines of the legend on a wide and on a narrow screen; 0 for none.
    """
    below = 16 if x.get("title") else 0  # the name of the axis
    wide = _grid(len(titles), columns[0], row_px, _gap(titles) + below, legend_rows[0])
    narrow = _grid(len(titles), columns[1], row_px, _gap(narrow_titles or titles) + below, legend_rows[1])
    narrow |= {"margin.l": 34}
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
    # The page applies one of them, by its width.
    meta = {"wide": {**wide, "height": height}, "narrow": narrow}
    figure = Drawing(base(height, legend=legend_rows[0] > 0, faceted=True, meta=meta, **layout))
    figure.update_layout(wide)
    return figure


def _gap(titles: Sequence[str]) -> int:
    """Pixels between two rows of facets: room for the ticks of the upper, and for the titles of the lower."""
    return 38 + 14 * max((title.count("<br>") + 1 for title in titles), default=1)


def _grid(n: int, columns: int, row_px: int, gap_px: int, legend_rows: int) -> dict[str, Any]:
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
    update["height"] = inner + gap_px + (8 + LEGEND_ROW_PX * (legend_rows - 1) if legend_rows else -22) + 44
    update["legend.y"] = 1 + (gap_px - 28) / inner
    return update


def threshold_line(figure: Drawing, value: float, index: int = 0, *, vertical: bool = False) -> None:
    """A dotted line at a threshold, across a facet."""
    suffix = key(index)
    ends = (
        {"x0": value, "x1": value, "y0": 0, "y1": 1}
        if vertical
        else {"x0": 0, "x1": 1, "y0": value, "y1": value}
    )
    refs = (
        {"xref": f"x{suffix}", "yref": f"y{suffix} domain"}
        if vertical
        else {"xref": f"x{suffix} domain", "yref": f"y{suffix}"}
    )
    line = {"color": colour("muted"), "width": 1, "dash": "dot"}
    figure.add_shape(type="line", layer="above", line=line, **ends, **refs)
