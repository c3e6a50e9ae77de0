"""The verdict in sentences, each built from its numbers, which stay beside it for whoever wants to check."""

from dataclasses import dataclass, fields

from analysis.effects import main_effects
from analysis.findings.caveats import caveats
from analysis.findings.finding import Finding, Value
from analysis.findings.search import search_findings
from analysis.findings.verdict import removals, verdict
from analysis.onset import cadence, kaplan_meier, onset_times
from analysis.outcomes import Cell, Counts, cells, count, seed_table
from analysis.results import Results, StudyResults
from analysis.stats import Mean, clopper_pearson, loss_rank_agreement, mean_interval
from analysis.wording import mean_percent, mean_points, number, plural, rate

__all__ = ["Finding", "Findings", "findings", "study_findings"]


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a sweep, or several, showed."""

    items: tuple[Finding, ...]
    """The verdict first, caveats last; with several studies, one study after the other."""
    counts: Counts
    """Over all studies."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """The items' texts."""
        return tuple(item.text for item in self.items)


def findings(results: Results) -> Findings:
    """Says what the results show. With several studies, each sentence begins with its study's name."""
    several = len(results.studies) > 1
    items: list[Finding] = []
    total: dict[str, int] = {}
    for study in results.studies:
        found = study_findings(study)
        for field in fields(Counts):
            total[field.name] = total.get(field.name, 0) + getattr(found.counts, field.name)
        prefix = f"{study.name}: " if several else ""
        items += [
            Finding(kind=item.kind, text=prefix + item.text, values=item.values, caveat=item.caveat)
            for item in found.items
        ]
    return Findings(items=tuple(items), counts=Counts(**total))


def study_findings(study: StudyResults) -> Findings:
    """Says what one study's results show."""
    found = cells(study)
    counts = count(study.trials)
    items = search_findings(study) if study.searched else [verdict(study, found, counts)]
    if counts.judged:
        items += [
            item
            for item in (
                _reference(study, found),
                removals(study, found) if "fatal" not in items[0].values else None,
                _split(found),
                _projection(counts),
                _onset(study),
                _knn(study, found),
                _loss(study),
            )
            if item is not None
        ]
    return Findings(items=(*items, *caveats(study, found, counts)), counts=counts)


def _reference(study: StudyResults, found: tuple[Cell, ...]) -> Finding | None:
    reference = next((cell for cell in found if cell.is_reference), None)
    if reference is None or not reference.judged:
        return None
    rated = clopper_pearson(reference.collapsed, reference.judged)
    interval = rate(rated) if reference.judged > 1 else "one seed, so no interval"
    text = (
        f"The reference ({reference.text}) collapsed in {rated.k} of {plural(rated.n, 'seed')} ({interval})"
    )
    values: dict[str, Value] = {"k": rated.k, "n": rated.n}
    accuracies = reference.values("knn_accuracy")
    if len(accuracies):
        mean = mean_interval(accuracies)
        text += f"; its kNN accuracy is {mean_percent(mean)}"
        values["knn"] = mean.estimate
    std = reference.values("representation_std")
    if len(std):
        text += f", its last representation std {number(float(std.mean()))}"
        values["std"] = float(std.mean())
    return Finding(kind="reference", text=f"{text}.", values=values)


def _split(found: tuple[Cell, ...]) -> Finding | None:
    judged = [cell for cell in found if cell.judged]
    if len(judged) < 2:
        return None
    every = sum(cell.collapsed == cell.judged for cell in judged)
    none = sum(cell.collapsed == 0 for cell in judged)
    some = len(judged) - every - none
    text = f"Of {len(judged)} cells with results, {every} collapsed in every seed and {none} in none"
    text += (
        f"; {some} {'depends' if some == 1 else 'depend'} on the seed."
        if some
        else "; none depends on the seed."
    )
    values = {"cells": len(judged), "every": every, "none": none, "some": some}
    return Finding(kind="split", text=text, values=values)


def _projection(counts: Counts) -> Finding:
    collapsed, only = counts.projection_collapsed, counts.projection_only
    text = f"The projection collapsed in {collapsed} of {plural(counts.judged, 'trial')}"
    text += f"; in {only} of them the representation did not." if collapsed else "."
    return Finding(kind="projection", text=text, values={"k": collapsed, "n": counts.judged, "only": only})


def _onset(study: StudyResults) -> Finding | None:
    times, events = onset_times(study.trials)
    if not events.any():
        return None
    onsets, every = times[events], cadence(study.metrics)
    curve = kaplan_meier(times, events)
    middle = float(sorted(onsets)[(len(onsets) - 1) // 2])
    first, last = f"{onsets.min():,.0f}", f"{onsets.max():,.0f}"
    text = (
        f"Where it happened, collapse was first seen between steps {first} and {last} (median {middle:,.0f}, "
    )
    text += plural(len(onsets), "trial") + (f", measured every {plural(every, 'step')})." if every else ").")
    values: dict[str, Value] = {"first": float(onsets.min()), "last": float(onsets.max()), "median": middle}
    values |= {"n": len(onsets), "cadence": every, "restricted_mean": curve.restricted_mean}
    return Finding(kind="onset", text=text, values=values)


def _knn(study: StudyResults, found: tuple[Cell, ...]) -> Finding | None:
    """The factor that moves kNN most, among cells that did not collapse."""
    survivors = [cell for cell in found if cell.judged and not cell.collapsed]
    if len(survivors) < 2:
        return None
    table = seed_table(found, study.seeds, "knn_accuracy", survivors_only=True)
    codes = [cell.codes for cell in found]
    effects = main_effects(table, codes, [len(factor.levels) for factor in study.factors])
    known = [effect for effect in effects if effect.mean is not None]
    if not known:
        return None
    top = max(known, key=lambda effect: abs(effect.mean.estimate) if effect.mean else 0.0)
    assert top.mean is not None
    factor, level = study.factors[top.factors[0]], top.levels[0]
    text = (
        f"Among the {len(survivors)} cells that did not collapse, the largest kNN effect is that of "
        f"{factor.name}: {factor.levels[level]} instead of {factor.levels[0]} changes it by "
        f"{mean_points(top.mean)}, over {top.matched} of {plural(top.planned, 'matched pair')} of cells"
        f"{', which may be none at all.' if _covers_zero(top.mean) else '.'}"
    )
    values: dict[str, Value] = {"effect": top.mean.estimate, "seeds": top.mean.n, "pairs": top.matched}
    values |= {"cells": len(survivors), "factor": factor.name}
    return Finding(kind="knn", text=text, values=values)


def _covers_zero(mean: Mean) -> bool:
    return mean.interval is not None and mean.interval.low <= 0 <= mean.interval.high


def _loss(study: StudyResults) -> Finding | None:
    rows = study.trials[study.trials["full_length"]].dropna(subset=["loss", "knn_accuracy"])
    agreement = loss_rank_agreement(rows["loss"], rows["knn_accuracy"])
    if agreement is None:
        return None
    lowest = rows.sort_values(["loss", "trial_id"]).iloc[0]
    fate = {"collapsed": "collapsed", "dimensional": "collapsed to few dimensions"}
    ended = fate.get(str(lowest["outcome"]), "did not collapse")
    if ended == "did not collapse" and lowest["projection_collapsed"] is True:
        ended = "collapsed at the projection"
    parts = [
        f"Low loss is not success: the trial with the lowest loss {ended} and ranks "
        f"{agreement.best_loss_knn_rank} of {agreement.n} by kNN accuracy"
        if agreement.best_loss_knn_rank > 1 or ended != "did not collapse"
        else f"The trial with the lowest loss is also first of {agreement.n} by kNN accuracy"
    ]
    if agreement.spearman == agreement.spearman:
        correlation = number(agreement.spearman, 2)
        parts.append(f"low loss and high kNN correlate at {correlation} (Spearman, full-length trials)")
    values: dict[str, Value] = {"rank": agreement.best_loss_knn_rank, "n": agreement.n}
    values["spearman"] = agreement.spearman
    return Finding(kind="loss", text=f"{'; '.join(parts)}.", values=values)
