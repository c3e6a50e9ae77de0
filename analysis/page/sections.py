"""The parts of the report's page, as HTML, and the figures that each holds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from analysis.audit import audit
from analysis.comparisons import HEADER, comparison_rows
from analysis.figures import (
    accuracy,
    forest,
    onset,
    planes,
    search,
    search_front,
    slopes,
    spectrum,
    trajectories,
)
from analysis.figures.theme import Panel
from analysis.findings import Findings, study_findings
from analysis.findings.verdict import components, sufficiency
from analysis.outcomes import OUTCOMES, Cell, Counts, cells, outcome_counts
from analysis.page.collapse_map import collapse_map
from analysis.page.markup import element, escaped, pairs, table
from analysis.page.trial_table import trial_table_shell
from analysis.results import StudyResults


@dataclass(frozen=True, kw_only=True)
class StudyPage:
    """One study's part of the page."""

    html: str
    panels: Mapping[str, Panel]
    """Id of the figure's box in the page -> panel, in the order of the page."""


def study_page(study: StudyResults, prefix: str) -> StudyPage:
    """Builds a study's part; all ids in it begin with `prefix`."""
    found, said = cells(study), study_findings(study)
    panels: dict[str, Panel] = {}

    def figure(make: Callable[[StudyResults], Panel | None]) -> str:
        panel = make(study)
        if panel is None:
            return ""
        panels[f"{prefix}-{panel.name}"] = panel
        return figure_box(f"{prefix}-{panel.name}", panel)

    parts = [
        _section(prefix, "answer", "", "", _head(study), _answer(study, found, said)),
        _section(
            prefix, "belief", "Why to believe it",
            "What the sources expect, the balance of the design, the threshold.",
            element("div", _agreement(study, said) + _audit(study, found, said.counts), class_="two"),
            element("div", figure(planes.sensitivity) + figure(accuracy.knn_ecdf), class_="halves"),
        ),
        _section(
            prefix, "when", "When it happens",
            "Both levels are measured: the projection can collapse while the representation, which one "
            "keeps, survives.",
            figure(trajectories.trajectories), figure(onset.onset),
        ),
        _section(
            prefix, "how", "How it happens",
            "Collapse, dimensional collapse and divergence are three different ends.",
            element("div", figure(planes.loss_plane) + figure(planes.rank_plane), class_="halves"),
            figure(spectrum.spectrum),
        ),
        _section(
            prefix, "factors", "What was searched",
            "Samples describe. Only the winner's trials with fresh seeds give a score.",
            figure(search.history), figure(search.search), figure(search_front.front),
        ) if study.searched else _section(
            prefix, "factors", "How much each factor matters",
            "Differences within seeds, so that what seeds share does not blur them.",
            figure(forest.forest) + _comparisons(study, found),
            figure(slopes.slopes), figure(accuracy.knn_by_cell),
        ),
        _section(prefix, "trials", "Every trial",
                 "Click a heading to sort, or a tile of the map above to see its trials.",
                 trial_table_shell(study, prefix)),
        _section(prefix, "provenance", "Provenance", "", _provenance(study)),
    ]  # fmt: skip
    html = "".join(part for part in parts if part)
    return StudyPage(html=element("article", html, data_study=prefix), panels=panels)


def _section(prefix: str, name: str, title: str, lead: str, *inner: str) -> str:
    body = "".join(part for part in inner if part and part != '<div class="halves"></div>')
    if not body:
        return ""
    head = element("h2", escaped(title)) + (element("p", escaped(lead)) if lead else "") if title else ""
    return element("section", head + body, id=f"{prefix}-{name}")


def figure_box(name: str, panel: Panel) -> str:
    """A figure with its name, what to see in it, and its numbers as a table."""
    header, rows = panel.table
    limit = 400
    note = "" if len(rows) <= limit else f'<p class="note">The first {limit} of {len(rows):,} rows.</p>'
    numbers = f"<details><summary>The numbers</summary>{note}{table(header, rows[:limit])}</details>"
    caption = element("h3", escaped(panel.title), id=f"{name}-title") + element("p", escaped(panel.caption))
    chooser = ""
    if len(panel.views) > 1:
        select = f'<select data-for="{escaped(name)}"></select>'
        chooser = f'<label class="chooser">{escaped(panel.chooser)} {select}</label>'
    height = int(panel.figure.layout.height)
    plot = f'<div class="plot" id="{escaped(name)}" style="min-height:{height}px"></div>'
    inner = element("figcaption", caption) + chooser + plot + numbers
    return element("figure", inner, class_="card", aria_labelledby=f"{name}-title")


def _head(study: StudyResults) -> str:
    question = element("p", escaped(study.question), class_="question") if study.question else ""
    return element("h1", escaped(study.title)) + question


def _answer(study: StudyResults, found: Sequence[Cell], said: Findings) -> str:
    first, *rest = said.items
    items = "".join(
        element("li", escaped(item.text), **({"class_": "caveat"} if item.caveat else {})) for item in rest
    )
    lead = element("section", element("p", escaped(first.text)), class_="card lead", aria_label="Verdict")
    card = (
        element("section", element("ul", items), class_="card verdict", aria_label="Findings") if rest else ""
    )
    right = ""
    if found:
        names = escaped(" · ".join(factor.name for factor in study.factors))
        title = element("h3", "Collapse map") + element(
            "p",
            f"Tiles: trials collapsed of trials judged, exact 95 % interval. Framed: the reference. {names}.",
            class_="note",
        )
        inner = title + collapse_map(study, found) + _least(study, found)
        right = element("section", inner, class_="card", aria_label="Collapse map")
    return _counts(said.counts) + (
        element("div", lead + card + right, class_="answer") if right else lead + card
    )


def _counts(counts: Counts) -> str:
    shown = [("planned", counts.planned, ""), ("ran", counts.ran, "")]
    shown += [("collapsed (representation)", counts.collapsed, "bad" if counts.collapsed else "")]
    shown += [
        ("projection only", counts.projection_only, ""),
        ("failed", counts.failed, "bad" if counts.failed else ""),
    ]
    rare = ("dimensional", "diverged", "pruned", "interrupted", "unknown", "running", "waiting")
    shown += [(name, getattr(counts, name), "") for name in rare if getattr(counts, name)]
    items = [
        element("li", f"<b>{n:,}</b> {escaped(name)}", **({"class_": kind} if kind else {}))
        for name, n, kind in shown
    ]
    return element("ul", "".join(items), class_="counts")


def _least(study: StudyResults, found: Sequence[Cell]) -> str:
    suffices = sufficiency(study, found)
    if not any(cell.judged for cell in found):
        text = "nothing has finished yet"
    elif suffices.reference_collapsed:
        text = "none: the reference itself collapsed"
    elif not suffices.determined:
        text = "undetermined: not every combination has results"
    elif suffices.sets[0] == ():
        text = "no component: nothing collapsed"
    else:
        text = ""
    pills = [
        f'<span class="pill">{escaped(components(study, kept))}</span>' for kept in suffices.sets if kept
    ]
    body = escaped(text) or " or ".join(pills)
    return f'<div class="least"><h3>Smallest set of components that prevents collapse</h3><p>{body}</p></div>'


def _agreement(study: StudyResults, said: Findings) -> str:
    expected = escaped(study.expected) if study.expected else "The study file does not say."
    source = f'<p class="note">Sources: {escaped(study.source)}</p>' if study.source else ""
    inner = (
        f"<h3>Expected, by the study file</h3><blockquote>{expected}</blockquote>{source}"
        f"<h3>Found</h3><blockquote>{escaped(said.items[0].text)}</blockquote>"
        '<p class="note">The two are put side by side; whether they agree is the reader\'s to say.</p>'
    )
    return element("section", inner, class_="card")


def _audit(study: StudyResults, found: Sequence[Cell], counts: Counts) -> str:
    ends = ", ".join(f"{n:,} {name}" for name, n in outcome_counts(study.trials).items())
    rows = [*audit(study, found, counts), ("Outcomes", ends)]
    meanings = pairs((name, OUTCOMES[name]) for name in outcome_counts(study.trials))
    inner = element("h3", "Audit of the design") + pairs(rows)
    inner += f"<details><summary>What the outcomes mean</summary>{meanings}</details>"
    return element("section", inner, class_="card")


def _comparisons(study: StudyResults, found: Sequence[Cell]) -> str:
    rows = comparison_rows(study, found)
    if not rows:
        return ""
    note = (
        "Each cell that differs from the reference in one factor. Tests are exact, adjusted by Holm within a "
        "column, and never starred; kNN is compared seed by seed where neither cell collapsed."
    )
    inner = (
        element("h3", "One component at a time")
        + element("p", note, class_="note")
        + table(HEADER, rows, class_="compact")
    )
    return element("section", inner, class_="card")


def _provenance(study: StudyResults) -> str:
    cards = []
    for directory, manifest, document in zip(
        study.directories, study.manifests, study.documents, strict=True
    ):
        rows = [("directory", directory), *_flat(manifest)]
        if not manifest:
            rows.append(("manifest.json", "missing"))
        settings = pairs(_flat(document))
        inner = element("h3", escaped(directory)) + pairs(rows)
        inner += f"<details><summary>The study as it was resolved</summary>{settings}</details>"
        cards.append(element("section", inner, class_="card"))
    return "".join(cards)


def _flat(value: object, name: str = "") -> list[tuple[str, str]]:
    """Nested plain data as dotted names and texts."""
    if isinstance(value, Mapping):
        return [
            pair
            for key, inner in value.items()
            for pair in _flat(inner, f"{name}.{key}" if name else str(key))
        ]
    if isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        return [pair for index, item in enumerate(value) for pair in _flat(item, f"{name}[{index}]")]
    if isinstance(value, list):
        return [(name, ", ".join(map(str, value)))]
    return [(name, "–" if value is None else str(value))]
