"""The parts of the report's page in order, as HTML, and the figures that each holds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from analysis.cells import Cell, cells_of
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
from analysis.figures.theme import Panel
from analysis.findings import study_findings
from analysis.page import cards, provenance
from analysis.page.markup import element, escaped, table
from analysis.page.trial_table import trial_table_shell
from analysis.results import StudyResults

_OF_SEARCHES = (parallel.parallel, importance.importance)
_SELECTION = '<div class="selection" hidden></div>'
"""Where the page's script shows what is selected."""
_ROWS_UP_TO = 400
"""Rows of a figure's table that the page shows."""


@dataclass(frozen=True, kw_only=True)
class StudyPage:
    """One study's part of the page."""

    html: str
    panels: Mapping[str, Panel]
    """Id of the figure's box in the page -> panel, in the order of the page."""


def study_page(study: StudyResults, prefix: str, name: str = "") -> StudyPage:
    """Builds a sweep's part; all ids in it begin with `prefix`. `name` tells it from the report's others."""
    cells, findings = cells_of(study), study_findings(study)
    panels: dict[str, Panel] = {}

    def figures(*makers: Callable[[StudyResults], Panel | None]) -> str:
        made = [panel for make in makers if (panel := make(study)) is not None]
        panels.update({f"{prefix}-{panel.name}": panel for panel in made})
        return "".join(figure_box(f"{prefix}-{panel.name}", panel) for panel in made)

    def section(name: str, title: str, lead: str, *parts: str) -> str:
        return _section(f"{prefix}-{name}", title, lead, "".join(parts))

    html = element("header", cards.head(study, name), id=f"{prefix}-answer") + _SELECTION
    html += element("section", cards.answer(study, cells, findings), aria_label="Answer")
    if study.is_measured:
        html += _of_embeddings(study, section, figures, prefix)
        return StudyPage(html=element("article", html, data_study=prefix), panels=panels)
    html += section(
        "belief",
        "Why believe it",
        "What the sources expect, the balance of the design, the threshold.",
        _row("two", cards.expected(study) + cards.design_audit(study, cells, findings.counts)),
        figures(agreement.agreement),
        _row("halves", figures(planes.sensitivity, accuracy.knn_ecdf)),
    )
    html += section(
        "when",
        "When it happens",
        "Both embeddings are measured: the projection can collapse while the representation, which is what "
        "is kept after training, survives.",
        figures(trajectories.trajectories, trajectories.overlaid, onset.onset),
    )
    html += section(
        "how",
        "How it happens",
        "Collapse, dimensional collapse and divergence are three different ends.",
        _row("halves", figures(planes.loss_plane, planes.rank_plane)),
        figures(spectrum.spectrum),
    )
    html += _of_factors(study, cells, section, figures)
    html += section(
        "trials",
        "Every trial",
        "What is selected in the map, in a figure or by the filter is listed. Click a heading to sort.",
        trial_table_shell(study, prefix),
    )
    html += section("provenance", "Provenance", "", provenance.provenance(study, findings.counts))
    return StudyPage(html=element("article", html, data_study=prefix), panels=panels)


def _of_factors(
    study: StudyResults, cells: Sequence[Cell], section: Callable[..., str], figures: Callable[..., str]
) -> str:
    """What was searched, or how much each factor of a design matters."""
    if study.is_search:
        return section(
            "factors",
            "What was searched",
            "The samples are a description. Only the winner's trials with fresh seeds give a score.",
            figures(search.history, search.parameters, search_front.front, *_OF_SEARCHES),
        )
    return section(
        "factors",
        "How much each factor matters",
        "Differences are taken within seeds, so that differences between seeds do not blur them.",
        figures(forest.forest) + cards.comparisons(study, cells),
        figures(slopes.slopes, accuracy.knn_by_cell, parallel.parallel),
    )


def _of_embeddings(
    study: StudyResults, section: Callable[..., str], figures: Callable[..., str], prefix: str
) -> str:
    """The parts of embeddings from elsewhere: no design, no loss, no seeds, and curves only over steps."""
    steps = study.metrics.groupby("trial_id").size()
    over_steps = (trajectories.trajectories, trajectories.overlaid) if (steps > 1).any() else ()
    html = section(
        "belief",
        "Why believe it",
        "The thresholds, and how the count depends on them.",
        cards.rules_of_measuring(study) + _row("halves", figures(planes.sensitivity, planes.rank_plane)),
    )
    html += section(
        "when", "When it happens", "Those that were measured at several steps.", figures(*over_steps)
    )
    html += section(
        "how",
        "How it happens",
        "Collapse to a point, collapse to a line and numbers that are not finite are three different ends.",
        figures(spectrum.spectrum),
    )
    html += section(
        "classes",
        "What is known of the classes",
        "Collapse is loss of spread. Whether the classes can still be told apart is another question.",
        figures(accuracy.knn_by_cell),
    )
    html += section(
        "trials",
        "Every set of embeddings",
        "What is selected in a figure or by the filter is listed. Click a heading to sort.",
        trial_table_shell(study, prefix),
    )
    return html + section("provenance", "Provenance", "", provenance.study_files(study))


def _section(name: str, title: str, lead: str, body: str) -> str:
    """A part with its title; empty without a body."""
    if not body:
        return ""
    head = element("h2", escaped(title)) + (element("p", escaped(lead)) if lead else "") if title else ""
    return element("section", head + body, id=name)


def _row(kind: str, inner: str) -> str:
    """Cards beside each other, where the screen is wide enough; empty without any."""
    return element("div", inner, class_=kind) if inner else ""


def figure_box(name: str, panel: Panel) -> str:
    """A figure with its name, what to see in it, and its numbers as a table."""
    header, rows = panel.table
    note = ""
    if len(rows) > _ROWS_UP_TO:
        note = f'<p class="note">The first {_ROWS_UP_TO} of {len(rows):,} rows.</p>'
    numbers = f"<details><summary>The numbers</summary>{note}{table(header, rows[:_ROWS_UP_TO])}</details>"
    caption = element("h3", escaped(panel.title), id=f"{name}-title") + element("p", escaped(panel.caption))
    chooser = ""
    if len(panel.views) > 1:
        select = f'<select data-for="{escaped(name)}"></select>'
        chooser = f'<label class="chooser">{escaped(panel.chooser)} {select}</label>'
    height = int(panel.drawing.layout["height"])
    plot = f'<div class="plot" id="{escaped(name)}" style="min-height:{height}px"></div>'
    inner = element("figcaption", caption) + chooser + plot + numbers
    return element("figure", inner, class_="card", aria_labelledby=f"{name}-title")
