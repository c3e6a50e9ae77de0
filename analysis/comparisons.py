"""The reference against each cell that differs from it in one factor, seed by seed."""

from collections.abc import Sequence

import numpy as np

from analysis.cells import Cell, collapse_by_seed, reference_of, values_by_seed
from analysis.effect_words import p_text
from analysis.effects import adjust, main_effects
from analysis.information import information
from analysis.outcomes import judged
from analysis.paired import paired_rates, superiority
from analysis.provenance import confounded
from analysis.results import StudyResults
from analysis.stats import Floats, Mean, PValue, clopper_pearson, paired_difference
from analysis.verdict import changed_in_one_factor
from analysis.wording import percent_range, points, points_range, superiority_text

HEADER = (
    "cell",
    "collapsed",
    "exact 95 %",
    "difference (paired, exact)",
    "collapse: p",
    "kNN difference (paired, t)",
    "probability of higher kNN",
    "kNN: p",
    "class information",
)


def comparison_rows(study: StudyResults, cells: Sequence[Cell]) -> list[tuple[str, ...]]:
    """Rows under HEADER, the reference first; empty if nothing can be compared.

    A test is over all matched pairs of cells that differ in the row's factor alone, whether or not the
    reference is one of them: with a single pair a seed, three seeds could not reach p < .05. The tests of a
    column are one family, adjusted by Holm; where none could be below .05, there is no p. Rows of confounded
    factors show no test, but count in the family, so that the others' p do not hang on what is confounded.
    """
    reference, neighbours = reference_of(cells), changed_in_one_factor(cells)
    if reference is None or not reference.judged or not neighbours:
        return []
    on_collapse = _tests(study, cells, neighbours, collapse_by_seed(cells, study.seeds))
    accuracies = values_by_seed(cells, study.seeds, "knn_accuracy", survivors_only=True)
    on_accuracy = _tests(study, cells, neighbours, accuracies)
    rows: list[tuple[str, ...]] = [
        ("reference", *_share(reference), "–", "–", "–", "–", "–", _fate(reference))
    ]
    for cell, collapse_test, accuracy_test in zip(neighbours, on_collapse, on_accuracy, strict=True):
        (index,) = cell.changed
        name = cell.text
        if study.factors[index].name in confounded(study):
            rows.append((name, *_share(cell), *["confounded"] * 5, _fate(cell)))
            continue
        risk, accuracy = _risk(study, reference, cell), _accuracy(study, reference, cell)
        rows.append((name, *_share(cell), risk, collapse_test, *accuracy, accuracy_test, _fate(cell)))
    return rows


def _tests(
    study: StudyResults, cells: Sequence[Cell], neighbours: Sequence[Cell], values_CS: Floats
) -> list[str]:
    """The adjusted p of what each neighbour changes, as text."""
    n_levels = [len(factor.levels) for factor in study.factors]
    effects = main_effects(values_CS, [cell.codes for cell in cells], n_levels)
    by_change = {(effect.factors[0], effect.levels[0]): effect.test for effect in effects}
    tests: list[PValue | None] = [
        by_change[cell.changed[0], cell.codes[cell.changed[0]]] for cell in neighbours
    ]
    return [p_text(test, p) for test, p in zip(tests, adjust(tests), strict=True)]


def _risk(study: StudyResults, reference: Cell, cell: Cell) -> str:
    """The paired difference in the collapse rate."""
    rates = paired_rates(*collapse_by_seed([reference, cell], study.seeds))
    if rates is None:
        return "–"
    return f"{points(rates.estimate, 0)} ({points_range(rates.interval, 0)}; n = {rates.n})"


def _accuracy(study: StudyResults, reference: Cell, cell: Cell) -> tuple[str, str]:
    """The paired difference in kNN accuracy, and how often the cell is ahead."""
    accuracies = values_by_seed([reference, cell], study.seeds, "knn_accuracy")
    both = ~np.isnan(accuracies).any(axis=0)
    if not both.any():
        return "–", "–"
    differences = accuracies[1, both] - accuracies[0, both]
    if cell.collapsed or reference.collapsed:
        return f"{points(float(differences.mean()))} (one of them collapsed)", "–"
    return _paired(paired_difference(*accuracies)), superiority_text(superiority(differences))


def _paired(mean: Mean) -> str:
    interval = "no interval" if mean.interval is None else points_range(mean.interval)
    return f"{points(mean.estimate)} ({interval}; n = {mean.n})"


def _fate(cell: Cell) -> str:
    """Whether its trials kept class information."""
    result = information(judged(cell.trials))
    return result.fate if result else "–"


def _share(cell: Cell) -> tuple[str, str]:
    share = clopper_pearson(cell.collapsed, cell.judged)
    return f"{share.k} of {share.n}", percent_range(share.interval) if share.interval else "–"
