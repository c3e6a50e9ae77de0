"""Two objectives of a search against each other, and the samples that no other one beats in both."""

import numpy as np

from analysis.figures.baselines import draw_baselines
from analysis.figures.drawing import Drawing
from analysis.figures.search import (
    RING,
    by_outcome,
    capitalised,
    lines_for,
    lines_note,
    objective_axis,
    sample_marks,
)
from analysis.figures.theme import Panel, base, colour, rounded
from analysis.results import StudyResults
from analysis.search import search_result, settings_text
from analysis.wording import plural


def front(study: StudyResults) -> Panel | None:
    """The first two objectives of each sample; None for a search with one."""
    if not study.is_search:
        return None
    result = search_result(study)
    complete = np.flatnonzero(~np.isnan(result.values).any(axis=1))
    if len(result.objectives) < 2 or not len(complete):
        return None
    up, across = result.objectives[:2]
    figure = Drawing(base(320))
    shown = result.samples.iloc[complete]
    lines = lines_for(study, up, shown)
    draw_baselines(figure, lines, (float(shown[across.column].min()), float(shown[across.column].max())))
    places = np.flatnonzero(result.front)
    places = places[np.argsort(result.values[places, 1], kind="stable")]
    figure.add_scatter(
        x=rounded(result.values[places, 1]), y=rounded(result.values[places, 0]), mode="lines",
        name="Pareto front", line={"color": colour("accent"), "width": 2, "dash": "dot"}, hoverinfo="skip",
    )  # fmt: skip
    for outcome, samples in by_outcome(shown):
        marks = sample_marks(study, samples, outcome, up, name=f"{outcome} ({len(samples)})")
        figure.add_scatter(x=rounded(samples[across.column]), y=rounded(samples[up.column]), **marks)
    if result.winner is not None:
        up_value, across_value, *_ = result.values[result.winner]
        figure.add_scatter(x=rounded([across_value]), y=rounded([up_value]), **RING)
    figure.update_layout(xaxis=objective_axis(across, title=True), yaxis=objective_axis(up, title=True))
    better = " and ".join(
        f"{'higher' if objective.maximize else 'lower'} {objective.name}" for objective in (up, across)
    )
    caption = (
        f"Better is {better}. The dotted line joins the {plural(len(places), 'sample')} that no other beats "
        f"in all objectives; ringed: the winner, the best of them by {up.name}."
    )
    if len(result.objectives) > 2:
        caption += " Further objectives count for the front but are not drawn."
    caption += lines_note(study, up, lines)
    rows = [
        (
            str(place + 1),
            *(
                objective.text(value)
                for objective, value in zip(result.objectives, result.values[place], strict=True)
            ),
            settings_text(study, result.samples.iloc[place]),
        )
        for place in places
    ]
    header = ("sample", *(objective.name for objective in result.objectives), "settings")
    title = f"{capitalised(up.name)} against {across.name}"
    return Panel(name="front", title=title, caption=caption, drawing=figure, table=(header, rows),
                 brush={"x": across.column, "y": up.column})  # fmt: skip
