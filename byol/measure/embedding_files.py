"""Reads embeddings that were made elsewhere: npy, Parquet, safetensors. Nothing is unpickled.

The shape stands in a file's header and is checked before any value is read, so a file beyond the limits costs
no memory. Shape suffixes: N rows, D dimensions.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from byol.errors import ConfigError, listed, shortened

MOST_ROWS = 1_000_000
MOST_DIMENSIONS = 8_192
MOST_VALUES = 2**27
"""Rows times dimensions. A gigabyte in float64, of which measuring holds a few at a time."""
SUFFIXES = (".npy", ".parquet", ".safetensors")
LABELS_SUFFIX = ".labels.npy"
"""Ends the file of labels beside an npy file: `run.npy` has `run.labels.npy`."""

_REPRESENTATION, _PROJECTION, _LABELS = ("embedding", "representation"), "projection", ("labels", "label")
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_WHOLE = ("BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64")  # as safetensors names them
_BATCH = 4_096  # rows of a Parquet file that are in memory twice


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddingFile:
    """What a file holds. Row i of each belongs to one input."""

    representation_ND: Tensor
    """As it was kept: float16, bfloat16, float32 or float64."""
    projection_ND: Tensor | None
    """Of as many rows and its own dimensions."""
    labels_N: Tensor | None
    """Classes, numbered from 0 in the order of their sorted names."""


def read_embeddings(path: Path, labels: Path | None = None) -> EmbeddingFile:
    """Reads a file of embeddings.

    Args:
        path: npy [N, D]; Parquet with a column `embedding` of lists, or a column per dimension; safetensors
            with a tensor `embedding`, or a single one of two dimensions.
        labels: an npy file [N] with the labels. None takes those in the file, or beside an npy file.

    Raises:
        ConfigError: it cannot be read, holds something else, or is beyond the limits.
    """
    readers = {".npy": _npy, ".parquet": _parquet, ".safetensors": _safetensors}
    if path.suffix not in readers:
        raise ConfigError(str(path), path.suffix, f"must end in {', '.join(SUFFIXES)}")
    with _readable(path):
        representation_ND, projection_ND, labels_N = readers[path.suffix](path)
    beside = path.with_name(path.stem + LABELS_SUFFIX)
    place = labels or (beside if path.suffix == ".npy" and beside.exists() else None)
    if place:
        with _readable(place):
            labels_N = _mapped(place)
    return EmbeddingFile(
        representation_ND=representation_ND,
        projection_ND=projection_ND,
        labels_N=None if labels_N is None else _classes(labels_N, len(representation_ND), place or path),
    )


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Says of whatever a library finds wrong with a file which file it is."""
    try:
        yield
    except ConfigError:
        raise
    except (OSError, ValueError, EOFError, SafetensorError, pa.ArrowException, SyntaxError) as error:
        detail = shortened(" ".join(str(error).split()), 200)
        raise ConfigError(str(path), detail, "must be a readable file of its kind") from None


def _check_shape(place: str, shape: tuple[int, ...]) -> None:
    """Refuses what is not [N, D] within the limits."""
    if len(shape) != 2 or 0 in shape:
        raise ConfigError(place, list(shape), "must have rows and dimensions: a shape [N, D]")
    rows, dimensions = shape
    if rows > MOST_ROWS or dimensions > MOST_DIMENSIONS or rows * dimensions > MOST_VALUES:
        limits = f"at most {MOST_ROWS:,} rows, {MOST_DIMENSIONS:,} dimensions and {MOST_VALUES:,} values"
        raise ConfigError(place, list(shape), f"must have {limits} (take every k-th row)")


def _mapped(path: Path) -> npt.NDArray[Any]:
    """An array that is not read yet. Object arrays, which are pickles, are refused."""
    try:
        array: npt.NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except ValueError as error:
        if "Python objects" not in str(error):
            raise
        raise ConfigError(
            str(path), "pickled objects", "must hold an array, for nothing is unpickled"
        ) from None
    return array


def _npy(path: Path) -> tuple[Tensor, None, None]:
    array = _mapped(path)
    _check_shape(str(path), array.shape)
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise ConfigError(str(path), str(array.dtype), "must hold float16, float32 or float64")
    return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C")), None, None


def _safetensors(path: Path) -> tuple[Tensor, Tensor | None, npt.NDArray[Any] | None]:
    with safe_open(path, framework="pt") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        flat = [name for name, shape in shapes.items() if len(shape) == 2]
        name = next((name for name in _REPRESENTATION if name in shapes), flat[0] if len(flat) == 1 else None)
        if name is None:
            rule = "must hold a tensor named embedding, or a single one of two dimensions"
            raise ConfigError(str(path), listed(shapes), rule)
        tensors = []
        for key in (name, *([_PROJECTION] if _PROJECTION in shapes and name != _PROJECTION else [])):
            _check_shape(f"{path}: {key}", shapes[key])
            tensor = file.get_tensor(key)
            if tensor.dtype not in _FLOATS:
                raise ConfigError(f"{path}: {key}", str(tensor.dtype), "must hold floating-point numbers")
            tensors.append(tensor)
        label = next((key for key in _LABELS if key in shapes), None)
        labels = None if label is None else _label_tensor(file, path, label, rows=len(tensors[0]))
    projection_ND = tensors[1] if len(tensors) > 1 else None
    _check_pair(path, tensors[0], projection_ND)
    return tensors[0], projection_ND, labels


def _label_tensor(file: Any, path: Path, name: str, *, rows: int) -> npt.NDArray[Any]:
    """Labels, of which type and shape stand in the header."""
    header = file.get_slice(name)
    if header.get_dtype() not in _WHOLE:
        raise ConfigError(f"{path}: {name}", header.get_dtype(), "must be whole numbers")
    _check_labels(f"{path}: {name}", tuple(header.get_shape()), rows)
    labels: npt.NDArray[Any] = file.get_tensor(name).numpy()
    return labels


def _check_pair(path: Path, representation_ND: Tensor, projection_ND: Tensor | None) -> None:
    if projection_ND is not None and len(projection_ND) != len(representation_ND):
        rule = f"must have a row for each of the {len(representation_ND)} of the representation"
        raise ConfigError(f"{path}: {_PROJECTION}", len(projection_ND), rule)


def _parquet(path: Path) -> tuple[Tensor, Tensor | None, npt.NDArray[Any] | None]:
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        names = file.schema_arrow.names
        label = next((name for name in _LABELS if name in names), None)
        lists = next((name for name in _REPRESENTATION if name in names), None)
        if lists is not None:
            representation_ND = _list_column(file, path, lists)
            projection_ND = _list_column(file, path, _PROJECTION) if _PROJECTION in names else None
        else:
            representation_ND, projection_ND = _columns(file, path, [n for n in names if n != label]), None
        labels = None if label is None else _label_column(file, path, label)
    return representation_ND, projection_ND, labels


def _list_column(file: Any, path: Path, name: str) -> Tensor:
    """A column of lists of floats, all of one length."""
    place, kind = f"{path}: {name}", file.schema_arrow.field(name).type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not is_list or not pa.types.is_floating(kind.value_type):
        raise ConfigError(place, str(kind), "must be a column of lists of floats")
    rows = file.metadata.num_rows
    leaf = next(
        index for index in range(len(file.schema)) if file.schema.column(index).path.split(".")[0] == name
    )
    groups = [file.metadata.row_group(index).column(leaf) for index in range(file.metadata.num_row_groups)]
    _check_shape(place, (rows, -(-sum(group.num_values for group in groups) // max(1, rows))))
    values_ND, start = None, 0
    for batch in file.iter_batches(_BATCH, columns=[name]):
        column = batch.column(0)
        lengths = np.asarray(pc.list_value_length(column).fill_null(-1))
        width = int(lengths[0]) if values_ND is None else values_ND.shape[1]
        wrong = np.flatnonzero(lengths != max(width, 0))
        if len(wrong):
            got = "null" if lengths[wrong[0]] < 0 else int(lengths[wrong[0]])
            rule = f"row {start + wrong[0]} must have as many values as row 0, {max(width, 0)}"
            raise ConfigError(place, got, rule)
        flat = column.flatten()
        if flat.null_count:
            row = start + int(np.flatnonzero(np.asarray(flat.is_null()))[0]) // width
            raise ConfigError(place, "null", f"row {row} must have no null")
        if values_ND is None:
            _check_shape(place, (rows, width))
            values_ND = np.empty((rows, width), flat.type.to_pandas_dtype())
        values_ND[start : start + len(column)] = np.asarray(flat).reshape(len(column), width)
        start += len(column)
    assert values_ND is not None  # there is at least one row
    return torch.from_numpy(values_ND)


def _columns(file: Any, path: Path, names: list[str]) -> Tensor:
    """A column of floats for each dimension, in the order of the file."""
    fields = [file.schema_arrow.field(name) for name in names]
    for field in fields:
        if not pa.types.is_floating(field.type):
            rule = "must be a column of floats, as each dimension is where there is no column embedding"
            raise ConfigError(f"{path}: {field.name}", str(field.type), rule)
    rows = file.metadata.num_rows
    _check_shape(str(path), (rows, len(names)))
    dtype = np.result_type(*(field.type.to_pandas_dtype() for field in fields))
    values_ND, start = np.empty((rows, len(names)), dtype), 0
    for batch in file.iter_batches(_BATCH, columns=names):
        for place, name in enumerate(names):
            column = batch.column(name)
            if column.null_count:
                row = start + int(np.flatnonzero(np.asarray(column.is_null()))[0])
                raise ConfigError(f"{path}: {name}", "null", f"row {row} must have no null")
            values_ND[start : start + len(batch), place] = np.asarray(column)
        start += len(batch)
    return torch.from_numpy(values_ND)


def _label_column(file: Any, path: Path, name: str) -> npt.NDArray[Any]:
    column = file.read([name]).column(0)
    if column.null_count:
        raise ConfigError(f"{path}: {name}", "null", "must have a label in each row")
    is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    return np.asarray(column.to_pylist(), dtype=str) if is_text else np.asarray(column)


def _classes(labels: npt.NDArray[Any], rows: int, place: Path) -> Tensor:
    """Labels as numbers from 0."""
    if labels.dtype.kind not in "biuUS":
        raise ConfigError(f"{place}: labels", str(labels.dtype), "must be whole numbers or text")
    _check_labels(f"{place}: labels", labels.shape, rows)
    return torch.from_numpy(np.unique(labels, return_inverse=True)[1].astype(np.int64))


def _check_labels(place: str, shape: tuple[int, ...], rows: int) -> None:
    if shape != (rows,):
        rule = f"must be one for each of the {rows} rows: a shape [{rows}]"
        raise ConfigError(place, list(shape), rule)
