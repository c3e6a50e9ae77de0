"""Whether class information goes where spread goes: kNN accuracy against chance, on the test images."""

import pandas as pd

from analysis.findings.finding import Finding, Value
from analysis.information import Fate, Information, Range, information
from analysis.outcomes import Outcome, judged
from analysis.results import StudyResults
from analysis.wording import percent, plural

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
