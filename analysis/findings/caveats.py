"""What limits the findings: a reference that did not learn, missing trials, few seeds, unequal lengths."""

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.audit import unequal_seeds
from analysis.cells import Cell
from analysis.findings.finding import Finding, Value
from analysis.findings.learning import not_learned_caveat
from analysis.outcomes import Counts, Outcome, judged
from analysis.provenance import confounded, mixtures
from analysis.results import StudyResults
from analysis.stats import threshold_sensitivity
from analysis.wording import as_written, listed, number, plural


def caveats(study: StudyResults, cells: Sequence[Cell], counts: Counts) -> tuple[Finding, ...]:
    """The caveats that apply, the most serious first."""
    candidates = (
        _confounded(study),
        not_learned_caveat(study),
        _missing(cells, counts),
        _ends(counts),
        _seeds(study, counts),
        _early(counts),
        _lengths(study),
        *_mixtures(study),
        _merged(study),
        _unequal(study, cells),
        _labels(counts),
        _threshold(study),
    )
    return tuple(item for item in candidates if item is not None)


def _caveat(kind: str, text: str, values: Mapping[str, Value], n: int | None = None) -> Finding:
    return Finding(kind=kind, text=text, values=values, n=n, caveat=True)


def _missing(cells: Sequence[Cell], counts: Counts) -> Finding | None:
    remaining = counts.running + counts.waiting + counts.interrupted
    if not remaining:
        return None
    empty = sum(cell.judged == 0 for cell in cells)
    text = f"Not finished: {remaining} of {plural(counts.planned, 'trial')} still to come"
    text += f", and {plural(empty, 'cell')} without any result" if empty else ""
    return _caveat("missing", f"{text}.", {"remaining": remaining, "empty": empty}, remaining)


_CONFOUNDED_UP_TO = 3
_ENDS = {
    Outcome.FAILED: "failed",
    Outcome.DIVERGED: "diverged (loss or embedding not finite, which is neither collapse nor success)",
    Outcome.PRUNED: "stopped by a scheduler",
    Outcome.UNKNOWN: "finished without a measurement",
}
"""Outcome that rates leave out -> what it is called here."""


def _ends(counts: Counts) -> Finding | None:
    excluded = {end: number for end in _ENDS if (number := getattr(counts, end))}
    parts = [f"{number} {_ENDS[end]}" for end, number in excluded.items()]
    if counts.dimensional:
        dimensional = (
            f"{plural(counts.dimensional, 'trial')} kept the spread along hardly more than one direction"
        )
        parts.append(f"{dimensional} (dimensional collapse, counted separately)")
    if not parts:
        return None
    n = sum(excluded.values())
    text = f"Of {plural(counts.planned, 'trial')}, {listed(parts)}"
    text += f"; {n} {'is' if n == 1 else 'are'} left out of the rates." if n else "."
    return _caveat("ends", text, {"left_out": n, "dimensional": counts.dimensional}, n)


def _seeds(study: StudyResults, counts: Counts) -> Finding | None:
    n = len(study.seeds)
    if study.is_search or n >= 6 or not counts.judged:
        return None
    if n == 1:
        return _caveat("seeds", "One seed only: nothing here has an interval or can be tested.", {"n": 1}, 1)
    least = number(2 ** (1 - n), 2)
    text = (
        f"{n} seeds are too few for p < .05 where two cells are compared, one pair a seed, by an exact test "
        f"(the smallest possible is {least})."
    )
    return _caveat("seeds", text, {"n": n}, n)


def _early(counts: Counts) -> Finding | None:
    if not counts.stopped_early:
        return None
    text = f"{plural(counts.stopped_early, 'trial')} ended before the planned number of steps: "
    text += "their kNN accuracy and last std are not compared with those of full-length trials."
    return _caveat("early", text, {"n": counts.stopped_early}, counts.stopped_early)


def _lengths(study: StudyResults) -> Finding | None:
    lengths = study.trials["steps_planned"].dropna().unique()
    if len(lengths) < 2:
        return None
    span = f"{min(lengths):,} to {max(lengths):,} steps"
    text = f"Trials were planned with {span}, so accuracies are measured after different numbers of steps."
    return _caveat("lengths", text, {"least": int(min(lengths)), "most": int(max(lengths))})


def _confounded(study: StudyResults) -> Finding | None:
    factors = confounded(study)
    if not factors:
        return None
    parts = [f"{name} is {text}" for name, text in [*factors.items()][:_CONFOUNDED_UP_TO]]
    more = len(factors) - len(parts)
    parts += [f"{plural(more, 'more factor')} likewise"] if more else []
    whose = "its effects" if len(factors) == 1 else "their effects"
    text = f"{'; '.join(parts)}. Nothing here can tell {whose} from that."
    return _caveat("confounded", text, dict(factors), len(factors))


def _mixtures(study: StudyResults) -> list[Finding]:
    """What trials ran under that should have been the same; one caveat for each condition."""
    found = []
    for mixture in mixtures(study):
        condition = mixture.condition
        text = f"Trials ran {condition.differ} ({mixture.text}), so differences between them can be "
        text += f"{condition.owner}"
        text += "; within a seed all ran under the same." if mixture.follows_seeds else "."
        found.append(_caveat(condition.name, text, dict(mixture.groups)))
    return found


def _merged(study: StudyResults) -> Finding | None:
    """Whether directories were merged without knowing that they hold the same data."""
    trials = judged(study.trials)
    unknown = int(trials["data_digest"].isna().sum())
    if len(study.directories) < 2 or not unknown:
        return None
    text = f"{len(study.directories)} directories were merged, and for {unknown} of {len(trials)} trials "
    text += "it is not known on which data they ran (no data_digest), so it may differ."
    return _caveat("merged", text, {"unknown": unknown, "n": len(trials)}, unknown)


def _unequal(study: StudyResults, cells: Sequence[Cell]) -> Finding | None:
    lacking = unequal_seeds(cells, study.seeds)
    if not lacking:
        return None
    text = f"Not all cells have the same seeds: {lacking}. Means over all trials weigh them unequally."
    return _caveat("unequal-seeds", text, {})


def _labels(counts: Counts) -> Finding | None:
    if not counts.without_knn:
        return None
    if counts.without_knn == counts.judged:
        text = "No trial has a kNN accuracy (no labels); collapse is judged without it."
        return _caveat("labels", text, {"n": counts.judged}, counts.judged)
    verb = "has" if counts.without_knn == 1 else "have"
    text = f"{counts.without_knn} of {plural(counts.judged, 'judged trial')} {verb} no kNN accuracy."
    return _caveat("labels", text, {"n": counts.without_knn}, counts.without_knn)


def _threshold(study: StudyResults) -> Finding | None:
    """Whether half or twice the threshold would change how many trials collapsed."""
    trials, threshold = judged(study.trials), study.representation_threshold
    if trials.empty or threshold <= 0:
        return None
    std = trials["representation_std"].to_numpy(np.float64)
    low, middle, high = (int((std < threshold * factor).sum()) for factor in (0.5, 1.0, 2.0))
    if low == middle == high:
        return None
    text = (
        f"The count depends on the threshold: {plural(low, 'trial')} below {as_written(threshold / 2)}, "
        f"{middle} below {as_written(threshold)} (the study's), {high} below {as_written(threshold * 2)}."
    )
    stable_low = threshold_sensitivity(std, threshold).stable.low
    values = {"low": low, "middle": middle, "high": high, "stable_low": stable_low}
    return _caveat("threshold", text, values, int(np.isfinite(std).sum()))
