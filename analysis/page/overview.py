"""The part of the page that compares several sweeps. It needs no script."""

from collections.abc import Sequence

from analysis.cells import Cell
from analysis.changes import Change
from analysis.findings.overview import learned_text, overview_findings, short_verdict
from analysis.overview import Difference, Entry, Overview, Quantity, SharedCell, Sweep, overview
from analysis.page.markup import element, escaped, prose
from analysis.results import Results
from analysis.wording import number, percent, points, points_range

_DIRECTORIES_UP_TO = 3


def overview_part(results: Results) -> str:
    """The overview as HTML; links lead to the parts `s0-answer`, `s1-answer`, ..."""
    compared = overview(results)
    title = element("h1", f"{len(compared.sweeps)} sweeps compared")
    inner = title + _caveats(results) + _verdicts(compared) + _shared(compared) + _changes(compared)
    return element("section", inner, id="overview", class_="overview")


def _caveats(results: Results) -> str:
    items = [
        element("li", prose(item.text), class_="caveat") for item in overview_findings(results) if item.caveat
    ]
    card = element("section", element("ul", "".join(items)), class_="card findings", aria_label="Caveats")
    return card if items else ""


def _card(title: str, note: str, inner: str) -> str:
    return element(
        "section", element("h3", title) + element("p", prose(note), class_="note") + inner, class_="card"
    )


def _scrolled(head: Sequence[str], body: str) -> str:
    """A table of HTML rows, in a box that scrolls by itself."""
    cells = "".join(f'<th scope="col">{escaped(name)}</th>' for name in head)
    inner = f"<table><thead><tr>{cells}</tr></thead>{body}</table>"
    return f'<div class="scroll" tabindex="0">{inner}</div>'


def _verdicts(compared: Overview) -> str:
    header = (
        "sweep",
        "trials",
        "reference over its own start",
        "representation collapsed",
        "projection collapsed",
        "what prevents collapse",
    )
    rows = "".join(_verdict_row(index, sweep) for index, sweep in enumerate(compared.sweeps))
    note = (
        "Points of kNN accuracy, with a 95 % t interval over seeds; collapsed of judged trials. What "
        "prevents collapse of the representation, and of the projection where that is another answer."
    )
    return _card("What each found", note, _scrolled(header, f"<tbody>{rows}</tbody>"))


def _verdict_row(index: int, sweep: Sweep) -> str:
    counts, study = sweep.counts, sweep.study
    directories = ", ".join(study.directories[:_DIRECTORIES_UP_TO])
    if len(study.directories) > _DIRECTORIES_UP_TO:
        directories += f" and {len(study.directories) - _DIRECTORIES_UP_TO} more"
    link = element("a", escaped(study.name), href=f"#s{index}-answer")
    planned = "" if counts.judged == counts.planned else f"<small>of {counts.planned:,} planned</small>"
    row = (
        f"{link}<small>in {escaped(directories)}</small>",
        f"{counts.judged:,}{planned}",
        prose(learned_text(sweep)),
        f"{counts.collapsed} of {counts.judged}",
        f"{counts.projection_collapsed} of {counts.judged}",
        prose(short_verdict(sweep)),
    )
    first, *others = row
    last = f'<td class="words">{others.pop()}</td>'
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{text}</td>" for text in others)}{last}</tr>'


def _shared(compared: Overview) -> str:
    if not compared.shared:
        text = (
            "No two of these sweeps have a cell in common: no configuration, no levels of the same factors."
        )
        return _card("The same cells, side by side", text, "")
    family = max(
        (d.family for row in compared.shared for e in row.entries for d in e.differences.values()), default=0
    )
    note = (
        "Cells that two sweeps or more have. Under a value: its difference from the first sweep in the row, "
        "seed by seed, in points for kNN. "
    )
    if family:
        note += (
            f"The 95 % intervals hold for all comparisons of a column at once (t over seeds, Bonferroni over "
            f"{family}); bold where they leave out 0."
        )
    else:
        note += "These have no seed in common, so there are no differences."
    header = (
        "cell",
        "sweep",
        "kNN",
        "representation std",
        "projection std",
        "collapsed",
        "projection collapsed",
    )
    body = "".join(_cell_rows(compared, row) for row in compared.shared)
    return _card("The same cells, side by side", note, _scrolled(header, body))


def _cell_rows(compared: Overview, row: SharedCell) -> str:
    hint = {True: "", False: "<small>other settings</small>", None: ""}[row.same_settings]
    name = f'<th scope="row" rowspan="{len(row.entries)}">{escaped(row.entries[0].cell.text)}{hint}</th>'
    lines = [_entry(compared.sweeps[entry.sweep], entry) for entry in row.entries]
    return f"<tbody><tr>{name}{lines[0]}</tr>{''.join(f'<tr>{line}</tr>' for line in lines[1:])}</tbody>"


def _entry(sweep: Sweep, entry: Entry) -> str:
    cell = entry.cell
    values = (_value(cell, entry.differences.get(quantity), quantity) for quantity in Quantity)
    texts = (
        f'<span class="words">{escaped(sweep.name)}</span>',
        *values,
        f"{cell.collapsed} of {cell.judged}",
        f"{cell.projection_collapsed} of {cell.projection_judged}",
    )
    return "".join(f"<td>{text}</td>" for text in texts)


def _value(cell: Cell, difference: Difference | None, quantity: Quantity) -> str:
    values, of_knn = cell.values(quantity), quantity is Quantity.KNN
    if not len(values):
        return "–"
    mean = float(values.mean())
    text = prose(percent(mean, 1) if of_knn else number(mean))
    if difference is None:
        return text
    estimate, interval = difference.mean.estimate, difference.mean.interval
    if not estimate and interval is None:
        return f"{text}<small>the same</small>"
    shown = points(estimate) if of_knn else signed(estimate)
    if interval is not None:
        low, high = interval.low, interval.high
        shown += f" ({points_range(interval) if of_knn else f'{signed(low)} to {signed(high)}'})"
    return text + element("small", f"<b>{shown}</b>" if difference.is_shown else shown)


def signed(value: float) -> str:
    """A difference of std, with its sign."""
    return f"{value:+.3f}".replace("-", "−")


def _changes(compared: Overview) -> str:
    title = "What changed between them"
    if not compared.changes:
        return _card(
            title,
            "Nothing that is recorded: configuration, code, versions, hardware and data are the same.",
            "",
        )
    note = (
        "Only what is not the same in all of them, from study.yaml, manifest.json and the tables of trials."
    )
    header = ("", *(sweep.name for sweep in compared.sweeps))
    groups = dict.fromkeys(change.group for change in compared.changes)
    body = "".join(
        f'<tbody><tr class="group"><th scope="rowgroup" colspan="{len(header)}">{escaped(group)}</th></tr>'
        + "".join(_change_row(change) for change in compared.changes if change.group == group)
        + "</tbody>"
        for group in groups
    )
    return _card(title, note, element("div", _scrolled(header, body), class_="changes"))


def _change_row(change: Change) -> str:
    values = "".join(f"<td>{escaped(value)}</td>" for value in change.values)
    return f'<tr><th scope="row">{escaped(change.name)}</th>{values}</tr>'
