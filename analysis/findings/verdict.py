"""The first sentence: what keeps the representation from collapsing, as far as the cells can tell."""

from collections.abc import Sequence

import numpy as np

from analysis.effects import Sufficient, sufficient_sets
from analysis.findings.finding import Finding, Value
from analysis.outcomes import Cell, Counts, seeds_with_collapse
from analysis.results import StudyResults
from analysis.stats import clopper_pearson
from analysis.wording import listed, plural, rate


def sufficiency(study: StudyResults, found: Sequence[Cell]) -> Sufficient:
    """Which components of the reference suffice; `found` must not be empty."""
    return sufficient_sets(
        [cell.codes for cell in found],
        np.array([cell.collapsed for cell in found]),
        np.array([cell.judged for cell in found]),
        [len(factor.levels) for factor in study.factors],
    )


def components(study: StudyResults, kept: Sequence[int]) -> str:
    """`encoder_norm = batch and predictor = mlp`: those factors at the reference's levels."""
    return listed([f"{study.factors[index].name} = {study.factors[index].levels[0]}" for index in kept])


def verdict(study: StudyResults, found: Sequence[Cell], counts: Counts) -> Finding:
    """The headline of a study with the cells `found`."""
    if not counts.judged:
        text = f"No verdict yet: none of the {plural(counts.planned, 'planned trial')} has a result."
        return Finding(kind="verdict", text=text, values={"judged": 0})
    if not found:
        return _descriptive(counts)
    suffices = sufficiency(study, found)
    if suffices.reference_collapsed:
        return _reference_collapsed(study, found)
    if suffices.determined and suffices.sets[0] == ():
        return _nothing(study, found)
    if suffices.determined:
        return _sufficient(study, found, suffices)
    single = removals(study, found)
    if single is not None and 2 * len(one_changed(found)) >= len(found) - 1:
        return _one_by_one(single)
    return _undetermined(study, found, suffices)


def _descriptive(counts: Counts) -> Finding:
    text = (
        f"The representation collapsed in {counts.collapsed} of {plural(counts.judged, 'trial')}. "
        "This is a description without an interval: the study has no cells to compare."
    )
    return Finding(kind="verdict", text=text, values={"k": counts.collapsed, "n": counts.judged})


def _reference_collapsed(study: StudyResults, found: Sequence[Cell]) -> Finding:
    reference = next(cell for cell in found if cell.is_reference)
    alive = [cell for cell in found if cell.judged and not cell.collapsed]
    text = (
        f"The reference itself collapsed in {seeds_phrase(study, [reference])}, so no set of its components "
    )
    text += "prevents collapse here. "
    text += (
        f"{plural(len(alive), 'other cell')} did not collapse, among them {alive[0].text}."
        if alive
        else f"So did all {len(found)} cells, at least once each."
    )
    values: dict[str, Value] = {"k": reference.collapsed, "n": reference.judged, "alive": len(alive)}
    return Finding(kind="verdict", text=text, values=values)


def _nothing(study: StudyResults, found: Sequence[Cell]) -> Finding:
    n = sum(cell.judged for cell in found)
    text = (
        "Nothing collapsed: the representation kept its spread in all "
        f"{n} trials of {plural(len(found), 'cell')} (collapse in {seeds_phrase(study, found)}). "
        "No component is shown to be needed at this scale."
    )
    return Finding(kind="verdict", text=text, values={"k": 0, "n": n, "size": 0})


def _sufficient(study: StudyResults, found: Sequence[Cell], suffices: Sufficient) -> Finding:
    smallest = [kept for kept in suffices.sets if len(kept) == len(suffices.sets[0])]
    larger = suffices.sets[len(smallest) :]
    kept = smallest[0]
    inside = [cell for cell in found if _holds(cell, kept)]
    n = sum(cell.judged for cell in inside)
    alone = "alone " if len(kept) == 1 else "together "
    text = f"{components(study, kept)} {alone}kept the representation from collapsing, whatever the other "
    text += f"factors: 0 of {n} trials collapsed ({plural(len(inside), 'cell')}; "
    text += f"in {seeds_phrase(study, inside)})"
    values: dict[str, Value] = {"inside": n, "size": len(kept), "sets": len(smallest), "larger": len(larger)}
    outside = [cell for cell in found if not any(_holds(cell, other) for other in smallest)]
    k, n_outside = sum(cell.collapsed for cell in outside), sum(cell.judged for cell in outside)
    values |= {"k": k, "n": n_outside}
    if len(smallest) == 1:
        text += f", against {k} of {n_outside} without {'it' if len(kept) == 1 else 'them'}."
    else:
        text += f". So did {listed([components(study, other) for other in smallest[1:]])}."
        text += f" Of the trials with none of these, {k} of {n_outside} collapsed."
    if larger:
        text += f" Without {'it' if len(smallest) == len(kept) == 1 else 'these'}, "
        text += f"{listed([components(study, other) for other in larger], 'or')} together did."
    return Finding(kind="verdict", text=text, values=values)


def _holds(cell: Cell, kept: Sequence[int]) -> bool:
    return all(cell.codes[index] == 0 for index in kept)


def _one_by_one(single: Finding) -> Finding:
    text = f"{single.text} The smallest set that suffices is undetermined: not all combinations have results."
    return Finding(kind="verdict", text=text, values=single.values)


def _undetermined(study: StudyResults, found: Sequence[Cell], suffices: Sufficient) -> Finding:
    judged, k = sum(cell.judged for cell in found), sum(cell.collapsed for cell in found)
    run = sum(cell.judged > 0 for cell in found)
    text = (
        "Which components prevent collapse is undetermined, with results in "
        f"{run} of {plural(len(found), 'cell')}: so far the representation collapsed in "
        f"{k} of {plural(judged, 'trial')}."
    )
    candidates = [*suffices.sets, *suffices.open_sets]
    least = min((len(kept) for kept in candidates), default=0)
    if least:
        names = [components(study, kept) for kept in candidates if len(kept) == least]
        text += f" None of those had {listed(names, 'or')}."
    return Finding(kind="verdict", text=text, values={"k": k, "n": judged, "run": run})


def removals(study: StudyResults, found: Sequence[Cell]) -> Finding | None:
    """What happens when one component alone leaves the reference's level; None without such results."""
    reference = next((cell for cell in found if cell.is_reference), None)
    single = one_changed(found)
    if reference is None or not reference.judged or not single:
        return None
    fatal = [cell for cell in single if cell.collapsed]
    harmless = [cell for cell in single if not cell.collapsed]
    values: dict[str, Value] = {"fatal": len(fatal), "harmless": len(harmless)}
    parts = []
    if fatal:
        each = [f"{_changes(study, [cell])} ({seeds_phrase(study, [cell])})" for cell in fatal]
        parts.append(f"Changing one component of the reference made it collapse: {listed(each)}.")
    if harmless:
        fewest = min(harmless, key=lambda cell: cell.judged)
        equal = all(cell.judged == fewest.judged for cell in harmless)
        scope = "" if len(harmless) == 1 else "each: " if equal else "the least known: "
        parts.append(
            f"Changing only {_changes(study, harmless)} did not make it collapse"
            f" ({scope}{seeds_phrase(study, [fewest])})."
        )
    return Finding(kind="removals", text=" ".join(parts), values=values)


def one_changed(found: Sequence[Cell]) -> list[Cell]:
    """The cells with results that differ from the reference in one factor, in the order of the factors."""
    single = [cell for cell in found if len(cell.changed) == 1 and cell.judged]
    return sorted(single, key=lambda cell: (cell.changed[0], cell.codes[cell.changed[0]]))


def _changes(study: StudyResults, single: Sequence[Cell]) -> str:
    """`predictor = linear or none or tau_base = 0`: levels other than the reference's, by factor."""
    levels: dict[int, list[str]] = {}
    for cell in single:
        (index,) = cell.changed
        levels.setdefault(index, []).append(cell.labels[index])
    changes = [f"{study.factors[index].name} = {listed(own, 'or')}" for index, own in levels.items()]
    return listed(changes, "or")


def seeds_phrase(study: StudyResults, found: Sequence[Cell]) -> str:
    """`0 of 3 seeds, 95 % interval 0 to 71 %`: seeds in which any of the cells collapsed."""
    k, n = seeds_with_collapse(found, study.seeds)
    interval = rate(clopper_pearson(k, n)) if n > 1 else "so no interval"
    return f"{k} of {plural(n, 'seed')}, {interval}"
