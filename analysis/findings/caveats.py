"""What limits the findings: missing trials, few seeds, unequal lengths, nulls. Said, never left out."""

from collections.abc import Sequence

import numpy as np

from analysis.findings.finding import Finding, Value
from analysis.outcomes import JUDGED, Cell, Counts
from analysis.results import StudyResults
from analysis.stats import threshold_sensitivity
from analysis.wording import exact, listed, number, plural


def caveats(study: StudyResults, found: Sequence[Cell], counts: Counts) -> tuple[Finding, ...]:
    """Those that apply, the gravest first."""
    candidates = (
        _missing(found, counts),
        _ends(counts),
        _seeds(study, counts),
        _early(counts),
        _lengths(study),
        _labels(counts),
        _threshold(study),
    )
    return tuple(item for item in candidates if item is not None)


def _caveat(kind: str, text: str, **values: Value) -> Finding:
    return Finding(kind=kind, text=text, values=values, caveat=True)


def _missing(found: Sequence[Cell], counts: Counts) -> Finding | None:
    left = counts.running + counts.waiting + counts.interrupted
    if not left:
        return None
    empty = sum(cell.judged == 0 for cell in found)
    text = f"Not finished: {plural(left, 'trial')} of {counts.planned} still to come"
    text += f", and {plural(empty, 'cell')} without any result" if empty else ""
    return _caveat("missing", f"{text}.", left=left, empty=empty)


def _ends(counts: Counts) -> Finding | None:
    words = {
        "failed": "failed",
        "diverged": "diverged (loss or embedding not finite, which is neither collapse nor success)",
        "pruned": "stopped by a scheduler",
        "unknown": "finished without a measurement",
    }
    parts = [f"{getattr(counts, name)} {said}" for name, said in words.items() if getattr(counts, name)]
    if counts.dimensional:
        dimensional = (
            f"{plural(counts.dimensional, 'trial')} kept the spread on hardly more than one direction"
        )
        parts.append(f"{dimensional} (dimensional collapse, counted apart)")
    if not parts:
        return None
    left_out = counts.failed + counts.diverged + counts.pruned + counts.unknown
    text = f"Of {plural(counts.planned, 'trial')}, {listed(parts)}"
    text += f"; {left_out} {'is' if left_out == 1 else 'are'} left out of the rates." if left_out else "."
    return _caveat("ends", text, left_out=left_out, dimensional=counts.dimensional)


def _seeds(study: StudyResults, counts: Counts) -> Finding | None:
    n = len(study.seeds)
    if study.searched or n >= 6 or not counts.judged:
        return None
    if n == 1:
        return _caveat("seeds", "One seed only: nothing here has an interval or can be tested.", n=1)
    least = number(2 ** (1 - n), 2)
    text = f"{n} seeds are too few for p < .05 in an exact paired test (the least possible is {least})."
    return _caveat("seeds", text, n=n)


def _early(counts: Counts) -> Finding | None:
    if not counts.stopped_early:
        return None
    text = f"{plural(counts.stopped_early, 'trial')} ended before the planned number of steps: "
    text += "their kNN accuracy and last std are not compared with those of full-length trials."
    return _caveat("early", text, n=counts.stopped_early)


def _lengths(study: StudyResults) -> Finding | None:
    lengths = study.trials["steps_planned"].dropna().unique()
    if len(lengths) < 2:
        return None
    span = f"{min(lengths):,} to {max(lengths):,} steps"
    text = f"Trials were planned with {span}, so accuracies are at unequal steps."
    return _caveat("lengths", text, least=int(min(lengths)), most=int(max(lengths)))


def _labels(counts: Counts) -> Finding | None:
    if not counts.without_knn:
        return None
    if counts.without_knn == counts.judged:
        return _caveat(
            "labels", "No trial has a kNN accuracy (no labels); the verdicts do not need it.", n=counts.judged
        )
    text = f"{counts.without_knn} of {plural(counts.judged, 'judged trial')} have no kNN accuracy."
    return _caveat("labels", text, n=counts.without_knn)


def _threshold(study: StudyResults) -> Finding | None:
    """Says if another threshold near the recorded one, by a factor of two, would change verdicts."""
    judged = study.trials[study.trials["outcome"].isin(JUDGED)]
    threshold = study.representation_threshold
    if judged.empty or threshold <= 0:
        return None
    std = judged["representation_std"].to_numpy(np.float64)
    low, middle, high = (int((std < threshold * factor).sum()) for factor in (0.5, 1.0, 2.0))
    stable = threshold_sensitivity(std, threshold).stable
    if low == middle == high:
        return None
    text = (
        f"The count depends on the threshold: {low} trials below {exact(threshold / 2)}, {middle} below "
        f"{exact(threshold)} (the recorded one), {high} below {exact(threshold * 2)}."
    )
    return _caveat("threshold", text, low=low, middle=middle, high=high, stable_low=stable.low)
