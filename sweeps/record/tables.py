"""Writes the Parquet tables from the ledger, each replaced in one step."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.spectra import Shape, shape
from byol.files import replacing
from sweeps import files
from sweeps.record.ledger import Ledger
from sweeps.record.rows import LAST_VALUES, METRICS, Baselines, Fact, TrialRow, data_of
from sweeps.study.designs import Labels

_BATCH = 65_536
_SPECTRA_BATCH = 2_048

_TRIAL_COLUMNS = pa.schema(
    [
        ("trial_id", pa.string()),
        ("cell_id", pa.string()),
        ("seed", pa.int64()),
        ("design", pa.string()),
        ("state", pa.string()),
        ("end_reason", pa.string()),
        ("attempt", pa.int64()),
        *((name, pa.bool_()) for name in ("collapsed", "projection_collapsed", "dimensional_collapse")),
        ("onset_step", pa.int64()),
        ("steps_run", pa.int64()),
        ("steps_planned", pa.int64()),
        *((name, pa.float64()) for name in LAST_VALUES),
        ("wall_seconds", pa.float64()),
        ("device", pa.string()),
        ("commit", pa.string()),
        ("clean", pa.bool_()),
        ("versions", pa.string()),
        ("code", pa.string()),
        ("error", pa.string()),
    ]
)
_CONTROL_COLUMNS = pa.schema(
    [
        ("knn_accuracy_start", pa.float64()),
        ("knn_accuracy_pixels", pa.float64()),
        ("chance", pa.float64()),
        ("test_images", pa.int64()),
        ("precision", pa.string()),
        ("data_digest", pa.string()),
    ]
)
"""The fields of Controls."""
_SHAPE_COLUMNS = pa.schema([(name, pa.float64()) for name in Shape._fields])
"""How the representation's last spectrum falls."""
_METRIC_COLUMNS = pa.schema(
    [
        ("trial_id", pa.string()),
        ("step", pa.int64()),
        *((name, pa.float32()) for name in METRICS if name != "step"),
    ]
)
OWN_PREFIX = "m_"
"""What the columns of the user's own metrics begin with."""
_SPECTRA_COLUMNS = pa.schema(
    [
        ("trial_id", pa.string()),
        ("step", pa.int64()),
        ("level", pa.string()),
        ("eigenvalues", pa.list_(pa.float32())),
    ]
)


def write_tables(ledger: Ledger, folder: Path) -> None:
    """Writes trials.parquet, metrics.parquet and spectra.parquet to `folder` from the rows of `ledger`."""
    with tables_written(ledger, folder):
        pass


@contextlib.contextmanager
def tables_written(ledger: Ledger, folder: Path) -> Iterator[dict[str, Path]]:
    """The tables of the ledger as of one moment: name -> a file that takes that table's place in `folder`.

    They do so at the end of the block, each in one step; after an error none does.
    """
    with contextlib.ExitStack() as stack:
        names = (files.SPECTRA, files.METRICS, files.TRIALS)  # the last takes its place first
        partials = {name: stack.enter_context(replacing(folder / name)) for name in names}
        with ledger.as_of_now():
            rows = ledger.trials()
            ids = {row.number: row.trial_id for row in rows}
            derived = zip(controls_of(ledger, rows), _shapes(ledger, rows), strict=True)
            own = _own_metrics(ledger, rows)
            trials = _trial_table(rows, [(*controls, *last) for controls, last in derived], own)
            _write(partials[files.TRIALS], *trials)
            schema = pa.schema([*_METRIC_COLUMNS, *(pa.field(name, pa.float32()) for name in own)])
            _write(partials[files.METRICS], schema, _metric_batches(ledger, ids, list(own), schema))
            _write(partials[files.SPECTRA], _SPECTRA_COLUMNS, _spectra_batches(ledger, ids))
        yield partials


def write_rows(
    folder: Path,
    *,
    trials: Sequence[Mapping[str, Any]],
    metrics: Sequence[Mapping[str, Any]],
    spectra: Sequence[Mapping[str, Any]],
) -> None:
    """Writes the same tables from rows, for results that no ledger holds; trials.parquet also has `note`.

    Args:
        folder: where.
        trials, metrics, spectra: rows by column; a column that a row lacks is null. How the representation's
            last spectrum falls is taken from `spectra`, which are in order of step.
    """
    last = {row["trial_id"]: row["eigenvalues"] for row in spectra if row["level"] == "representation"}
    judged = [{**row, **shape(last[row["trial_id"]])._asdict()} for row in trials]
    fields = [*_TRIAL_COLUMNS, *_CONTROL_COLUMNS, *_SHAPE_COLUMNS, pa.field("note", pa.string())]
    for name, schema, rows in (
        (files.TRIALS, pa.schema(fields), judged),
        (files.METRICS, _METRIC_COLUMNS, metrics),
        (files.SPECTRA, _SPECTRA_COLUMNS, spectra),
    ):
        table = pa.Table.from_pylist([{**row} for row in rows], schema=schema)
        _write(folder / name, schema, iter(table.to_batches()))


def _write(path: Path, schema: Any, batches: Iterator[Any]) -> None:
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
        for batch in batches:
            writer.write_batch(batch)


class Controls(NamedTuple):
    """What a trial's accuracy is compared with, the precision that it was trained in, and on what data."""

    knn_accuracy_start: float | None
    knn_accuracy_pixels: float | None
    chance: float | None
    test_images: int | None
    precision: str | None
    data_digest: str | None


def controls_of(ledger: Ledger, rows: list[TrialRow]) -> list[Controls]:
    """The controls of each row; None what is not known."""
    facts, starts = ledger.facts(), ledger.first_accuracies()
    known = json.loads(facts.get(Fact.BASELINES, "{}"))
    controls = []
    for row in rows:
        precision = str(row.settings["precision"])
        digest = row.data_digest or facts.get(data_of(row.settings))
        baselines = known.get(Baselines.key(row.settings, digest)) or known.get(
            Baselines.key(row.settings), {}
        )
        controls.append(
            Controls(
                starts.get(row.number),
                baselines.get("pixels"),
                baselines.get("chance"),
                baselines.get("test_images"),
                facts.get(Fact.PRECISION) if precision == "auto" else precision,
                digest,
            )
        )
    return controls


def _shapes(ledger: Ledger, rows: list[TrialRow]) -> list[tuple[float | None, ...]]:
    """The values of _SHAPE_COLUMNS, by row; null before the first measurement."""
    spectra = ledger.last_spectra("representation")
    unknown = (None,) * len(Shape._fields)
    return [
        shape(np.frombuffer(spectra[row.number], dtype="<f4")) if row.number in spectra else unknown
        for row in rows
    ]


def _own_metrics(ledger: Ledger, rows: list[TrialRow]) -> dict[str, list[float | None]]:
    """Columns of the user's own metrics -> their last values, by row."""
    names: dict[str, None] = {}
    last: dict[int, dict[str, float]] = {}
    for number, _, values in ledger.own_metrics():
        names |= dict.fromkeys(values)
        last[number] = values
    return {f"{OWN_PREFIX}{name}": [last.get(row.number, {}).get(name) for row in rows] for name in names}


def _trial_table(
    rows: list[TrialRow], derived: list[tuple[Any, ...]], own: dict[str, list[float | None]]
) -> tuple[Any, Iterator[Any]]:
    """The table; `derived` are values of _CONTROL_COLUMNS and _SHAPE_COLUMNS by row, `own` more columns."""
    columns = [pa.array([getattr(row, field.name) for row in rows], field.type) for field in _TRIAL_COLUMNS]
    derived_fields = [*_CONTROL_COLUMNS, *_SHAPE_COLUMNS]
    columns += [
        pa.array([values[index] for values in derived], field.type)
        for index, field in enumerate(derived_fields)
    ]
    columns += [pa.array(values, pa.float64()) for values in own.values()]
    fields = [*_TRIAL_COLUMNS, *derived_fields, *(pa.field(name, pa.float64()) for name in own)]
    labels = [row.labels for row in rows]
    for name in _factor_names(labels):
        column = pa.array([label.get(name) for label in labels])
        columns.append(column)
        fields.append(pa.field(f"f_{name}", column.type))
    schema = pa.schema(fields)
    return schema, iter([pa.record_batch(columns, schema=schema)])


def _factor_names(labels: list[Labels]) -> list[str]:
    """Returns every factor that applies in some trial, in an order that agrees with each trial's order."""
    names: list[str] = []
    for label in labels:
        position = len(names)
        for name in reversed(label):
            if name not in names:
                names.insert(position, name)
            position = names.index(name)
    return names


def _metric_batches(ledger: Ledger, ids: dict[int, str], own: list[str], schema: Any) -> Iterator[Any]:
    rows, own_rows = ledger.metrics(), ledger.own_metrics() if own else iter(())
    following = next(own_rows, None)
    while batch := list(islice(rows, _BATCH)):
        numbers, *columns = zip(*batch, strict=True)
        arrays = [pa.array([ids[number] for number in numbers]), pa.array(map(int, columns[0]), pa.int64())]
        arrays += [pa.array(column, pa.float32()) for column in columns[1:]]
        own_values: list[dict[str, float]] = []
        for number, step, *_ in batch:
            has_own = following is not None and following[:2] == (number, step)
            own_values.append(following[2] if following is not None and has_own else {})
            following = next(own_rows, None) if has_own else following
        arrays += [
            pa.array([values.get(name.removeprefix(OWN_PREFIX)) for values in own_values], pa.float32())
            for name in own
        ]
        yield pa.record_batch(arrays, schema=schema)


def _spectra_batches(ledger: Ledger, ids: dict[int, str]) -> Iterator[Any]:
    rows = ledger.spectra()
    while batch := list(islice(rows, _SPECTRA_BATCH)):
        numbers, steps, levels, spectra = zip(*batch, strict=True)
        offsets = np.cumsum([0, *(len(spectrum) // 4 for spectrum in spectra)], dtype=np.int32)
        values = np.frombuffer(b"".join(spectra), dtype="<f4")
        eigenvalues = pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))
        arrays = [pa.array([ids[number] for number in numbers]), pa.array(steps, pa.int64())]
        yield pa.record_batch([*arrays, pa.array(levels), eigenvalues], schema=_SPECTRA_COLUMNS)
