"""Two objectives of a search against each other, and the samples that no other one beats in both."""

import numpy as np
import plotly.graph_objects as go

from analysis.figures.search import MARKS, marks, objective_axis, ring, upper
from analysis.figures.theme import Panel, base, colour, rounded
from analysis.results import StudyResults
from analysis.search import searched, settings_text
from analysis.wording import plural


def front(study: StudyResults) -> Panel | None:
    """The first two objectives of each sample; None for a search with one."""
    if not study.searched:
        return None
    found = searched(study)
    known = np.flatnonzero(~np.isnan(found.values).any(axis=1))
    if len(found.objectives) < 2 or not len(known):
        return None
    up, across = found.objectives[:2]
    figure = go.Figure(layout=base(320))
    places = np.flatnonzero(found.front)
    places = places[np.argsort(found.values[places, 1], kind="stable")]
    figure.add_scatter(
        x=rounded(found.values[places, 1]), y=rounded(found.values[places, 0]), mode="lines",
        name="Pareto front", line={"color": colour("accent"), "width": 2, "dash": "dot"}, hoverinfo="skip",
    )  # fmt: skip
    shown = found.samples.iloc[known]
    for outcome in [outcome for outcome in MARKS if (shown["outcome"] == outcome).any()]:
        own = shown[shown["outcome"] == outcome]
        marks(figure, study, own, own[across.column], own[up.column], outcome, up,
              name=f"{outcome} ({len(own)})")  # fmt: skip
    if found.best is not None:
        ring(figure, [float(found.values[found.best, 1])], [float(found.values[found.best, 0])])
    figure.update_layout(xaxis=objective_axis(across, title=True), yaxis=objective_axis(up, title=True))
    ways = " and ".join(f"{'more' if one.maximize else 'less'} {one.name}" for one in (up, across))
    third = "" if len(found.objectives) == 2 else " Further objectives count for the front and are not drawn."
    caption = (
        f"Better is {ways}. The dotted line joins the {plural(len(places), 'sample')} that no other beats "
        f"in all objectives; ringed: the winner, the best of them by {up.name}.{third}"
    )
    rows = [
        (
            str(place + 1),
            *(one.shown(value) for one, value in zip(found.objectives, found.values[place], strict=True)),
            settings_text(study, found.samples.iloc[place]),
        )
        for place in places
    ]
    header = ("sample", *(one.name for one in found.objectives), "settings")
    title = f"{upper(up.name)} against {across.name}"
    return Panel(name="front", title=title, caption=caption, figure=figure, table=(header, rows))
