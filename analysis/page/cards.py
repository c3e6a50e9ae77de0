"""The cards of the report that are text and tables: answer, expectation, audit, comparisons."""

from collections.abc import Sequence

from analysis.agreement import agreements
from analysis.audit import audit, recomputed, thresholds_text
from analysis.cells import Cell
from analysis.comparisons import HEADER, comparison_rows
from analysis.findings import Findings
from analysis.findings.learning import not_interpretable
from analysis.findings.rules import alternative_text
from analysis.findings.verdict import p_text
from analysis.outcomes import MEANINGS, Counts, outcome_counts
from analysis.page.collapse_map import collapse_map
from analysis.page.markup import element, escaped, pairs, prose, table
from analysis.results import StudyResults
from analysis.verdict import Case, Verdict, study_verdict


def head(study: StudyResults, name: str = "") -> str:
    """The study's title and question, and above it the sweep's name, if it needs one."""
    above = element("p", escaped(name), class_="sweep") if name else ""
    question = element("p", escaped(study.question), class_="question") if study.question else ""
    return above + element("h1", escaped(study.title), tabindex="-1") + question


def answer(study: StudyResults, cells: Sequence[Cell], findings: Findings) -> str:
    """The first screen: the counts, the verdict, the other findings, the collapse map."""
    first, *others = findings.items
    sentence, _, rest = first.text.partition(". ")
    text = element("p", prose(f"{sentence}." if rest else sentence))
    text += element("p", prose(rest)) if rest else ""
    lead = element("section", text, class_="card lead whole", aria_label="Verdict")
    items = "".join(
        element("li", prose(item.text), **({"class_": "caveat"} if item.caveat else {})) for item in others
    )
    card = element("section", element("ul", items), class_="card findings whole", aria_label="Findings")
    body = lead + (card if others else "")
    if cells:
        body = element("div", body + _map(study, cells), class_="answer")
    return _counts(study, findings.counts) + body


def _counts(study: StudyResults, counts: Counts) -> str:
    shown = (
        [
            ("measured", counts.planned, ""),
            ("collapsed", counts.collapsed, "bad" if counts.collapsed else ""),
            ("projection only", counts.projection_only, ""),
            ("dimensional collapse", counts.dimensional, "bad" if counts.dimensional else ""),
            ("not finite", counts.diverged, ""),
            ("cannot be told", counts.unknown, ""),
        ]
        if study.is_measured
        else [
            ("planned", counts.planned, ""),
            ("ran", counts.ran, ""),
            ("collapsed (representation)", counts.collapsed, "bad" if counts.collapsed else ""),
            ("projection only", counts.projection_only, ""),
            ("failed", counts.failed, "bad" if counts.failed else ""),
            *((outcome, number, "") for outcome, number in counts.rare.items()),
        ]
    )
    items = [
        element("li", f"<b>{number:,}</b> {escaped(name)}", **({"class_": kind} if kind else {}))
        for name, number, kind in shown
    ]
    return element("ul", "".join(items), class_="counts")


def _map(study: StudyResults, cells: Sequence[Cell]) -> str:
    note = "Tiles: collapsed of judged trials, with the exact 95 % interval. Framed: the reference."
    inner = element("h3", "Collapse map") + element("p", note, class_="note")
    inner += collapse_map(study, cells) + _smallest_set(study)
    return element("section", inner, class_="card", aria_label="Collapse map")


_WITHOUT_RULE = {
    Case.ALL_FAILED: "no trial came to a result",
    Case.NO_RESULTS: "nothing has finished yet",
    Case.NOTHING_COLLAPSED: "no component: nothing collapsed",
    Case.EVERYTHING_COLLAPSED: "none: everything collapsed",
    Case.CONFOUNDED: "cannot be told: a factor is confounded",
    Case.UNDETERMINED: "undetermined: no rule over the components passes",
}


def _smallest_set(study: StudyResults) -> str:
    verdicts = study_verdict(study)
    levels = {"representation": verdicts.representation, "projection": verdicts.projection}
    lines = "".join(f"<p>{level}: {_rule(study, verdict)}</p>" for level, verdict in levels.items())
    return f'<div class="smallest"><h3>Smallest set of components that prevents collapse</h3>{lines}</div>'


def _rule(study: StudyResults, verdict: Verdict) -> str:
    """The claimed rule as pills, several if they are tied; or why there is none."""
    if verdict.found is None or not verdict.passes:
        return _WITHOUT_RULE[verdict.case]
    shown = [
        " or ".join(
            f'<span class="pill">{escaped(alternative_text(study, components))}</span>'
            for components in rule.alternatives
        )
        for rule in (verdict.found.rule, *verdict.aliases)
    ]
    return f"{'; or: '.join(shown)} (adjusted p {p_text(verdict.found.adjusted_p)})"


def expected(study: StudyResults) -> str:
    """What was expected, in the words of the study file; what was found stands at the top."""
    text = escaped(study.expected) if study.expected else "The study file does not say."
    source = f'<p class="note">Sources: {escaped(study.source)}</p>' if study.source else ""
    inner = f"<h3>Expected, according to the study file</h3><blockquote>{text}</blockquote>{source}"
    note = (
        "The orderings that were published are compared below."
        if agreements(study)
        else "Whether the answer above agrees is for the reader to judge."
    )
    return element("section", inner + element("p", note, class_="note"), class_="card")


def rules_of_measuring(study: StudyResults) -> str:
    """By what embeddings from elsewhere were judged."""
    outcomes = outcome_counts(study.trials)
    rows = [
        ("Thresholds", thresholds_text(study)),
        ("Collapse recomputed from the tables", recomputed(study)),
        ("Not known", "loss, settings, data, code and seeds of the training: only its embeddings were read"),
    ]
    meanings = pairs((outcome.value, meaning) for outcome, meaning in MEANINGS.items() if outcome in outcomes)
    inner = element("h3", "How these were judged") + pairs(rows)
    inner += f"<details><summary>What the outcomes mean</summary>{meanings}</details>"
    return element("section", inner, class_="card")


def design_audit(study: StudyResults, cells: Sequence[Cell], counts: Counts) -> str:
    """The audit, and what the outcomes mean."""
    outcomes = outcome_counts(study.trials)
    ends = ", ".join(f"{number:,} {outcome}" for outcome, number in outcomes.items())
    meanings = pairs((outcome.value, meaning) for outcome, meaning in MEANINGS.items() if outcome in outcomes)
    inner = element("h3", "Audit of the design") + pairs([*audit(study, cells, counts), ("Outcomes", ends)])
    inner += f"<details><summary>What the outcomes mean</summary>{meanings}</details>"
    return element("section", inner, class_="card")


def comparisons(study: StudyResults, cells: Sequence[Cell]) -> str:
    """The reference against each cell that differs in one factor; empty without any."""
    rows = comparison_rows(study, cells)
    if not rows:
        return ""
    note = (
        "Each cell that differs from the reference in one factor, seed by seed; kNN where neither cell "
        "collapsed. p swaps the labels within all matched pairs of cells that differ in that factor alone, "
        "adjusted by Holm within a column. With one pair a seed, fewer than six seeds cannot reach .05: then "
        "only the t interval speaks, which takes the differences between seeds to be about normal."
    )
    note = f"{not_interpretable(study)} {note}".lstrip()
    inner = element("h3", "One component at a time") + element("p", note, class_="note")
    return element("section", inner + table(HEADER, rows, class_="compact"), class_="card")
