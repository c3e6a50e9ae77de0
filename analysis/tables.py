"""Reads the tables of docs/result-tables.md, and names what is wrong with them: file, column and row.

Tables need not be this tool's own. Whatever type pandas gave a column is taken if its values fit: whole
numbers as floats, flags as 0 and 1, text as categories. Rows are counted from 0, as pandas counts them.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from analysis.spectra import Shape
from analysis.states import EndReason, TrialState
from analysis.wording import listed, plural, shortened

_TEXT, _WHOLE, _REAL, _FLAG = "str", "Int64", "float64", "boolean"
_SHARES = ("knn_accuracy", "probe_accuracy", "knn_accuracy_start", "knn_accuracy_pixels", "chance")
_RANKS = ("effective_rank", "rankme", "stable_rank", "lidar", "projection_lidar")
_SIZES = ("representation_std", "projection_std", *_RANKS, "wall_seconds")
_COUNTS = ("attempt", "onset_step", "steps_run", "steps_planned", "test_images")

TRIAL_COLUMNS = {
    **dict.fromkeys(
        ("trial_id", "cell_id", "design", "state", "end_reason", "device", "error", "note"), _TEXT
    ),
    **dict.fromkeys(("precision", "commit", "versions", "code", "data_digest"), _TEXT),
    **dict.fromkeys(("seed", *_COUNTS), _WHOLE),
    **dict.fromkeys(("collapsed", "projection_collapsed", "dimensional_collapse", "clean"), _FLAG),
    **dict.fromkeys(("loss", *_SHARES, *_SIZES, *Shape._fields), _REAL),
}
"""Columns of trials.parquet -> type. Those that a table lacks are null."""
REQUIRED = ("trial_id", "seed", "state", "collapsed")
"""What trials.parquet must have, beside a column f_NAME for each factor. Only `collapsed` may hold nulls."""
METRIC_COLUMNS = {
    "trial_id": _TEXT,
    "step": _WHOLE,
    **dict.fromkeys(("loss", "representation_std", "projection_std", "knn_accuracy"), _REAL),
    **dict.fromkeys(("effective_rank", "projection_effective_rank"), _REAL),
}
SPECTRUM_COLUMNS = {"trial_id": _TEXT, "step": _WHOLE, "level": _TEXT, "eigenvalues": "object"}

_Fits: TypeAlias = Callable[[Any], bool]


def read_trials(path: Path) -> pd.DataFrame:
    """The table of trials with the columns of TRIAL_COLUMNS, and all others as they are.

    Raises:
        ValueError: it cannot be read, lacks a required column, or holds a value that cannot be true.
    """
    return checked_trials(_read(path), path)


def checked_trials(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """A table of trials, as `read_trials` returns it.

    Args:
        table: as pandas reads it. It is not changed.
        path: what errors call it.

    Raises:
        ValueError: as of `read_trials`.
    """
    trials = _typed(table, path, TRIAL_COLUMNS, required=REQUIRED)
    for name in ("trial_id", "seed", "state"):
        refuse(path, name, trials[name], trials[name].isna(), "must not be null")
    for name, words in (("state", TrialState), ("end_reason", EndReason)):
        rule = f"must be one of {', '.join(words)}"
        refuse(path, name, trials[name], trials[name].notna() & ~trials[name].isin(list(words)), rule)
    for name in _SHARES:
        outside = (trials[name] < 0) | (trials[name] > 1)
        refuse(path, name, trials[name], outside, "must be a share, from 0 to 1")
    for name in (*_SIZES, *_COUNTS):
        refuse(path, name, trials[name], (trials[name] < 0).fillna(False), "must be at least 0")
    refuse_duplicates(path, trials, ["trial_id"])
    for name in map(str, trials.columns):
        if name.startswith("f_"):
            is_label = [value is None or _is_label(value) for value in _plain(trials[name])]
            rule = "must be text, a number, true or false"
            refuse(path, name, trials[name], ~pd.Series(is_label, dtype="bool"), rule)
    return trials


def read_metrics(path: Path) -> pd.DataFrame:
    """The table of measurements, by trial and step; empty if there is no such file.

    Raises:
        ValueError: it cannot be read, or has two rows for one step of a trial.
    """
    return checked_metrics(_read(path) if path.exists() else None, path)


def checked_metrics(table: pd.DataFrame | None, path: Path) -> pd.DataFrame:
    """A table of measurements, as `read_metrics` returns it; empty for None. For arguments see
    `checked_trials`.

    Raises:
        ValueError: as of `read_metrics`.
    """
    if table is None:
        return _empty(METRIC_COLUMNS)
    metrics = _typed(table, path, METRIC_COLUMNS, required=("trial_id", "step"))
    for name in ("trial_id", "step"):
        refuse(path, name, metrics[name], metrics[name].isna(), "must not be null")
    outside = (metrics["knn_accuracy"] < 0) | (metrics["knn_accuracy"] > 1)
    refuse(path, "knn_accuracy", metrics["knn_accuracy"], outside, "must be a share, from 0 to 1")
    for name in ("representation_std", "projection_std"):
        refuse(path, name, metrics[name], metrics[name] < 0, "must be at least 0")
    refuse_duplicates(path, metrics, ["trial_id", "step"])
    return metrics.sort_values(["trial_id", "step"], kind="stable", ignore_index=True)


def read_spectra(path: Path) -> pd.DataFrame:
    """The table of spectra; empty if there is no such file.

    Raises:
        ValueError: it cannot be read.
    """
    return checked_spectra(_read(path) if path.exists() else None, path)


def checked_spectra(table: pd.DataFrame | None, path: Path) -> pd.DataFrame:
    """A table of spectra, as `read_spectra` returns it; empty for None. For arguments see `checked_trials`.

    Raises:
        ValueError: it lacks a column, or holds a value that cannot be true.
    """
    if table is None:
        return _empty(SPECTRUM_COLUMNS)
    spectra = _typed(table, path, SPECTRUM_COLUMNS, required=tuple(SPECTRUM_COLUMNS))
    eigenvalues = spectra["eigenvalues"]
    wrong = pd.Series([not _is_spectrum(values) for values in eigenvalues], dtype="bool")
    refuse(path, "eigenvalues", eigenvalues, wrong, "must be a list of numbers")
    return spectra


def refuse(path: Path, column: str, values: pd.Series, wrong: pd.Series, rule: str) -> None:
    """Refuses the rows that are `wrong`.

    Raises:
        ValueError: there are any; names file, column, the first row, `rule`, its value, and how many more.
    """
    rows = np.flatnonzero(wrong.fillna(False).to_numpy(bool))
    if not len(rows):
        return
    (value,) = values.iloc[[rows[0]]].tolist()  # as Python's own type
    got = "null" if _is_missing(value) else shortened(repr(value), 60)
    more = f" (and in {plural(len(rows) - 1, 'more row')})" if len(rows) > 1 else ""
    raise ValueError(f"{path}: {column}, row {rows[0]}: {rule}, but got {got}{more}")


def refuse_duplicates(path: Path, table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Refuses two rows with the same values in `columns`.

    Raises:
        ValueError: there are such rows; names file, columns, both rows and the values.
    """
    again = np.flatnonzero(table.duplicated(list(columns)))
    if not len(again):
        return
    groups = table.groupby(list(columns), dropna=False, sort=False).ngroup().tolist()
    first = groups.index(groups[again[0]])
    values = ", ".join(shortened(str(table[name].iloc[first]), 40) for name in columns)
    more = f" (and in {plural(len(again) - 1, 'more row')})" if len(again) > 1 else ""
    raise ValueError(
        f"{path}: {', '.join(columns)}, row {again[0]}: must differ from row {first}, "
        f"but both have {values}{more}"
    )


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path, engine="pyarrow", page_checksum_verification=True)
    except FileNotFoundError as error:
        raise ValueError(f"{path.parent}: holds no sweep: {path.name}: {error.strerror}") from None
    except (
        OSError,
        ValueError,
        NotImplementedError,
        LookupError,
        MemoryError,
    ) as error:  # pyarrow's are, too
        raise ValueError(f"{path}: cannot be read: {shortened(' '.join(str(error).split()), 200)}") from None


def _typed(
    table: pd.DataFrame, path: Path, columns: Mapping[str, str], *, required: Sequence[str]
) -> pd.DataFrame:
    """A copy with the columns in their types; those that it lacks are null.

    Raises:
        ValueError: it lacks a required column, or a value does not fit.
    """
    # A filtered table keeps its old row numbers, and a table by trial has its ids there.
    table = table.reset_index(drop=all(name is None for name in table.index.names))
    missing = [name for name in required if name not in table]
    if missing and len(table):
        raise ValueError(f"{path}: must have the columns {', '.join(required)}, but lacks {listed(missing)}")
    for name, kind in columns.items():
        values = table[name] if name in table else pd.Series([None] * len(table), dtype="object")
        table[name] = _converted(path, name, values, kind)
    return table


def _empty(columns: Mapping[str, str]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in columns.items()})


def _converted(path: Path, name: str, column: pd.Series, kind: str) -> pd.Series:
    """A column in the type that the analysis reads."""
    if kind == "object" or str(column.dtype) == kind:
        return column
    is_number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if is_number and (kind == _REAL or (kind == _WHOLE and pd.api.types.is_signed_integer_dtype(column))):
        return column.astype(kind)  # type: ignore[call-overload,no-any-return]
    fits, rule = _RULES[kind]
    values = _plain(column)
    wrong = pd.Series([value is not None and not fits(value) for value in values], dtype="bool")
    refuse(path, name, column, wrong, rule)
    if kind == _TEXT:
        values = [None if value is None else str(value) for value in values]
    if kind == _REAL:
        values = [math.nan if value is None else float(value) for value in values]
    if kind == _FLAG:
        values = [None if value is None else bool(value) for value in values]
    if kind == _WHOLE:
        values = [None if value is None else int(value) for value in values]
    return pd.Series(values, index=column.index, dtype=kind)


def _plain(column: pd.Series) -> list[Any]:
    """The values as Python's own, with None for every kind of null."""
    return [None if _is_missing(value) else value for value in column.tolist()]


def _is_missing(value: object) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value)


def _is_spectrum(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_number, value))
    return isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "fiu"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return _is_number(value) and float(value).is_integer() and abs(value) < 2**63  # type: ignore[arg-type]


def _is_flag(value: object) -> bool:
    return isinstance(value, bool) or (_is_number(value) and value in (0, 1))


def _is_label(value: object) -> bool:
    return isinstance(value, str | bool | int | float)


_RULES: Mapping[str, tuple[_Fits, str]] = {
    _TEXT: (lambda value: isinstance(value, str) or _is_whole(value), "must be text"),
    _WHOLE: (_is_whole, "must be a whole number"),
    _REAL: (_is_number, "must be a number"),
    _FLAG: (_is_flag, "must be true, false or null"),
}
"""Type -> whether a value that is not null fits it, and how that is said."""


def as_texts(values: Iterable[object]) -> list[str | None]:
    """Labels of levels as text, None where there is none."""
    return [None if _is_missing(value) else level_text(value) for value in values]


def level_text(value: object) -> str:
    """A level's label as text: booleans as in YAML, whole floats without their `.0`."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(float(value))
    return str(value)
