"""Whether class information goes where spread goes: kNN accuracy against chance, on the test images."""

import pandas as pd

from analysis.cells import Cell, cells_of
from analysis.controls import Gain, gain
from analysis.findings.finding import Finding, Value
from analysis.information import Fate, Information, Range, information
from analysis.outcomes import Outcome, judged
from analysis.results import StudyResults
from analysis.stats import Interval, mean_interval
from analysis.wording import percent, plural, points, points_range

_NAMED = 3
"""Cells that a sentence names."""

_WHOSE = {
    "representation": "whose representation collapsed",
    "projection": "whose projection alone collapsed",
    "spread": "that kept their spread",
}


def information_finding(study: StudyResults) -> Finding | None:
    """A sentence about the trials whose representation collapsed, and one about those whose projection alone
    did. The others get one only where class information is lost. None for a search, and where nothing is
    known."""
    if study.is_search:
        return None
    texts: list[str] = []
    values: dict[str, Value] = {}
    n = 0
    for name, trials in _groups(study).items():
        result = information(trials)
        if result is None or (name == "spread" and result.fate is Fate.KEPT):
            continue
        texts.append(_sentence(result, _WHOSE[name]))
        values |= _values(name, result)
        n += result.trials
        if name == "spread":
            texts.append("Spread without class information is a shortcut, not a collapse.")
    return Finding(kind="information", text=" ".join(texts), values=values, n=n) if texts else None


def shortcut_finding(study: StudyResults) -> Finding | None:
    """The cells that kept their spread at both levels and yet ended below their own untrained encoders.

    Intervals are simultaneous (Bonferroni) over all cells that kept their spread. None without such a cell.
    """
    spread = [cell for cell in cells_of(study) if cell.judged and not _collapsed_anywhere(cell)]
    gains = [(cell, found) for cell in spread if (found := gain(cell, study.seeds, "knn_accuracy_start"))]
    below = []
    for cell, found in gains:
        at_once = mean_interval(found.differences, 1 - 0.05 / len(gains)).interval
        if at_once is not None and at_once.high < 0:
            below.append((cell, found, at_once))
    if not below:
        return None
    below.sort(key=lambda item: item[1].difference.estimate)
    named = "; ".join(_fall(*item) for item in below[:_NAMED])
    more = f"; and {len(below) - _NAMED} more" if len(below) > _NAMED else ""
    whose = "its" if len(below) == 1 else "their"
    text = (
        f"Spread is not information: {plural(len(below), 'cell')} kept {whose} spread at both levels in "
        f"every trial, and yet ended with a lower kNN accuracy than {whose} own untrained encoders "
        f"(simultaneous 95 % intervals over {plural(len(gains), 'cell')}): {named}{more}. That is no "
        "collapse: the spread holds something else than the classes."
    )
    values: dict[str, Value] = {"cells": len(below), "family": len(gains)}
    values |= {"lowest": below[0][1].difference.estimate}
    return Finding(kind="shortcut", text=text, values=values, interval=below[0][2], n=len(below))


def _fall(cell: Cell, found: Gain, at_once: Interval) -> str:
    fall = found.difference.estimate
    ends = f"{percent(found.control + fall, 1)} after {percent(found.control, 1)}"
    return f"{cell.text} ({ends}: {points(fall)} points, {points_range(at_once)})"


def _collapsed_anywhere(cell: Cell) -> bool:
    return bool(cell.collapsed or cell.projection_collapsed)


def _groups(study: StudyResults) -> dict[str, pd.DataFrame]:
    trials = judged(study.trials)
    collapsed = trials["outcome"] == Outcome.COLLAPSED
    projection = ~collapsed & trials["projection_collapsed"].fillna(False).astype(bool)
    return {
        "representation": trials[collapsed],
        "projection": trials[projection],
        "spread": trials[~collapsed & ~projection],
    }


def _sentence(result: Information, whose: str) -> str:
    digits = 0 if result.chance[0] >= 0.05 else 1
    accuracies = f"kNN accuracy {_shares(result.knn, digits)}"
    accuracies += f" and linear probe {_shares(result.probe, digits)}" if result.probe else ""
    accuracies += f" where chance is {_shares(result.chance, digits)}"
    images = " to ".join(f"{number:,.0f}" for number in dict.fromkeys(result.test_images))
    notes = [f"exact 95 % intervals on {images} test images"]
    if result.stopped:
        verb = "is" if result.stopped == 1 else "are"
        notes.append(f"{plural(result.stopped, 'trial')} stopped early, and {verb} measured there")
    if result.unknown:
        notes.append(f"unknown in {plural(result.unknown, 'other trial')}")
    note = f"({'; '.join(notes)})"
    if result.fate is Fate.MIXED:
        kept, lost, mixed = (result.fates.count(fate) for fate in Fate)
        return (
            f"Of {plural(len(result.fates), 'cell')} {whose}, {kept} kept class information, {lost} lost it "
            f"and {mixed} {'is' if mixed == 1 else 'are'} mixed (kept in some seeds): {accuracies}, and "
            f"above it in {result.above} of {plural(result.trials, 'trial')} {note}."
        )
    all_of_them = "the only trial" if result.trials == 1 else f"all {result.trials} trials"
    return f"In {all_of_them} {whose}, class information is {result.fate}: {accuracies} {note}."


def _shares(ends: Range, digits: int) -> str:
    low, high = (percent(value, digits) for value in ends)
    return high if low == high else f"{low.removesuffix(' %')} to {high}"


def _values(name: str, result: Information) -> dict[str, Value]:
    return {
        f"{name}_trials": result.trials,
        f"{name}_above": result.above,
        **{f"{name}_{fate}": result.fates.count(fate) for fate in Fate},
        f"{name}_knn_low": result.knn[0],
        f"{name}_knn_high": result.knn[1],
        f"{name}_chance": result.chance[1],
    }
