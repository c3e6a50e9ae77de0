"""The largest effect on kNN accuracy, and interactions that carry a result."""

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.cells import Cell, cells_of
from analysis.effect_words import aliases_text, effect_p, effect_points, pairs_text
from analysis.effects import Effect, Measure, effects_on, is_conditional
from analysis.findings.finding import Finding, Value
from analysis.findings.learning import not_interpretable
from analysis.naming import level_words
from analysis.results import StudyResults
from analysis.wording import listed, percent, plural, superiority_text


def knn_finding(study: StudyResults) -> Finding | None:
    """The factor that moves kNN accuracy most; where anything collapsed, among the cells that did not."""
    mains = [effect for effect in effects_on(study, Measure.KNN) if len(effect.factors) == 1]
    if not mains:
        return None
    largest = max(mains, key=lambda effect: effect.size)
    mean, ahead = largest.mean, largest.superiority
    assert mean is not None
    assert ahead is not None
    survivors = sum(1 for cell in cells_of(study) if cell.judged and not cell.collapsed)
    factor, level = study.factors[largest.factors[0]], largest.levels[0]
    which = "the only kNN effect" if len(mains) == 1 else f"the largest of {len(mains)} kNN effects"
    among = f"Among the {plural(survivors, 'cell')} that did not collapse, " if is_conditional(study) else ""
    text = f"{among}{which} is that of {factor.name}: {factor.levels[level]} instead of {factor.levels[0]}"
    text += f" changes it by {effect_points(largest)}, over {pairs_text(largest)}"
    if largest.contrast.aliases:
        text += f", and cannot be told from {aliases_text(study, largest)}"
    ahead_text = superiority_text(ahead)
    text += f"; {level_words(factor.name, factor.levels[level])} is ahead with probability {ahead_text}."
    if largest.covers_zero:
        text += " The interval includes zero"
        p = largest.adjusted_p
        beyond_chance = (
            f", though in these seeds it is more than chance (swapped labels, adjusted {effect_p(largest)})"
        )
        text += f"{beyond_chance}." if p is not None and p < 0.05 else "."
    if note := not_interpretable(study):
        text += f" {note}"
    values: dict[str, Value] = {"effect": mean.estimate, "seeds": mean.n, "pairs": largest.matched}
    values |= {"cells": survivors, "factor": factor.name, "family": largest.family}
    values |= {"adjusted_p": largest.adjusted_p, "superiority": ahead.estimate, **_ends(largest)}
    text = text[0].upper() + text[1:]
    return Finding(kind="knn", text=text, values=values, interval=largest.simultaneous, n=mean.n)


def interaction_finding(study: StudyResults, measure: Measure) -> Finding | None:
    """The largest interaction that is shown and at least as large as the smaller of its main effects.

    Without it the main effects mislead: two of +50 points can both come from the cells with both changes.
    """
    effects = effects_on(study, measure)
    mains = {(effect.factors[0], effect.levels[0]): effect for effect in effects if len(effect.factors) == 1}
    crossed = [effect for effect in effects if len(effect.factors) == 2]
    carrying = [effect for effect in crossed if effect.is_shown and _carries(effect, mains)]
    if not carrying:
        return None
    largest = max(carrying, key=lambda effect: effect.size)
    mean = largest.mean
    assert mean is not None
    factors = [study.factors[index] for index in largest.factors]
    changed = listed(
        [
            level_words(factor.name, factor.levels[level])
            for factor, level in zip(factors, largest.levels, strict=True)
        ]
    )
    corners = _corners(cells_of(study), largest)
    both, either, none = (_result(cells, measure) for cells in corners)
    what = "collapse" if measure is Measure.COLLAPSE else "kNN accuracy"
    p = effect_p(largest)
    text = (
        f"{factors[0].name} and {factors[1].name} act on {what} together: with {changed}, {both}; with only "
        f"one of the two, {either}; with neither, {none}. Their interaction is {effect_points(largest)}, "
        f"over {pairs_text(largest)} (swapped labels, adjusted {p})."
    )
    if largest.covers_zero:
        text += " The interval includes zero, so other seeds may show none."
    if largest.contrast.aliases:
        text += f" It cannot be told from {aliases_text(study, largest)}."
    if measure is Measure.KNN and (note := not_interpretable(study)):
        text += f" {note}"
    values: dict[str, Value] = {"measure": measure.value, "effect": mean.estimate, "seeds": mean.n}
    values |= {"first": factors[0].name, "second": factors[1].name, "family": largest.family}
    values |= {"adjusted_p": largest.adjusted_p, **_ends(largest)}
    for name, cells in zip(("both", "either", "neither"), corners, strict=True):
        values |= {f"{name}_collapsed": sum(cell.collapsed for cell in cells)}
        values |= {f"{name}_trials": sum(cell.judged for cell in cells)}
    return Finding(kind="interaction", text=text, values=values, interval=largest.simultaneous, n=mean.n)


def _carries(effect: Effect, mains: Mapping[tuple[int, int], Effect]) -> bool:
    its = [mains.get(pair) for pair in zip(effect.factors, effect.levels, strict=True)]
    sizes = [main.size for main in its if main is not None]
    return bool(sizes) and effect.size >= min(sizes) - 1e-12


def _corners(cells: Sequence[Cell], effect: Effect) -> tuple[list[Cell], list[Cell], list[Cell]]:
    """The effect's cells with both changes, with one, and with neither."""
    used = [cells[row] for row in effect.cells]

    def changed(cell: Cell) -> int:
        return sum(cell.codes[factor] != 0 for factor in effect.factors)

    return (
        [cell for cell in used if changed(cell) == 2],
        [cell for cell in used if changed(cell) == 1],
        [cell for cell in used if changed(cell) == 0],
    )


def _result(cells: Sequence[Cell], measure: Measure) -> str:
    """`3 of 12 trials collapsed`, or `kNN accuracy is 61.0 % in 12 trials`."""
    if measure is Measure.COLLAPSE:
        trials = sum(cell.judged for cell in cells)
        return f"{sum(cell.collapsed for cell in cells)} of {plural(trials, 'trial')} collapsed"
    accuracies = [cell.values("knn_accuracy") for cell in cells]
    mean = float(np.mean([values.mean() for values in accuracies if len(values)]))
    return f"it is {percent(mean, 1)} in {plural(sum(map(len, accuracies)), 'trial')}"


def _ends(effect: Effect) -> dict[str, Value]:
    interval = effect.simultaneous
    return {"low": interval.low if interval else None, "high": interval.high if interval else None}
