"""Reasons to believe the result, or not: balance of the design, nulls, verdicts that can be repeated."""

from collections.abc import Sequence

import numpy as np

from analysis.onset import cadence
from analysis.outcomes import JUDGED, Cell, Counts, seed_table
from analysis.results import StudyResults
from analysis.search import searched
from analysis.wording import exact, listed, plural

MEASURED = ("loss", "representation_std", "projection_std", "effective_rank", "knn_accuracy")


def audit(study: StudyResults, found: Sequence[Cell], counts: Counts) -> list[tuple[str, str]]:
    """What was planned, what is there, and what is missing: name and text."""
    rows = [("Design", "search (samples, not a design)" if study.searched else study.design)]
    rows += _search(study)
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
                f"{_seeds(study.seeds)}; {whole} with a verdict in every cell",
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


def _search(study: StudyResults) -> list[tuple[str, str]]:
    if not study.searched:
        return []
    found = searched(study)
    drawn = f"{len(found.samples)} of {found.section.get('trials', len(found.samples))} samples"
    sampler, seed = found.section.get("sampler", "unknown"), found.section.get("trial_seed", "unknown")
    seeds = [int(value) for value in found.fresh["seed"].dropna()]
    return [
        ("Samples", f"{drawn} (one drawn again is not run again), sampler {sampler}, all with seed {seed}"),
        ("Fresh seeds of the winner", _seeds(seeds) if seeds else "none yet"),
    ]


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) <= 10:
        return listed([str(seed) for seed in seeds])
    return f"{len(seeds)}, from {min(seeds)} to {max(seeds)}"


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
