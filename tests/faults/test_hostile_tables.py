"""Any result tables give findings, or an error of one line that names the file; and no hang."""

import functools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import api
from analysis.document import document_text
from tests.analysis.tables import write_sweep
from tests.faults.examples import answered, examples

NAMES = ("trials.parquet", "metrics.parquet", "spectra.parquet")
VALUES = [
    *(None, float("nan"), float("inf"), -float("inf"), 0, -1, 1, 2**62, -(2**63), 1e308, 1e-320, 0.5, True),
    *("", "a", "COMPLETE", "FAIL", "finished", "\n", "<script>", "x" * 100_000, "é\0", "9" * 400),
    *([], [1.0], [float("nan")], [None], {"a": 1}, b"\xff"),
]
TYPES = [
    *(pa.string(), pa.int64(), pa.int8(), pa.uint64(), pa.float64(), pa.float16(), pa.bool_(), pa.binary()),
    *(pa.null(), pa.timestamp("ns"), pa.list_(pa.float32()), pa.list_(pa.string()), pa.decimal128(38, 2)),
    *(pa.dictionary(pa.int32(), pa.string()), pa.struct([("a", pa.int64())])),
]
CHANGES = [
    *("drop", "rename", "value", "column of one value", "type", "nulls", "repeat", "reverse", "empty"),
    *("one row", "twice the column", "new column", "swap"),
]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    factors = {"encoder_norm": ["batch", "group"], "head_norm": ["batch", "none"]}
    return write_sweep(tmp_path_factory.mktemp("sound"), factors=factors)


def changed(table: pa.Table, change: str, column: int, row: int, value: Any, kind: pa.DataType) -> pa.Table:
    """A table with one thing changed, as far as it can be."""
    column %= table.num_columns
    name, values = table.column_names[column], table.column(column).to_pylist()
    if change == "drop":
        return table.drop_columns([name])
    if change == "rename":
        names = [*table.column_names]
        names[column] = value if isinstance(value, str) else "f_other"
        return table.rename_columns(names)
    if change in ("repeat", "reverse", "empty", "one row"):
        rows = [*range(table.num_rows)]
        rows = {"repeat": rows + rows, "reverse": rows[::-1], "empty": [], "one row": rows[:1]}[change]
        return table.take(rows)
    if change in ("twice the column", "new column"):
        return table.append_column(name if change == "twice the column" else f"f_{row}", table.column(column))
    if change == "value" and values:
        values[row % len(values)] = value
    if change == "column of one value":
        values = [value] * len(values)
    if change == "nulls":
        values = [None] * len(values)
    if change == "swap":
        values = table.column((column + 1 + row) % table.num_columns).to_pylist()
    array = table.column(column).cast(kind) if change == "type" else pa.array(values)
    return table.set_column(column, name, array)


def told(folder: Path) -> None:
    """Everything that `report` says of a sweep, but for the page."""
    results = api.load_results([folder])
    assert all(sentence for sentence in api.findings(results).sentences)
    assert document_text(api.findings_document(results)).encode()
    api.effects(results)


@examples(60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([NAMES[0], NAMES[0], NAMES[1], NAMES[2]]),
            st.sampled_from(CHANGES),
            st.integers(0, 60),
            st.integers(0, 200),
            st.sampled_from(VALUES),
            st.sampled_from(TYPES),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_any_tables(injected: Callable[..., None], sound: Path, changes: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "sweep"
        shutil.copytree(sound, folder)
        for name, *change in changes:
            try:
                table = changed(pq.read_table(folder / name), *change)
            except (pa.ArrowException, OverflowError, TypeError, ValueError):
                continue  # no such table can be made
            pq.write_table(table, folder / name)
        answered(lambda: told(folder), ValueError, functools.partial(injected, "tables"))
