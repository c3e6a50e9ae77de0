"""Several sweeps in words: one sentence for each, and a caveat where a trial did not repeat itself."""

from collections.abc import Sequence

from analysis.findings.finding import Finding, Value
from analysis.findings.rules import rule_text
from analysis.findings.verdict import p_text
from analysis.overview import Difference, NotRepeated, Overview, Quantity, SharedCell, Sweep, overview
from analysis.results import Results, StudyResults
from analysis.verdict import Case, Verdict
from analysis.wording import listed, plural, points, points_range, shortened

_TRIALS_UP_TO = 3
_WITHOUT_RULE = {
    Case.ALL_FAILED: "no result",
    Case.NO_RESULTS: "no result yet",
    Case.NOTHING_COLLAPSED: "nothing collapsed",
    Case.EVERYTHING_COLLAPSED: "everything collapsed",
    Case.CONFOUNDED: "cannot be told: a factor is confounded",
    Case.UNDETERMINED: "undetermined",
}


def overview_findings(results: Results) -> tuple[Finding, ...]:
    """A finding for each of several sweeps; none for a single one."""
    if len(results.studies) < 2:
        return ()
    compared = overview(results)
    sentences = [_sentence(compared, index) for index in range(len(compared.sweeps))]
    return (*sentences, *(_not_repeatable(compared, item) for item in compared.not_repeated))


def short_verdict(sweep: Sweep) -> str:
    """What keeps representation and projection from collapsing, in a few words."""
    if sweep.study.is_search:
        return "a search: it describes, and tests nothing"
    if sweep.verdict is None:
        return "no result" if not sweep.counts.judged else "no cells to compare"
    representation, projection = sweep.verdict.representation, sweep.verdict.projection
    words = _rule(sweep.study, representation)
    if projection.passes or projection.case is not representation.case:
        words += f"; projection: {_rule(sweep.study, projection)}"
    return words


def _rule(study: StudyResults, verdict: Verdict) -> str:
    if verdict.found is None or not verdict.passes:
        return _WITHOUT_RULE[verdict.case]
    rules = listed([rule_text(study, rule) for rule in (verdict.found.rule, *verdict.aliases)][:2], "or else")
    return f"{rules} (adjusted p {p_text(verdict.found.adjusted_p)})"


def learned_text(sweep: Sweep) -> str:
    """How far the reference's kNN accuracy rose over its own untrained encoder: `+2.6 (+2.0 to +3.2)`."""
    start = sweep.learned.over_start if sweep.learned else None
    if start is None:
        return "–"
    interval = start.difference.interval
    return points(start.difference.estimate) + (f" ({points_range(interval)})" if interval else "")


def _sentence(compared: Overview, index: int) -> Finding:
    sweep = compared.sweeps[index]
    counts = sweep.counts
    text = (
        f"{sweep.name} ({counts.judged} of {plural(counts.planned, 'trial')} judged): {short_verdict(sweep)}"
    )
    if (learned := learned_text(sweep)) != "–":
        text += f"; its reference is {learned} points of kNN above its own start"
    values: dict[str, Value] = {
        "sweep": sweep.name,
        "study": sweep.study.name,
        "planned": counts.planned,
        "judged": counts.judged,
        "collapsed": counts.collapsed,
        "projection_collapsed": counts.projection_collapsed,
    }
    rows = [row for row in compared.shared if index in [entry.sweep for entry in row.entries[1:]]]
    if rows:
        text += f"; {_comparison(compared, index, rows, values)}"
    return Finding(kind="overview", text=f"{text}.", values=values, n=counts.judged)


def _comparison(compared: Overview, index: int, rows: Sequence[SharedCell], values: dict[str, Value]) -> str:
    """What is said of the cells that earlier sweeps have, too; their numbers are added to `values`."""
    others = dict.fromkeys(row.entries[0].sweep for row in rows)
    text = (
        f"shares {plural(len(rows), 'cell')} with {listed([compared.sweeps[other].name for other in others])}"
    )
    entries = [entry for row in rows for entry in row.entries if entry.sweep == index]
    differences = [
        (difference, entry.cell.text)
        for entry in entries
        if (difference := entry.differences.get(Quantity.KNN))
    ]
    values |= {"shared": len(rows), "compared": len(differences)}
    if not differences:
        return f"{text}, without a seed in common"
    shown = sum(difference.is_shown for difference, _ in differences)
    largest, cell = max(differences, key=lambda pair: abs(pair[0].mean.estimate))
    values |= {"differ": shown, "largest": largest.mean.estimate, "cell": cell, "family": largest.family}
    if not any(difference.mean.estimate for difference, _ in differences):
        return f"{text}, with the same kNN accuracies"
    groups = dict.fromkeys(
        change.group.lower()
        for change in compared.changes
        if any(change.values[index] != change.values[other] for other in others)
    )
    text += f", of which kNN is shown to differ in {shown}: at most by {difference_text(largest)} in {cell}"
    return f"{text} (changed: {listed([*groups])})" if groups else f"{text} (nothing recorded changed)"


def difference_text(difference: Difference) -> str:
    """`+2.0 points (95 % interval +1.0 to +3.0, simultaneous over 8, 5 seeds)`."""
    mean = difference.mean
    seeds = plural(mean.n, "seed")
    if mean.interval is None:
        return f"{points(mean.estimate)} points ({seeds}, no interval)"
    over = f", simultaneous over {difference.family}" if difference.family > 1 else ""
    return f"{points(mean.estimate)} points (95 % interval {points_range(mean.interval)}{over}, {seeds})"


def _not_repeatable(compared: Overview, item: NotRepeated) -> Finding:
    one, other = (compared.sweeps[index].name for index in item.sweeps)
    n = len(item.trials)
    named = ", ".join(shortened(trial, 40) for trial in item.trials[:_TRIALS_UP_TO])
    more = f" and {n - _TRIALS_UP_TO} more" if n > _TRIALS_UP_TO else ""
    text = (
        f"Not repeatable: {one} and {other} ran {plural(n, 'trial')} ({named}{more}) with the same code "
        "and the same of everything else that is recorded, and their results differ. So a difference of "
        "this size between sweeps needs no other cause."
    )
    values: dict[str, Value] = {"n": n, "sweeps": [one, other]}
    return Finding(kind="not-repeatable", text=text, values=values, n=n, caveat=True)
