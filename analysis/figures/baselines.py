"""Lines at the controls in the figures of accuracy: chance, raw pixels, the untrained reference."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.controls import Baseline, Control, baselines
from analysis.figures.drawing import Drawing
from analysis.figures.facets import LEGEND_ROW_PX, key
from analysis.figures.theme import colour, rounded
from analysis.results import StudyResults
from analysis.wording import listed, percent

_NAMES = {
    Control.CHANCE: "chance",
    Control.PIXELS: "raw pixels",
    Control.START: "untrained reference",
}
_DASHES = {Control.CHANCE: "1px,3px", Control.PIXELS: "7px,3px", Control.START: "7px,3px,1px,3px"}
_LEAST_REACH = 0.05


def in_view(study: StudyResults, accuracies: npt.ArrayLike) -> list[Baseline]:
    """The baselines that are drawn beside these accuracies: none further from them than they spread, since a
    line far away would press the marks together."""
    values = np.asarray(accuracies, dtype=np.float64)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    reach = max(high - low, _LEAST_REACH)
    return [line for line in baselines(study) if low - reach <= line.value <= high + reach]


def draw_baselines(
    figure: Drawing,
    lines: Sequence[Baseline],
    ends: tuple[float, float],
    *,
    facet: int = 0,
    vertical: bool = False,
) -> None:
    """Draws each of them across a plot, with its name and value in the legend.

    Args:
        figure: the figure. Lines that are drawn first lie below its marks, and are last in the legend anyway.
        lines: what `in_view` returned.
        ends: where they begin and end, along the other axis.
        facet: index of the plot in the figure; the first has the legend's entries.
        vertical: whether accuracy is the horizontal axis.
    """
    for line in lines:
        along, across = rounded(ends), rounded([line.value] * 2)
        x, y = (across, along) if vertical else (along, across)
        figure.add_scatter(
            x=x, y=y, mode="lines+markers", name=_label(line), legendgroup=line.control.value,
            legendrank=1001, showlegend=facet == 0, hoverinfo="skip",
            line={"color": colour("muted"), "width": 1.4, "dash": _DASHES[line.control]},
            # Unseen marks: a plot leaves room around them, so that no line ends up on the axis itself.
            marker={"size": 9, "color": "rgba(0,0,0,0)"},
            xaxis=f"x{key(facet)}", yaxis=f"y{key(facet)}",
        )  # fmt: skip


def with_legend(height: int, lines: Sequence[Baseline]) -> dict[str, dict[str, Any]]:
    """A figure's heights by the width of the screen: on a narrow one, each line of the legend takes room."""
    return {"wide": {"height": height}, "narrow": {"height": height + LEGEND_ROW_PX * len(lines)}}


def baselines_note(study: StudyResults, lines: Sequence[Baseline]) -> str:
    """What the lines are, which ones are out of view, and that they are the reference's; "" without any."""
    every = baselines(study)
    beyond = [line for line in every if line not in lines]
    note = f" Lines: {listed([_label(line) for line in lines])}." if lines else ""
    note += f" Out of view: {listed([_label(line) for line in beyond])}." if beyond else ""
    differing = [_NAMES[line.control] for line in every if line.differs]
    if differing:
        note += f" Of {listed(differing)} the reference's value is given; other cells have other data."
    return note


def _label(line: Baseline) -> str:
    return f"{_NAMES[line.control]} {percent(line.value, 1)}"
