"""The first sentence: what keeps the representation from collapsing, as far as the cells can tell."""

from collections.abc import Sequence

from analysis.cells import Cell, reference_of
from analysis.findings.finding import Finding, Value
from analysis.outcomes import Counts
from analysis.results import StudyResults
from analysis.stats import Rate
from analysis.verdict import Case, Removals, Sufficient, evidence_for, seeds_with_collapse, study_verdict
from analysis.wording import listed, plural, rate


def components_text(study: StudyResults, factors: Sequence[int]) -> str:
    """`encoder_norm = batch and predictor = mlp`: those factors at the reference's levels."""
    return listed([f"{study.factors[index].name} = {study.factors[index].levels[0]}" for index in factors])


def seeds_text(seeds: Rate) -> str:
    """`0 of 3 seeds, 95 % interval 0 to 71 %`: seeds in which something collapsed."""
    return f"{seeds.k} of {plural(seeds.n, 'seed')}, {rate(seeds) if seeds.n > 1 else 'so no interval'}"


def headline(study: StudyResults, cells: Sequence[Cell], counts: Counts) -> Finding:
    """The verdict of a study in a sentence or two."""
    if not counts.judged:
        text = f"No verdict yet: none of the {plural(counts.planned, 'planned trial')} has a result."
        return Finding(kind="verdict", text=text, values={"judged": 0})
    if not cells:
        return _description(counts)
    verdict = study_verdict(study, cells)
    match verdict.case:
        case Case.REFERENCE_COLLAPSED:
            return _reference_collapsed(study, cells)
        case Case.NOTHING_COLLAPSED:
            return _nothing_collapsed(study, cells)
        case Case.SUFFICIENT:
            return _sufficient(study, cells, verdict.sufficient)
        case Case.ONE_BY_ONE:
            assert verdict.removals is not None
            return _one_by_one(removals_finding(study, verdict.removals))
        case _:
            return _undetermined(study, cells, verdict.sufficient)


def _description(counts: Counts) -> Finding:
    text = (
        f"The representation collapsed in {counts.collapsed} of {plural(counts.judged, 'trial')}. "
        "This is a description without an interval: the study has no cells to compare."
    )
    return Finding(kind="verdict", text=text, values={"k": counts.collapsed, "n": counts.judged})


def _reference_collapsed(study: StudyResults, cells: Sequence[Cell]) -> Finding:
    reference = reference_of(cells)
    assert reference is not None
    survivors = [cell for cell in cells if cell.judged and not cell.collapsed]
    text = (
        f"The reference itself collapsed in {seeds_text(seeds_with_collapse([reference], study.seeds))}, "
        "so no set of its components prevents collapse here. "
    )
    text += (
        f"{plural(len(survivors), 'other cell')} did not collapse, among them {survivors[0].text}."
        if survivors
        else f"So did all {len(cells)} cells, at least once each."
    )
    values: dict[str, Value] = {"k": reference.collapsed, "n": reference.judged, "survivors": len(survivors)}
    return Finding(kind="verdict", text=text, values=values)


def _nothing_collapsed(study: StudyResults, cells: Sequence[Cell]) -> Finding:
    n, seeds = sum(cell.judged for cell in cells), seeds_with_collapse(cells, study.seeds)
    text = (
        "Nothing collapsed: the representation kept its spread in all "
        f"{n} trials of {plural(len(cells), 'cell')} (collapse in {seeds_text(seeds)}). "
        "No component is shown to be needed at this scale."
    )
    return Finding(kind="verdict", text=text, values={"k": 0, "n": n, "size": 0})


def _sufficient(study: StudyResults, cells: Sequence[Cell], sufficient: Sufficient) -> Finding:
    first, *others = sufficient.smallest
    evidence = evidence_for(study, cells, sufficient)
    k, n = evidence.collapsed_without, evidence.trials_without
    it = "it" if len(first) == 1 else "them"
    text = (
        f"{components_text(study, first)} {'alone' if len(first) == 1 else 'together'} kept the "
        "representation from collapsing, whatever the levels of the "
        f"other factors: 0 of {evidence.trials} trials collapsed ({plural(evidence.cells, 'cell')}; "
        f"in {seeds_text(evidence.seeds)})"
    )
    if others:
        text += f". So did {listed([components_text(study, factors) for factors in others])}."
        text += f" Of the trials with none of these, {k} of {n} collapsed."
    else:
        text += f", against {k} of {n} without {it}."
    if sufficient.larger:
        text += f" Without {'it' if len(first) == 1 and not others else 'these'}, "
        larger = [components_text(study, factors) for factors in sufficient.larger]
        text += f"{listed(larger, 'or')} together did."
    values: dict[str, Value] = {"inside": evidence.trials, "size": len(first), "sets": len(others) + 1}
    values |= {"larger": len(sufficient.larger), "k": k, "n": n}
    return Finding(kind="verdict", text=text, values=values)


def _one_by_one(single: Finding) -> Finding:
    text = f"{single.text} The smallest set that suffices is undetermined: not all combinations have results."
    return Finding(kind="verdict", text=text, values=single.values)


def _undetermined(study: StudyResults, cells: Sequence[Cell], sufficient: Sufficient) -> Finding:
    n, k = sum(cell.judged for cell in cells), sum(cell.collapsed for cell in cells)
    with_results = sum(cell.judged > 0 for cell in cells)
    text = (
        "Which components prevent collapse is undetermined, with results in "
        f"{with_results} of {plural(len(cells), 'cell')}: so far the representation collapsed in "
        f"{k} of {plural(n, 'trial')}."
    )
    candidates = [*sufficient.sets, *sufficient.open_sets]
    least = min((len(factors) for factors in candidates), default=0)
    if least:
        names = [components_text(study, factors) for factors in candidates if len(factors) == least]
        text += f" None of those had {listed(names, 'or')}."
    return Finding(kind="verdict", text=text, values={"k": k, "n": n, "run": with_results})


def removals_finding(study: StudyResults, removals: Removals) -> Finding:
    """What happens when one component alone leaves the reference's level."""
    fatal, harmless = removals.fatal, removals.harmless
    parts = []
    if fatal:
        changes = [f"{_changes(study, [cell])} ({_seeds_of(study, cell)})" for cell in fatal]
        parts.append(f"Changing one component of the reference made it collapse: {listed(changes)}.")
    if harmless:
        fewest = min(harmless, key=lambda cell: cell.judged)
        equal = all(cell.judged == fewest.judged for cell in harmless)
        scope = "" if len(harmless) == 1 else "each: " if equal else "fewest seeds: "
        parts.append(
            f"Changing only {_changes(study, harmless)} did not make it collapse"
            f" ({scope}{_seeds_of(study, fewest)})."
        )
    values: dict[str, Value] = {"fatal": len(fatal), "harmless": len(harmless)}
    return Finding(kind="removals", text=" ".join(parts), values=values)


def _seeds_of(study: StudyResults, cell: Cell) -> str:
    return seeds_text(seeds_with_collapse([cell], study.seeds))


def _changes(study: StudyResults, cells: Sequence[Cell]) -> str:
    """`predictor = linear or none or tau_base = 0`: levels other than the reference's, by factor."""
    levels: dict[int, list[str]] = {}
    for cell in cells:
        (index,) = cell.changed
        levels.setdefault(index, []).append(cell.labels[index])
    changes = [f"{study.factors[index].name} = {listed(labels, 'or')}" for index, labels in levels.items()]
    return listed(changes, "or")
