"""Reasons to believe the result, or not: balance of the design, nulls, verdicts that can be repeated."""

from collections.abc import Sequence

import numpy as np

from analysis.load import StudyResults
from analysis.onset import cadence
from analysis.outcomes import JUDGED, Cell, Counts, seed_table
from analysis.stats import (
    Mean,
    PValue,
    clopper_pearson,
    mcnemar,
    paired_difference,
    risk_difference,
    sign_flip,
)
from analysis.verdict import one_changed
from analysis.wording import exact, listed, number, percent_range, plural, points, points_range

MEASURED = ("loss", "representation_std", "projection_std", "effective_rank", "knn_accuracy")


def audit(study: StudyResults, found: Sequence[Cell], counts: Counts) -> list[tuple[str, str]]:
    """What was planned, what is there, and what is missing: name and text."""
    rows = [("Design", "search (samples, not a design)" if study.searched else study.design)]
    if found:
        sizes = [cell.judged for cell in found]
        empty = [cell.text for cell in found if not cell.judged]
        same = f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}, not balanced"
        rows.append(("Cells", f"{len(found)} planned, {len(found) - len(empty)} with results"))
        rows.append(("Verdicts per cell", same))
        if empty:
            rows.append(
                (
                    "Empty cells",
                    "; ".join(empty[:12]) + (f"; and {len(empty) - 12} more" if len(empty) > 12 else ""),
                )
            )
        table = seed_table(found, study.seeds, "collapsed")
        whole = int((~np.isnan(table)).all(axis=0).sum())
        rows.append(
            (
                "Seeds",
                f"{listed([str(seed) for seed in study.seeds][:20])}; {whole} with a verdict in every cell",
            )
        )
    levels = f"{exact(study.representation_threshold)}, projection std {exact(study.projection_threshold)}"
    rows.append(("Threshold", f"representation std {levels}; set in the study file"))
    rows.append(("Verdicts repeated from the tables", _repeated(study)))
    every = cadence(study.metrics)
    if every:
        rows.append(("Measured", f"every {plural(every, 'step')}, {len(study.metrics):,} measurements"))
    rows.append(("Last values not known", _nulls(study)))
    if counts.stopped_early:
        rows.append(
            ("Ended early", f"{plural(counts.stopped_early, 'trial')}, not compared with full-length ones")
        )
    if study.duplicates:
        rows.append(("In several directories", f"{plural(study.duplicates, 'trial')}, read once"))
    return rows


def _repeated(study: StudyResults) -> str:
    """Whether each verdict agrees with the last std and the threshold."""
    judged = study.trials[study.trials["outcome"].isin(JUDGED)]
    parts = []
    for column, verdict, threshold in (
        ("representation_std", "collapsed", study.representation_threshold),
        ("projection_std", "projection_collapsed", study.projection_threshold),
    ):
        known = judged.dropna(subset=[column, verdict])
        agree = int(((known[column] < threshold) == known[verdict].astype(bool)).sum())
        parts.append(f"{column.split('_')[0]} {agree} of {len(known)}")
    return ", ".join(parts)


def _nulls(study: StudyResults) -> str:
    ended = study.trials[study.trials["outcome"].isin((*JUDGED, "diverged"))]
    parts = [f"{name} {int(ended[name].isna().sum())}" for name in MEASURED if ended[name].isna().any()]
    return (
        f"{', '.join(parts)} of {plural(len(ended), 'trial')}"
        if parts
        else f"none of {plural(len(ended), 'trial')}"
    )


REMOVAL_HEADER = (
    "cell",
    "collapsed",
    "exact 95 %",
    "difference (Newcombe)",
    "McNemar",
    "kNN difference, paired (t)",
    "sign-flip",
)


def removal_rows(study: StudyResults, found: Sequence[Cell]) -> list[tuple[str, ...]]:
    """The reference, and each cell that differs from it in one factor, compared seed by seed."""
    reference = next((cell for cell in found if cell.is_reference and cell.judged), None)
    if reference is None:
        return []
    single = one_changed(found)
    rows: list[tuple[str, ...]] = [("reference", *_share(reference), "–", "–", "–", "–")] if single else []
    for cell in single:
        index = next(index for index, code in enumerate(cell.codes) if code)
        difference, interval = risk_difference(
            reference.collapsed, reference.judged, cell.collapsed, cell.judged
        )
        pair = [reference, cell]
        test = mcnemar(*seed_table(pair, study.seeds, "collapsed"))
        accuracies = seed_table(pair, study.seeds, "knn_accuracy")
        both = ~np.isnan(accuracies).any(axis=0)
        knn, flips = "–", "–"
        if both.any() and not cell.collapsed and not reference.collapsed:
            knn = _paired(paired_difference(*accuracies))
            flips = _p(sign_flip(accuracies[1, both] - accuracies[0, both])) if both.sum() <= 20 else "–"
        elif both.any():
            change = float(accuracies[1, both].mean() - accuracies[0, both].mean())
            knn = f"{points(change)} (one of them collapsed)"
        name = f"{study.factors[index].name} = {cell.labels[index]}"
        risk = f"{points(difference, 0)} ({points_range(interval, 0)})"
        rows.append((name, *_share(cell), risk, _p(test), knn, flips))
    return rows


def _paired(mean: Mean) -> str:
    interval = "no interval" if mean.interval is None else points_range(mean.interval)
    return f"{points(mean.estimate)} ({interval}; n = {mean.n})"


def _share(cell: Cell) -> tuple[str, str]:
    found = clopper_pearson(cell.collapsed, cell.judged)
    return f"{found.k} of {found.n}", percent_range(found.interval) if found.interval else "–"


def _p(test: PValue) -> str:
    """The p-value, or why there is none to give: never a star."""
    if test.least > 0.05:
        return f"n = {test.n}, too few for p < .05" if test.n else "no discordant seed"
    return f"p = {number(test.p, 2)}, n = {test.n}"
