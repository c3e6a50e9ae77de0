"""The reference against each cell that differs from it in one factor, seed by seed."""

from collections.abc import Sequence

import numpy as np

from analysis.cells import Cell, collapse_by_seed, reference_of, values_by_seed
from analysis.information import information
from analysis.outcomes import judged
from analysis.results import StudyResults
from analysis.stats import (
    Mean,
    PValue,
    clopper_pearson,
    holm,
    mcnemar,
    paired_difference,
    risk_difference,
    sign_flip,
)
from analysis.verdict import changed_in_one_factor
from analysis.wording import number, percent_range, points, points_range

HEADER = (
    "cell",
    "collapsed",
    "exact 95 %",
    "difference (Newcombe)",
    "McNemar",
    "kNN difference, paired (t)",
    "sign-flip",
    "class information",
)


def comparison_rows(study: StudyResults, cells: Sequence[Cell]) -> list[tuple[str, ...]]:
    """Rows under HEADER, the reference first; empty if nothing can be compared.

    The tests of a column are one family, adjusted by Holm. With too few seeds for p < .05 there is no p.
    """
    reference, neighbours = reference_of(cells), changed_in_one_factor(cells)
    if reference is None or not reference.judged or not neighbours:
        return []
    pairs = [collapse_by_seed([reference, cell], study.seeds) for cell in neighbours]
    collapse_tests = _adjusted([mcnemar(*pair) for pair in pairs])
    accuracies = [_accuracy(study, reference, cell) for cell in neighbours]
    accuracy_tests = _adjusted([test for _, test in accuracies])
    rows: list[tuple[str, ...]] = [("reference", *_share(reference), "–", "–", "–", "–", _fate(reference))]
    for cell, collapse_test, (accuracy, _), accuracy_test in zip(
        neighbours, collapse_tests, accuracies, accuracy_tests, strict=True
    ):
        (index,) = cell.changed
        name = f"{study.factors[index].name} = {cell.labels[index]}"
        counts = reference.collapsed, reference.judged, cell.collapsed, cell.judged
        difference, interval = risk_difference(*counts)
        risk = f"{points(difference, 0)} ({points_range(interval, 0)})"
        rows.append((name, *_share(cell), risk, collapse_test, accuracy, accuracy_test, _fate(cell)))
    return rows


def _accuracy(study: StudyResults, reference: Cell, cell: Cell) -> tuple[str, PValue | None]:
    """The paired difference in kNN accuracy, and its test where neither cell collapsed."""
    accuracies = values_by_seed([reference, cell], study.seeds, "knn_accuracy")
    both = ~np.isnan(accuracies).any(axis=0)
    if not both.any():
        return "–", None
    differences = accuracies[1, both] - accuracies[0, both]
    if cell.collapsed or reference.collapsed:
        return f"{points(float(differences.mean()))} (one of them collapsed)", None
    test = sign_flip(differences) if len(differences) <= 20 else None
    return _paired(paired_difference(*accuracies)), test


def _adjusted(tests: Sequence[PValue | None]) -> list[str]:
    """p-values, or why there is none. Holm's family is the tests that could be significant."""
    adjusted = iter(holm([test.p for test in tests if test is not None and test.least <= 0.05]))
    texts = []
    for test in tests:
        if test is None:
            texts.append("–")
        elif test.least > 0.05:
            texts.append(f"too few (n = {test.n})" if test.n else "no discordant seed")
        else:
            texts.append(f"p = {number(next(adjusted), 2)}, n = {test.n}")
    return texts


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
