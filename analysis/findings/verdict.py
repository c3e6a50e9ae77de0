"""The first sentence: what keeps the representation from collapsing, as far as the cells can tell."""

from collections import Counter
from collections.abc import Sequence

from analysis.cells import Cell, reference_of
from analysis.findings.finding import Finding
from analysis.findings.rules import changes_text, rule_text, seeds_text, verdict_values
from analysis.outcomes import Counts
from analysis.provenance import confounded
from analysis.results import StudyResults
from analysis.verdict import (
    LEVEL,
    Case,
    Search,
    Side,
    StudyVerdict,
    Verdict,
    seeds_with_collapse,
    study_verdict,
)
from analysis.wording import as_written, listed, number, plural

_ERRORS, _ERROR_LENGTH, _NAMED = 3, 120, 3
"""Errors that are quoted, their length in letters, and cells or rules that are named."""


def headline(study: StudyResults, cells: Sequence[Cell], counts: Counts) -> Finding:
    """The verdict of a study in a few sentences."""
    if not counts.judged:
        return _without_results(study, counts)
    if not cells:
        return _description(study, counts)
    verdicts = study_verdict(study)
    levels = [
        _sentences(study, cells, verdicts),
        _projection(study, verdicts.representation, verdicts.projection),
    ]
    if _projection_first(verdicts):
        levels.reverse()
    texts = [*levels[0], *levels[1], *_open_cells(study, cells, verdicts.representation)]
    values = verdict_values(study, verdicts.representation, "representation")
    values["projection"] = verdict_values(study, verdicts.projection, "projection")
    interval, n = verdicts.representation.interval, verdicts.representation.collapsed.trials
    return Finding(kind="verdict", text=" ".join(texts), values=values, interval=interval, n=n)


def _without_results(study: StudyResults, counts: Counts) -> Finding:
    planned = plural(counts.planned, "planned trial")
    case = Case.ALL_FAILED
    if counts.waiting + counts.running + counts.interrupted:
        case = Case.NO_RESULTS
        text = f"No verdict yet: none of the {planned} has a result."
    else:
        text = f"No verdict: none of the {planned} came to a result."
    left_out = {"failed": counts.failed, "diverged": counts.diverged, "pruned": counts.pruned}
    ends = [f"{n} {end}" for end, n in (left_out | {"unknown": counts.unknown}).items() if n]
    if ends:
        text += f" Ended without one: {listed(ends)}."
    errors = Counter(study.trials["error"].dropna().astype(str))
    if len(errors):
        quoted = [f"“{error[:_ERROR_LENGTH]}” ({n})" for error, n in errors.most_common(_ERRORS)]
        more = f", and {plural(len(errors) - _ERRORS, 'other')}" if len(errors) > _ERRORS else ""
        text += f" Errors, with their number of trials: {'; '.join(quoted)}{more}."
    verdict = Verdict(case=case, collapsed=Side(collapsed=0, trials=0))
    values = verdict_values(study, verdict, "representation")
    return Finding(kind="verdict", text=text, values=values, n=0)


def _description(study: StudyResults, counts: Counts) -> Finding:
    text = (
        f"The representation collapsed in {counts.collapsed} of {plural(counts.judged, 'trial')}. "
        "This is a description without an interval: the study has no cells to compare."
    )
    collapsed = Side(collapsed=counts.collapsed, trials=counts.judged)
    verdict = Verdict(case=Case.UNDETERMINED, collapsed=collapsed)
    values = verdict_values(study, verdict, "representation")
    return Finding(kind="verdict", text=text, values=values, n=counts.judged)


def _projection_first(verdicts: StudyVerdict) -> bool:
    """What is shown comes before what is not."""
    return verdicts.projection.passes and not verdicts.representation.passes


def _sentences(study: StudyResults, cells: Sequence[Cell], verdicts: StudyVerdict) -> list[str]:
    """About the representation."""
    verdict = verdicts.representation
    what = f"What prevents collapse{' of the representation' if _projection_first(verdicts) else ''}"
    match verdict.case:
        case Case.NOTHING_COLLAPSED:
            return [_nothing_collapsed(study, cells, verdicts)]
        case Case.EVERYTHING_COLLAPSED:
            trials = plural(verdict.collapsed.trials, "trial")
            return [
                f"Everything collapsed: the representation in all {trials}, with every component and "
                "without. No component is shown to prevent it here."
            ]
        case Case.CONFOUNDED:
            return [
                *_collapsed_reference(cells),
                f"{what} cannot be told: {_confounded(study, verdict)}. The representation collapsed in "
                f"{_of(verdict.collapsed)}.",
            ]
        case Case.CLAIMED | Case.TIED:
            assert verdict.found is not None
            return [
                *_collapsed_reference(cells),
                _claim(study, verdict, verdict.found, "representation"),
                *_limits(study, cells, verdict, verdict.found),
            ]
        case _:
            return _undetermined(study, cells, verdict, what)


def _confounded(study: StudyResults, verdict: Verdict) -> str:
    names, reasons = [study.factors[index].name for index in verdict.confounded], confounded(study)
    return "; ".join(f"{name} is {reasons[name]}" for name in names)


def _nothing_collapsed(study: StudyResults, cells: Sequence[Cell], verdicts: StudyVerdict) -> str:
    judged = [cell.judged for cell in cells if cell.judged]
    seeds = seeds_with_collapse(cells, study.seeds)
    over = f"in {seeds_text(seeds)}" if seeds.n else "no seed has a result in all of them"
    if min(judged) != max(judged):
        over = f"{min(judged)} to {max(judged)} seeds a cell; over the seeds that all of them have: {over}"
    trials = f"{plural(verdicts.representation.collapsed.trials, 'trial')} of {plural(len(judged), 'cell')}"
    text = f"he representation kept its spread in all {trials} (collapse {over})"
    if verdicts.projection.collapsed.collapsed:
        return f"T{text}: no component is shown to be needed for that at this scale."
    return f"Nothing collapsed: t{text}. No component is shown to be needed at this scale."


def _claim(study: StudyResults, verdict: Verdict, found: Search, level: str) -> str:
    rules = [rule_text(study, rule) for rule in (found.rule, *verdict.aliases)]
    difference, interval, stands = verdict.difference, verdict.interval, verdict.thresholds
    assert difference is not None
    assert interval is not None
    notes = [
        f"{_points(difference)} points fewer, 95 % {_points(interval.low)} to {_points(interval.high)}",
        f"adjusted p {p_text(found.adjusted_p)}",
    ]
    if stands is not None and stands.low < stands.high:
        notes.append(
            f"the same rule for every threshold tried from {as_written(stands.low)} to "
            f"{as_written(stands.high)}"
        )
    elif stands is not None:
        notes.append("at no other threshold tried")
    counts = f"the {level} collapsed in {_sides(found)} ({'; '.join(notes)})."
    if len(rules) == 1:
        return f"{rules[0]}: {counts}"
    more = f", or one of {len(rules) - _NAMED} more" if len(rules) > _NAMED else ""
    return (
        f"One of these, which no cell with a result tells apart: {'; '.join(rules[:_NAMED])}{more}: {counts}"
    )


def _sides(found: Search) -> str:
    outside = found.outside
    return f"{_of(found.inside)} with, {outside.collapsed} of {outside.trials} without"


def _of(side: Side) -> str:
    return f"{side.collapsed} of {plural(side.trials, 'trial')}"


def _points(share: float) -> str:
    return str(round(100 * share)).replace("-", "−")  # whole, so that there is no −0


def p_text(p: float) -> str:
    """`0.032`, or `below 0.001`."""
    return "below 0.001" if p < 0.001 else number(p, 2 if p >= 0.01 else 1)


def _limits(study: StudyResults, cells: Sequence[Cell], verdict: Verdict, found: Search) -> list[str]:
    """How far the claim goes: exceptions, rules nearly as good, and what was not tried."""
    texts = _exceptions(verdict)
    if found.ties:
        named = "; ".join(rule_text(study, rule) for rule in found.ties[:_NAMED])
        more = f"; and {len(found.ties) - _NAMED} more" if len(found.ties) > _NAMED else ""
        texts.append(f"Hardly less well fits: {named}{more}.")
    judged = [cell for cell in cells if cell.judged]
    if all(len(cell.changed) < 2 for cell in judged):
        texts.append(
            "Only one component was changed at a time: what happens without several of them is open."
        )
    elif all(min(cell.codes) >= 0 for cell in judged):
        longer = [rule for rule in found.aliases if rule not in verdict.aliases]
        if longer:
            texts.append(
                f"No cell with a result tells it from longer rules, such as {rule_text(study, longer[0])}."
            )
    return texts


def _exceptions(verdict: Verdict) -> list[str]:
    if not verdict.exceptions:
        return []
    which = "this" if len(verdict.exceptions) == 1 else "these"
    return [f"Without it, {which} did not collapse either: {_changes(verdict.exceptions)}."]


def _changes(cells: Sequence[Cell]) -> str:
    """The first of the cells that did not collapse, with their trials."""
    named = "; ".join(f"{changes_text(cell)} (0 of {cell.judged})" for cell in cells[:_NAMED])
    more = f", and {plural(len(cells) - _NAMED, 'other cell')}" if len(cells) > _NAMED else ""
    return f"{named}{more}"


def _collapsed_reference(cells: Sequence[Cell]) -> list[str]:
    reference = reference_of(cells)
    if reference is None or not reference.judged or reference.collapsed < reference.judged:
        return []
    all_of_them = "its only trial" if reference.judged == 1 else f"all {reference.judged} trials"
    return [f"The reference itself collapsed in {all_of_them}."]


def _undetermined(study: StudyResults, cells: Sequence[Cell], verdict: Verdict, what: str) -> list[str]:
    found, reference = verdict.found, _collapsed_reference(cells)
    counts = f"so far the representation collapsed in {_of(verdict.collapsed)}"
    counts += ", all of one seed" if verdict.seeds == 1 else ", and no rule over the components passes"
    texts = [f"{what} is undetermined: {counts}."]
    if reference:
        survivors = [cell for cell in cells if cell.judged and not cell.collapsed]
        texts += reference
        if survivors:
            others = f"Of the other {plural(len(cells) - 1, 'cell')}, {len(survivors)} did not collapse"
            texts.append(f"{others}: {_changes(survivors)}.")
    if found is None:
        alone = sum(bool(cell.judged) for cell in cells) == 1
        why = (
            "Only one cell has a result"
            if alone
            else "Collapse is as frequent with each component as without"
        )
        return [*texts, f"{why}."]
    texts.append(
        f"The best of {found.rules:,} is {rule_text(study, found.rule)}: collapse in {_sides(found)} "
        f"(adjusted p {p_text(found.adjusted_p)})."
    )
    if 2 * found.outside.rate >= 1:
        texts += _exceptions(verdict)
    return [*texts, would_decide(verdict)]


def would_decide(verdict: Verdict) -> str:
    """How many seeds would settle a verdict that is undetermined."""
    outlook, seeds = verdict.outlook, plural(verdict.seeds, "seed")
    if outlook is None:
        return "With one seed nothing is claimed, since what hangs on the seed cannot be seen."
    if outlook.least_p > LEVEL:
        text = f"With {seeds} not even a clean separation by it could pass (p {p_text(outlook.least_p)})"
        return (
            f"{text}; {outlook.seeds} seeds that collapse like these would." if outlook.seeds else f"{text}."
        )
    if outlook.seeds:
        return (
            f"If further seeds collapse like these {verdict.seeds}, {outlook.seeds} in all would decide it."
        )
    return f"Not even {outlook.most_seeds} seeds that collapse like these {verdict.seeds} would decide it."


def _projection(study: StudyResults, representation: Verdict, projection: Verdict) -> list[str]:
    """Where the projection has an answer of its own."""
    found = projection.found
    if projection.passes and found is not None:
        same = representation.passes and representation.found is not None
        if same and representation.found is not None and representation.found.rule == found.rule:
            return [f"The same rule holds for the projection: it collapsed in {_sides(found)}."]
        return [_claim(study, projection, found, "projection")]
    if projection.case is Case.CONFOUNDED:
        known = projection.confounded == representation.confounded
        why = " either" if known else f": {_confounded(study, projection)}"
        counts = f"The projection collapsed in {_of(projection.collapsed)}"
        return [f"{counts}; what prevents that cannot be told{why}."]
    if projection.collapsed.collapsed and projection.collapsed != representation.collapsed:
        return [f"The projection collapsed in {_of(projection.collapsed)}; no rule passes for it."]
    return []


def _open_cells(study: StudyResults, cells: Sequence[Cell], verdict: Verdict) -> list[str]:
    """The cells without a result, and what became of their trials."""
    open_cells = verdict.open_cells
    if not open_cells:
        return []
    ends: dict[str, int] = {}
    for cell in open_cells:
        for outcome, n in cell.outcomes.items():
            ends[outcome] = ends.get(outcome, 0) + n
    named = "; ".join(changes_text(cell) for cell in open_cells[:_NAMED])
    which = named if len(open_cells) <= _NAMED else f"{len(open_cells)} of {plural(len(cells), 'cell')}"
    return [f"Without any result: {which} ({listed([f'{n} {end}' for end, n in ends.items()])})."]
