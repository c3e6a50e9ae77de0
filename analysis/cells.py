"""The cells of a design with their trials, and their values by seed."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.naming import cell_words
from analysis.outcomes import Outcome, is_judged
from analysis.results import StudyResults
from analysis.stats import Floats

ABSENT = -1
"""Code of a factor that does not apply in a cell. It is no level, so nothing is compared with it."""

Codes: TypeAlias = Sequence[tuple[int, ...]]
"""Level index of each factor, by cell; 0 is the reference's level, ABSENT where the factor does not apply.
Two cells that lack it can be matched; a cell that lacks it and one that has it cannot."""


class Columns:
    """The table of trials as arrays. A cell of it is a few of its rows, and there may be thousands."""

    def __init__(self, frame: pd.DataFrame) -> None:
        """Takes a table that has `outcome` and `full_length`, numbered from 0."""
        self.frame = frame
        self.is_judged = is_judged(frame).to_numpy(bool)
        self.is_collapsed = (frame["outcome"] == Outcome.COLLAPSED).to_numpy(bool)
        self.full_length = frame["full_length"].to_numpy(bool)
        self.outcomes: list[str] = frame["outcome"].tolist()
        self.cell_ids: list[object] = frame["cell_id"].tolist()
        self.seeds: list[int] = [int(seed) for seed in frame["seed"]]
        self._numbers: dict[str, Floats] = {}

    def numbers(self, name: str) -> Floats:
        """A column of numbers or truth values, NaN for nulls. Shape [trials]."""
        if name not in self._numbers:
            self._numbers[name] = self.frame[name].to_numpy(np.float64, na_value=np.nan)
        return self._numbers[name]


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """One combination of levels, and what became of its trials. Equal only to itself."""

    codes: tuple[int, ...]
    """Index of each factor's level, or ABSENT."""
    factors: tuple[str, ...]
    """Names of the factors."""
    labels: tuple[str, ...]
    """The levels, or NOT_SET."""
    table: Columns
    """All trials of the study."""
    rows: npt.NDArray[np.int64]
    """Which of them are its own."""
    judged: int
    collapsed: int
    projection_judged: int
    projection_collapsed: int

    @cached_property
    def trials(self) -> pd.DataFrame:
        """Its rows of the table of trials."""
        return self.table.frame.iloc[self.rows]

    @property
    def outcomes(self) -> Mapping[str, int]:
        """Outcome -> number of trials, those that occur, in the order of Outcome."""
        numbers = Counter(self.table.outcomes[row] for row in self.rows)
        return {outcome.value: numbers[outcome] for outcome in Outcome if outcome in numbers}

    @property
    def cell_id(self) -> str | None:
        """Its id in the table, if it has one."""
        known = (self.table.cell_ids[row] for row in self.rows)
        return next((value for value in known if isinstance(value, str)), None)

    @property
    def planned(self) -> int:
        """How many trials it should have."""
        return len(self.rows)

    @property
    def text(self) -> str:
        """Its name: what differs from the reference, `no predictor, tau 0`; or `the reference`."""
        return cell_words(self.changes)

    @property
    def changes(self) -> tuple[tuple[str, str], ...]:
        """The factors that differ from the reference, with their levels here."""
        return tuple((self.factors[index], self.labels[index]) for index in self.changed)

    @property
    def levels_text(self) -> str:
        """All its levels, the reference's too: `predictor = mlp, tau_base = 0`."""
        pairs = zip(self.factors, self.labels, strict=True)
        return ", ".join(f"{name} = {label}" for name, label in pairs)

    @property
    def is_reference(self) -> bool:
        """Whether every factor that applies is at its first level."""
        return not self.changed

    @property
    def changed(self) -> tuple[int, ...]:
        """Indices of the factors that are at another level than their first."""
        return tuple(index for index, code in enumerate(self.codes) if code > 0)

    def values(self, column: str) -> Floats:
        """A column over the judged trials that ran to their planned end, without nulls. Shape [trials]."""
        values = self.table.numbers(column)[self.rows[self.table.full_length[self.rows]]]
        return np.asarray(values[~np.isnan(values)])


@lru_cache(maxsize=16)  # every figure asks for them, and 10,000 trials take a second
def cells_of(study: StudyResults) -> tuple[Cell, ...]:
    """The cells of a design that were planned, the reference first, in the order of the levels.

    A search, and a study without factors of finitely many levels, has none.
    """
    if study.is_search or not all(factor.levels for factor in study.factors) or not study.factors:
        return ()
    codes_by_label = [{label: code for code, label in enumerate(factor.levels)} for factor in study.factors]
    rows: dict[tuple[int, ...], list[int]] = {}
    names = tuple(factor.name for factor in study.factors)
    columns = [study.trials[factor.column].tolist() for factor in study.factors]
    for row, labels in enumerate(zip(*columns, strict=True)):
        codes = (code.get(label, ABSENT) for code, label in zip(codes_by_label, labels, strict=True))
        rows.setdefault(tuple(codes), []).append(row)
    table = Columns(study.trials)
    judged = table.is_judged
    collapsed = table.is_collapsed
    projection = study.trials["projection_collapsed"].where(judged)
    projection_judged = projection.notna().to_numpy(bool)
    projection_collapsed = projection.fillna(False).to_numpy(bool)
    return tuple(
        Cell(
            codes=codes,
            factors=names,
            labels=tuple(column[rows[codes][0]] for column in columns),
            table=table,
            rows=np.array(rows[codes], dtype=np.int64),
            judged=int(judged[rows[codes]].sum()),
            collapsed=int(collapsed[rows[codes]].sum()),
            projection_judged=int(projection_judged[rows[codes]].sum()),
            projection_collapsed=int(projection_collapsed[rows[codes]].sum()),
        )
        for codes in sorted(rows, key=_absent_last)
    )


def reference_of(cells: Sequence[Cell]) -> Cell | None:
    """The cell that is the full method; None if it is not among them."""
    return next((cell for cell in cells if cell.is_reference), None)


def _absent_last(codes: tuple[int, ...]) -> list[float]:
    return [math.inf if code == ABSENT else code for code in codes]


def collapse_by_seed(cells: Sequence[Cell], seeds: Sequence[int]) -> Floats:
    """1 where the judged trial of a cell and seed collapsed, 0 where not, NaN without one. [cells, seeds]"""
    return _by_seed(cells, seeds, lambda table: _known(table.is_collapsed, table.is_judged))


def values_by_seed(
    cells: Sequence[Cell], seeds: Sequence[int], column: str, *, survivors_only: bool = False
) -> Floats:
    """A column by cell and seed, NaN where there is no value. Shape [cells, seeds].

    Args:
        cells: the cells.
        seeds: the seeds, in the order of the result's columns.
        column: of the table of trials. Only trials that ran to their planned end are taken.
        survivors_only: leave out every cell in which any trial collapsed. What is then estimated is
            conditional on no collapse, and must be called so.
    """
    table_CS = _by_seed(cells, seeds, lambda table: _known(table.numbers(column), table.full_length))
    if survivors_only:
        table_CS[[bool(cell.collapsed) for cell in cells]] = np.nan
    return table_CS


def judged_values_by_seed(cells: Sequence[Cell], seeds: Sequence[int], column: str) -> Floats:
    """A column of the judged trials by cell and seed, also of those that ended early. [cells, seeds]"""
    return _by_seed(cells, seeds, lambda table: _known(table.numbers(column), table.is_judged))


def _known(values: npt.ArrayLike, mask: npt.NDArray[np.bool_]) -> Floats:
    return np.where(mask, np.asarray(values, dtype=np.float64), np.nan)


def _by_seed(cells: Sequence[Cell], seeds: Sequence[int], values_of: Callable[[Columns], Floats]) -> Floats:
    """The values of the cells' trials at the places of their seeds; NaN where there are none."""
    place = {seed: index for index, seed in enumerate(seeds)}
    table_CS = np.full((len(cells), len(seeds)), np.nan)
    known: dict[int, Floats] = {}
    for row_S, cell in zip(table_CS, cells, strict=True):
        if id(cell.table) not in known:
            known[id(cell.table)] = values_of(cell.table)
        for row, value in zip(cell.rows.tolist(), known[id(cell.table)][cell.rows].tolist(), strict=True):
            if value == value and (at := place.get(cell.table.seeds[row])) is not None:
                row_S[at] = value
    return table_CS
