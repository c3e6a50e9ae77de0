"""The reference against each cell that differs from it in one factor, seed by seed."""

from collections.abc import Sequence

import numpy as np

from analysis.findings.verdict import one_changed
from analysis.outcomes import Cell, seed_table
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
from analysis.wording import number, percent_range, points, points_range

HEADER = (
    "cell",
    "collapsed",
    "exact 95 %",
    "difference (Newcombe)",
    "McNemar",
    "kNN difference, paired (t)",
    "sign-flip",
)


def comparison_rows(study: StudyResults, found: Sequence[Cell]) -> list[tuple[str, ...]]:
    """Rows under HEADER, the reference first; none if nothing can be compared.

    The tests of a column are one family, adjusted by Holm. With too few seeds for p < .05 there is no p.
    """
    reference = next((cell for cell in found if cell.is_reference and cell.judged), None)
    single = one_changed(found)
    if reference is None or not single:
        return []
    tables = [seed_table([reference, cell], study.seeds, "collapsed") for cell in single]
    collapse_tests = _adjusted([mcnemar(*table) for table in tables])
    compared = [_accuracy(study, reference, cell) for cell in single]
    flips = _adjusted([test for _, test in compared])
    rows: list[tuple[str, ...]] = [("reference", *_share(reference), "–", "–", "–", "–")]
    for cell, collapse_test, (accuracy, _), flip in zip(single, collapse_tests, compared, flips, strict=True):
        (index,) = cell.changed
        name = f"{study.factors[index].name} = {cell.labels[index]}"
        counts = reference.collapsed, reference.judged, cell.collapsed, cell.judged
        difference, interval = risk_difference(*counts)
        risk = f"{points(difference, 0)} ({points_range(interval, 0)})"
        rows.append((name, *_share(cell), risk, collapse_test, accuracy, flip))
    return rows


def _accuracy(study: StudyResults, reference: Cell, cell: Cell) -> tuple[str, PValue | None]:
    """The paired difference in kNN accuracy, and its test where neither cell collapsed."""
    accuracies = seed_table([reference, cell], study.seeds, "knn_accuracy")
    both = ~np.isnan(accuracies).any(axis=0)
    if not both.any():
        return "–", None
    differences = accuracies[1, both] - accuracies[0, both]
    if cell.collapsed or reference.collapsed:
        return f"{points(float(differences.mean()))} (one of them collapsed)", None
    test = sign_flip(differences) if len(differences) <= 20 else None
    return _paired(paired_difference(*accuracies)), test


def _adjusted(tests: Sequence[PValue | None]) -> list[str]:
    """p-values, or why there is none to give: never a star. Holm over those that could be significant."""
    able = [index for index, test in enumerate(tests) if test is not None and test.least <= 0.05]
    texts = ["–" if test is None else _too_few(test) for test in tests]
    for index, p in zip(able, holm([test.p for test in tests if test and test.least <= 0.05]), strict=True):
        test = tests[index]
        assert test is not None
        texts[index] = f"p = {number(p, 2)}, n = {test.n}"
    return texts


def _too_few(test: PValue) -> str:
    return f"too few (n = {test.n})" if test.n else "no discordant seed"


def _paired(mean: Mean) -> str:
    interval = "no interval" if mean.interval is None else points_range(mean.interval)
    return f"{points(mean.estimate)} ({interval}; n = {mean.n})"


def _share(cell: Cell) -> tuple[str, str]:
    found = clopper_pearson(cell.collapsed, cell.judged)
    return f"{found.k} of {found.n}", percent_range(found.interval) if found.interval else "–"
