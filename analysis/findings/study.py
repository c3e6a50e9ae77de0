"""What a study's results show, in sentences that carry their numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache

from analysis.cells import Cell, cells_of, reference_of
from analysis.controls import learning
from analysis.effects import Measure
from analysis.findings.agreement import agreement_findings
from analysis.findings.caveats import caveats
from analysis.findings.effects import interaction_finding, knn_finding
from analysis.findings.finding import Finding, Value
from analysis.findings.information import information_finding, shortcut_finding
from analysis.findings.learning import learned_finding
from analysis.findings.loss import loss_finding
from analysis.findings.measured import measured_findings
from analysis.findings.overview import overview_findings
from analysis.findings.removals import removals_finding
from analysis.findings.search import search_findings
from analysis.findings.sequence import sequence_finding
from analysis.findings.verdict import headline
from analysis.onset import cadence, kaplan_meier, onset_times
from analysis.outcomes import Counts, count
from analysis.results import Results, StudyResults
from analysis.stats import SHARE, clopper_pearson, mean_interval
from analysis.verdict import removals
from analysis.wording import mean_percent, number, plural, rate

__all__ = ["Finding", "Findings", "findings", "study_findings"]


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a sweep, or several, showed."""

    items: tuple[Finding, ...]
    """The verdict first, caveats last; several sweeps one after the other, and before them the overview."""
    counts: Counts
    """Over all studies."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """The items' texts."""
        return tuple(item.text for item in self.items)


def findings(results: Results) -> Findings:
    """What the results show. With several sweeps, a sentence on each comes first, and then the findings of
    one after the other, which begin with its name.

    >>> from pathlib import Path
    >>> import pandas as pd
    >>> from tempfile import TemporaryDirectory
    >>> from analysis.load import load_results
    >>> trials = {"trial_id": ["a", "b"], "state": "COMPLETE", "seed": 0, "collapsed": [False, True]}
    >>> with TemporaryDirectory() as name:
    ...     _ = Path(name, "study.yaml").write_text("name: tiny")
    ...     pd.DataFrame(trials | {"f_predictor": ["mlp", "none"]}).to_parquet(Path(name, "trials.parquet"))
    ...     results = load_results([Path(name)])
    >>> print(findings(results).counts)
    2 planned, 2 ran, 1 collapsed, 0 failed
    >>> findings(results).sentences[0].split(":")[0]
    'What prevents collapse is undetermined'
    """
    several = len(results.studies) > 1
    items = [*overview_findings(results)]
    totals = dict.fromkeys((field.name for field in fields(Counts)), 0)
    for sweep, study in zip(results.names, results.studies, strict=True):
        of_study = study_findings(study)
        for name in totals:
            totals[name] += getattr(of_study.counts, name)
        prefix = f"{sweep}: " if several else ""
        items += [replace(item, text=prefix + item.text) for item in of_study.items]
    return Findings(items=tuple(items), counts=Counts(**totals))


@lru_cache(maxsize=16)
def study_findings(study: StudyResults) -> Findings:
    """What one study's results show."""
    cells, counts = cells_of(study), count(study.trials)
    if study.is_measured:
        onset = _onset(study) if counts.judged else None
        limits = [item for item in caveats(study, cells, counts) if item.kind in ("labels", "threshold")]
        first, *others = measured_findings(study, counts)
        return Findings(items=(first, *([onset] if onset else []), *others, *limits), counts=counts)
    items = search_findings(study) if study.is_search else [headline(study, cells, counts)]
    sequence = sequence_finding(study)
    items += [sequence] if sequence else []
    if counts.judged:
        changes, learned = removals(cells), learning(cells, study.seeds)
        candidates = (
            _reference(cells),
            learned_finding(learned) if learned else None,
            removals_finding(study, cells, changes) if changes else None,
            _split(cells),
            _projection(counts),
            information_finding(study),
            shortcut_finding(study),
            _onset(study),
            interaction_finding(study, Measure.COLLAPSE),
            knn_finding(study),
            interaction_finding(study, Measure.KNN),
            loss_finding(study),
        )
        items += [item for item in candidates if item is not None]
        items += agreement_findings(study)
    return Findings(items=(*items, *caveats(study, cells, counts)), counts=counts)


def _reference(cells: Sequence[Cell]) -> Finding | None:
    reference = reference_of(cells)
    if reference is None or not reference.judged:
        return None
    collapse = clopper_pearson(reference.collapsed, reference.judged)
    interval = rate(collapse) if collapse.n > 1 else "one seed, so no interval"
    seeds = f"{collapse.k} of {plural(collapse.n, 'seed')}"
    text = f"The reference ({reference.levels_text}) collapsed in {seeds} ({interval})"
    values: dict[str, Value] = {"k": collapse.k, "n": collapse.n}
    accuracies = reference.values("knn_accuracy")
    if len(accuracies):
        mean = mean_interval(accuracies, within=SHARE)
        text += f"; its kNN accuracy is {mean_percent(mean)}"
        values["knn"] = mean.estimate
    stds = reference.values("representation_std")
    if len(stds):
        text += f", its last representation std {number(float(stds.mean()))}"
        values["std"] = float(stds.mean())
    ends = collapse.interval if collapse.n > 1 else None
    return Finding(kind="reference", text=f"{text}.", values=values, interval=ends, n=collapse.n)


def _split(cells: Sequence[Cell]) -> Finding | None:
    judged_cells = [cell for cell in cells if cell.judged]
    if len(judged_cells) < 2:
        return None
    every = sum(cell.collapsed == cell.judged for cell in judged_cells)
    none = sum(cell.collapsed == 0 for cell in judged_cells)
    some = len(judged_cells) - every - none
    single = sum(cell.judged == 1 for cell in judged_cells)
    text = f"Of {len(judged_cells)} cells with results, {every} collapsed in every seed and {none} in none"
    if single == len(judged_cells):
        text = f"Of {len(judged_cells)} cells with results, {every} collapsed and {none} did not"
        text += "; with one seed each, nobody knows which depend on the seed."
    else:
        text += f"; {some or 'none'} {'depends' if some < 2 else 'depend'} on the seed"
        text += f", as far as {plural(single, 'cell')} with one seed can tell." if single else "."
    values = {"cells": len(judged_cells), "every": every, "none": none, "some": some}
    return Finding(kind="split", text=text, values=values, n=len(judged_cells))


def _projection(counts: Counts) -> Finding:
    collapsed, only = counts.projection_collapsed, counts.projection_only
    text = f"The projection collapsed in {collapsed} of {plural(counts.judged, 'trial')}"
    text += f"; in {only} of them the representation did not." if collapsed else "."
    values: dict[str, Value] = {"k": collapsed, "n": counts.judged, "only": only}
    return Finding(kind="projection", text=text, values=values, n=counts.judged)


def _onset(study: StudyResults) -> Finding | None:
    times, events = onset_times(study.trials)
    if not events.any():
        return None
    onsets, interval = times[events], cadence(study.metrics)
    curve = kaplan_meier(times, events)
    median = float(sorted(onsets)[(len(onsets) - 1) // 2])
    first, last = f"{onsets.min():,.0f}", f"{onsets.max():,.0f}"
    if first == last:
        text = f"Where it happened, collapse was first seen at step {first} ("
    else:
        text = f"Where it happened, collapse was first seen between steps {first} and {last} "
        text += f"(median {median:,.0f}, "
    text += plural(len(onsets), "trial")
    text += f", measured every {plural(interval, 'step')})." if interval else ")."
    values: dict[str, Value] = {"first": float(onsets.min()), "last": float(onsets.max()), "median": median}
    values |= {"n": len(onsets), "cadence": interval, "restricted_mean": curve.restricted_mean}
    return Finding(kind="onset", text=text, values=values, n=len(onsets))
