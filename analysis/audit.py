"""Reasons to trust the result or not: balance of the design, nulls, collapse recomputed from the tables."""

from collections.abc import Sequence

import numpy as np

from analysis.cells import Cell, collapse_by_seed
from analysis.onset import cadence
from analysis.outcomes import Counts, Outcome, is_judged, judged
from analysis.provenance import provenance_rows
from analysis.results import StudyResults
from analysis.search import search_result
from analysis.wording import as_written, listed, plural, shortened

_LAST_VALUES = ("loss", "representation_std", "projection_std", "effective_rank", "knn_accuracy")
_EMPTY_CELLS_UP_TO = 12
_SEEDS_UP_TO = 10
_UNEQUAL_UP_TO = 3


def audit(study: StudyResults, cells: Sequence[Cell], counts: Counts) -> list[tuple[str, str]]:
    """What was planned, what is there, and what is missing: name and text."""
    design = "search (samples, not a design)" if study.is_search else study.design
    rows = [
        ("Design", design),
        *(_search(study) if study.is_search else ()),
        *(_cells(study, cells) if cells else ()),
        ("Thresholds", f"{thresholds_text(study)}; set in the study file"),
        ("Collapse recomputed from the tables", recomputed(study)),
    ]
    interval = cadence(study.metrics)
    if interval:
        measurements = plural(len(study.metrics), "measurement")
        rows.append(("Measured", f"every {plural(interval, 'step')}, {measurements}"))
    rows.append(("Last values missing", _nulls(study)))
    rows += provenance_rows(study)
    if counts.stopped_early:
        early = f"{plural(counts.stopped_early, 'trial')}, not compared with full-length ones"
        rows.append(("Ended early", early))
    if unequal := unequal_seeds(cells, study.seeds):
        rows.append(("Cells without all seeds", unequal))
    if study.duplicates:
        rows.append(("In several directories", f"{plural(study.duplicates, 'trial')}, read once"))
    return rows


def thresholds_text(study: StudyResults) -> str:
    """Below which std each level counts as collapsed."""
    return (
        f"representation std {as_written(study.representation_threshold)}, "
        f"projection std {as_written(study.projection_threshold)}"
    )


def _cells(study: StudyResults, cells: Sequence[Cell]) -> list[tuple[str, str]]:
    sizes = [cell.judged for cell in cells]
    empty = [cell.text for cell in cells if not cell.judged]
    balance = f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}, not balanced"
    rows = [
        ("Cells", f"{len(cells)} planned, {len(cells) - len(empty)} with results"),
        ("Judged trials per cell", balance),
    ]
    if empty:
        more = len(empty) - _EMPTY_CELLS_UP_TO
        names = "; ".join(empty[:_EMPTY_CELLS_UP_TO])
        rows.append(("Empty cells", names + (f"; and {more} more" if more > 0 else "")))
    complete = int((~np.isnan(collapse_by_seed(cells, study.seeds))).all(axis=0).sum())
    rows.append(("Seeds", f"{_seeds(study.seeds)}; {complete} with a judged trial in every cell"))
    return rows


def unequal_seeds(cells: Sequence[Cell], seeds: Sequence[int]) -> str:
    """Which cells lack which of the study's seeds, so that it was not even planned; "" if none does."""
    lacking = []
    for cell in cells:
        lacks = sorted(set(seeds) - {cell.table.seeds[row] for row in cell.rows})
        if lacks:
            lacking.append(f"{shortened(cell.text, 80)} lacks {_seeds(lacks)}")
    if not lacking:
        return ""
    more = len(lacking) - _UNEQUAL_UP_TO
    text = "; ".join(lacking[:_UNEQUAL_UP_TO]) + (f"; and {more} more" if more > 0 else "")
    return f"{len(lacking)} of {len(cells)} ({text})"


def _search(study: StudyResults) -> list[tuple[str, str]]:
    result = search_result(study)
    section = result.section
    drawn = f"{len(result.samples)} of {plural(section.get('trials', len(result.samples)), 'sample')}"
    drawn += " (a configuration drawn twice is run once)"
    sampler, seed = section.get("sampler", "unknown"), section.get("trial_seed", "unknown")
    seeds = [int(value) for value in result.fresh["seed"].dropna()]
    return [
        ("Samples", f"{drawn}, sampler {sampler}, all with seed {seed}"),
        ("Fresh seeds of the winner", _seeds(seeds) if seeds else "none yet"),
    ]


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) <= _SEEDS_UP_TO:
        return listed([str(seed) for seed in seeds])
    return f"{len(seeds)}, from {min(seeds)} to {max(seeds)}"


def recomputed(study: StudyResults) -> str:
    """How many trials have collapsed by their last std and the threshold exactly if the table says so."""
    trials = judged(study.trials)
    parts = []
    for level, column, threshold in (
        ("representation", "collapsed", study.representation_threshold),
        ("projection", "projection_collapsed", study.projection_threshold),
    ):
        both = trials.dropna(subset=[f"{level}_std", column])
        agree = int(((both[f"{level}_std"] < threshold) == both[column].astype(bool)).sum())
        parts.append(f"{level} {agree} of {len(both)}")
    return f"{listed(parts)} agree"


def _nulls(study: StudyResults) -> str:
    trials = study.trials[is_judged(study.trials) | (study.trials["outcome"] == Outcome.DIVERGED)]
    nulls = {name: int(trials[name].isna().sum()) for name in _LAST_VALUES}
    parts = [f"{name} {number}" for name, number in nulls.items() if number]
    return f"{', '.join(parts) or 'none'} of {plural(len(trials), 'trial')}"
