"""Several sweeps side by side: what each found, the cells that they share, and what changed between them.

Two sweeps share a cell if it has the same configuration (`cell_id`) or, where they vary the same factors, the
same levels; then the settings of their references may differ, which is one of the changes. Each sweep is
compared with the first that has the cell, seed by seed. The comparisons on one quantity are a family: since
the largest of them is what one looks for, their intervals are simultaneous, as those of effects are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np

from analysis.cells import Cell, cells_of, values_by_seed
from analysis.changes import Change, changes, ran_alike
from analysis.controls import Learning, learning
from analysis.merge import differing_trials
from analysis.outcomes import Counts, count
from analysis.results import Results, StudyResults
from analysis.stats import DIFFERENCE_OF_SHARES, Mean, mean_interval, simultaneous
from analysis.verdict import StudyVerdict, study_verdict


class Quantity(StrEnum):
    """What is compared in a cell. The values are columns of the table of trials."""

    KNN = "knn_accuracy"
    REPRESENTATION = "representation_std"
    PROJECTION = "projection_std"


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What one of the sweeps found."""

    name: str
    """Tells it from the others."""
    study: StudyResults
    counts: Counts
    learned: Learning | None
    """Of its reference."""
    verdict: StudyVerdict | None
    """None without cells, and without a judged trial."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A cell's difference from the same cell of the first sweep that has it."""

    mean: Mean
    """Over the seeds that both have; its interval is simultaneous over the family."""
    family: int

    @property
    def is_shown(self) -> bool:
        """Whether the interval leaves out 0."""
        interval = self.mean.interval
        return interval is not None and not interval.low <= 0 <= interval.high


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A shared cell in one sweep."""

    sweep: int
    """Which of the sweeps."""
    cell: Cell
    differences: Mapping[Quantity, Difference]
    """Those with a seed in common; none in the first sweep that has the cell."""


@dataclass(frozen=True, kw_only=True)
class SharedCell:
    """A cell that two sweeps or more have."""

    entries: tuple[Entry, ...]
    """In the order of the sweeps; the others are compared with the first."""
    same_settings: bool | None
    """Whether its configuration is the same in all; None where that is not known."""


@dataclass(frozen=True, kw_only=True)
class NotRepeated:
    """Trials that two sweeps ran under the same conditions, with different results."""

    sweeps: tuple[int, int]
    trials: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Overview:
    """Several sweeps, compared."""

    sweeps: tuple[Sweep, ...]
    shared: tuple[SharedCell, ...]
    changes: tuple[Change, ...]
    """What is not the same in all of them."""
    not_repeated: tuple[NotRepeated, ...]


@lru_cache(maxsize=4)  # findings and page ask for the same
def overview(results: Results) -> Overview:
    """Compares the sweeps of a report."""
    studies = results.studies
    sweeps = tuple(_sweep(name, study) for name, study in zip(results.names, studies, strict=True))
    pairs = [(one, other) for other in range(len(studies)) for one in range(other)]
    not_repeated = [
        NotRepeated(sweeps=(one, other), trials=trials)
        for one, other in pairs
        if (trials := _not_repeated(studies[one], studies[other]))
    ]
    return Overview(
        sweeps=sweeps,
        shared=_compared(studies, _rows(studies)),
        changes=changes(studies),
        not_repeated=tuple(not_repeated),
    )


def _sweep(name: str, study: StudyResults) -> Sweep:
    cells, counts = cells_of(study), count(study.trials)
    return Sweep(
        name=name,
        study=study,
        counts=counts,
        learned=learning(cells, study.seeds),
        verdict=study_verdict(study) if cells and counts.judged else None,
    )


def _not_repeated(one: StudyResults, other: StudyResults) -> tuple[str, ...]:
    trials = differing_trials(one, other)
    return ran_alike(one, other, trials) if trials else ()


def _rows(studies: Sequence[StudyResults]) -> list[dict[int, Cell]]:
    """The shared cells: index of the sweep -> its cell. First by configuration, then by levels."""
    rows: list[dict[int, Cell]] = []
    by_id: dict[str, dict[int, Cell]] = {}
    for index, study in enumerate(studies):
        for cell in cells_of(study):
            name = cell.cell_id
            row = by_id.setdefault(name, {}) if name else {}
            if not row:
                rows.append(row)
            row.setdefault(index, cell)
    joined: list[dict[int, Cell]] = []
    by_levels: dict[frozenset[tuple[str, str]], dict[int, Cell]] = {}
    for row in rows:
        keys = [frozenset(zip(cell.factors, cell.labels, strict=True)) for cell in row.values()]
        alike = (by_levels[key] for key in keys if key in by_levels)
        target = next((other for other in alike if not other.keys() & row.keys()), row)
        if target is row:
            joined.append(row)
        else:
            target.update(row)
        for key in keys:
            by_levels.setdefault(key, target)
    return [dict(sorted(row.items())) for row in joined if len(row) > 1]


def _compared(studies: Sequence[StudyResults], rows: Sequence[Mapping[int, Cell]]) -> tuple[SharedCell, ...]:
    by_place: dict[tuple[int, int], dict[Quantity, Difference]] = {
        (place, sweep): {} for place, row in enumerate(rows) for sweep in row
    }
    for quantity in Quantity:
        values: dict[tuple[int, int], list[float]] = {}
        for place, row in enumerate(rows):
            first, *others = row
            for sweep in others:
                seeds = sorted({*studies[first].seeds, *studies[sweep].seeds})
                before_S, after_S = values_by_seed([row[first], row[sweep]], seeds, quantity)
                difference_S = after_S - before_S
                if len(known := difference_S[~np.isnan(difference_S)]):
                    values[place, sweep] = known.tolist()
        within = DIFFERENCE_OF_SHARES if quantity is Quantity.KNN else None
        level = simultaneous(len(values))
        for key, known in values.items():
            mean = mean_interval(known, level, within)
            by_place[key][quantity] = Difference(mean=mean, family=len(values))
    return tuple(
        SharedCell(
            entries=tuple(
                Entry(sweep=sweep, cell=cell, differences=by_place[place, sweep])
                for sweep, cell in row.items()
            ),
            same_settings=_same_settings([cell.cell_id for cell in row.values()]),
        )
        for place, row in enumerate(rows)
    )


def _same_settings(cell_ids: Sequence[str | None]) -> bool | None:
    return None if None in cell_ids else len(set(cell_ids)) == 1
