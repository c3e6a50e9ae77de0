"""The analysis from Python, for notebooks and scripts; docs/analysis.md shows it at work.

Each function works on what `load_results` read from sweep directories, and on what `study_from_tables` made
of tables in memory.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analysis import effect_table
from analysis.document import findings_document as _document
from analysis.figures import (
    accuracy,
    agreement,
    forest,
    importance,
    onset,
    parallel,
    planes,
    search,
    search_front,
    slopes,
    spectrum,
    trajectories,
)
from analysis.figures import collapse_map as _map
from analysis.figures.theme import Panel
from analysis.findings import Finding, Findings, study_findings
from analysis.findings import findings as _findings
from analysis.load import load_results, study_from_tables
from analysis.page.report import render
from analysis.results import Results, StudyResults

__all__ = [
    "VIEWS",
    "collapse_map",
    "effects",
    "findings",
    "findings_document",
    "load_results",
    "report",
    "study_from_tables",
    "verdict",
    "view",
]

_MAKERS: Mapping[str, Callable[[StudyResults], Panel | None]] = {
    "collapse-map": _map.collapse_map,
    "sensitivity": planes.sensitivity,
    "agreement": agreement.agreement,
    "knn-ecdf": accuracy.knn_ecdf,
    "trajectories": trajectories.trajectories,
    "overlaid": trajectories.overlaid,
    "onset": onset.onset,
    "loss-plane": planes.loss_plane,
    "rank-plane": planes.rank_plane,
    "spectrum": spectrum.spectrum,
    "forest": forest.forest,
    "slopes": slopes.slopes,
    "knn-by-cell": accuracy.knn_by_cell,
    "history": search.history,
    "parameters": search.parameters,
    "front": search_front.front,
    "parallel": parallel.parallel,
    "importance": importance.importance,
}
"""Name -> what makes the view."""
VIEWS = tuple(_MAKERS)
"""The names of the views. `history`, `parameters`, `front` and `importance` are of searches."""

_TITLE_PX = 44


def findings(results: Results | StudyResults) -> Findings:
    """What the results show, in sentences with their numbers: `.items`, `.sentences`, `.counts`."""
    return _findings(_results(results))


def findings_document(results: Results | StudyResults) -> dict[str, Any]:
    """The same as plain data: what findings.json holds."""
    return _document(_results(results))


def verdict(study: StudyResults) -> Finding:
    """The first finding: what keeps the representation from collapsing or, of a search, its winner.

    `str()` of it is the text of the report, `.values` holds its numbers, among them `rule`: the claimed rule
    as a list of alternatives that are each a list of components; None where nothing is claimed.
    """
    return study_findings(study).items[0]


def effects(results: Results | StudyResults) -> pd.DataFrame:
    """All effects with an estimate, a row each, as in effects.parquet. Of a search there are none."""
    return effect_table.effects(_results(results))


def collapse_map(study: StudyResults) -> go.Figure | None:
    """The rate of collapse by cell, as a heat map; None without cells."""
    return view(study, "collapse-map")


def view(study: StudyResults, name: str) -> go.Figure | None:
    """A figure of the report, with its title, and a menu where it has several views.

    Args:
        study: the study.
        name: one of VIEWS.

    Returns:
        The figure; None where the study has nothing to show in it.

    Raises:
        ValueError: there is no view of this name.
    """
    if name not in _MAKERS:
        raise ValueError(f"name must be one of {', '.join(VIEWS)}, but got {name!r}")
    panel = _MAKERS[name](study)
    return None if panel is None else _titled(panel)


def report(results: Results | StudyResults) -> str:
    """The whole report: one HTML page that needs no other file."""
    return render(_results(results))


def _results(results: Results | StudyResults) -> Results:
    return Results(studies=(results,)) if isinstance(results, StudyResults) else results


def _titled(panel: Panel) -> go.Figure:
    """The panel's figure with what the page writes around it: its title, and the menu of its views."""
    figure = go.Figure(panel.figure)
    top, height = figure.layout.margin.t or 0, figure.layout.height
    title = {"text": panel.title, "x": 0, "xref": "paper", "y": 1, "yref": "container", "pad": {"t": 14}}
    figure.update_layout(
        title={**title, "yanchor": "top", "font": {"size": 15}},
        margin={"t": top + _TITLE_PX},
        height=height + _TITLE_PX,
    )
    if len(panel.views) > 1:
        shown = [[index in traces for index in range(len(figure.data))] for _, traces in panel.views]
        for trace, is_shown in zip(figure.data, shown[0], strict=True):
            trace.visible = is_shown
        buttons = [
            {"label": name, "method": "restyle", "args": [{"visible": traces}]}
            for (name, _), traces in zip(panel.views, shown, strict=True)
        ]
        menu = {"buttons": buttons, "x": 1, "xanchor": "right", "yanchor": "bottom", "pad": {"b": 8}}
        figure.update_layout(updatemenus=[{**menu, "y": 1}])
    return figure
