"""Parquet files in the Hugging Face image layout, made readable image by image.

The layout: a struct column with the fields `bytes` (the encoded image) and `path`; optionally an integer
column `label`, `labels` or `fine_label`, whose class names are in the schema's metadata. A file belongs to
the test split if the word test is in its path, relative to the source. If no path has it, the words
validation, valid, val and dev count instead; if one has, files with those words are left out.

Shape suffixes: N images.
"""

import functools
import hashlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from byol.data.decoding import DataError
from byol.files import replacing

LABEL_COLUMNS = ("label", "labels", "fine_label")
BATCH_ROWS = 256
"""Rows that are in memory at a time while the Arrow file is written."""
VALIDATION_WORDS = {"validation", "valid", "val", "dev"}


@dataclass(frozen=True, kw_only=True)
class ArrowImages:
    """Rows of an Arrow file of encoded images, as EncodedImages. Each process maps the file into memory."""

    path: Path
    """The Arrow file."""
    rows_N: npt.NDArray[np.int64]
    """Indices of rows, in the order of the images."""

    def __len__(self) -> int:
        return len(self.rows_N)

    def name(self, index: int) -> str:
        """Name of an image: the Parquet file it comes from, and its row there."""
        return str(_table(self.path)["name"][int(self.rows_N[index])])

    def size(self, index: int) -> int:
        """Bytes of the encoded image."""
        return len(self._encoded(index))

    def open(self, index: int) -> Image.Image:
        """The image with its header read, its pixels not yet."""
        return Image.open(io.BytesIO(self._encoded(index)))

    def take(self, indices_N: npt.NDArray[np.int64]) -> "ArrowImages":
        """The images at these indices, in this order."""
        return replace(self, rows_N=self.rows_N[indices_N])

    def _encoded(self, index: int) -> memoryview:
        scalar = _table(self.path)["bytes"][int(self.rows_N[index])]
        return memoryview(scalar.as_buffer() or b"")


@dataclass(frozen=True, kw_only=True)
class ParquetSource:
    """All images of the files, in the order of files and rows."""

    path: Path
    """The Arrow file that holds them."""
    names: list[str]
    """Parquet file and row of each image."""
    is_test: npt.NDArray[np.bool_]
    """bool [N]: whether the image's file belongs to the test split."""
    labels: npt.NDArray[np.int64] | None
    """int64 [N], or None if a file has none."""
    classes: tuple[str, ...] | None
    """Names of the labels, or None if the files do not give them."""


def import_parquet(path: Path, cache: Path) -> ParquetSource:
    """Copies the images of a file, or of all files below a folder, into one Arrow file, unless it exists.

    Args:
        path: a Parquet file, or a folder of them.
        cache: the folder of the Arrow file.

    Raises:
        DataError: there are no such files, a file is damaged, or it has no image column.
    """
    import pyarrow.parquet

    root = path if path.is_dir() else path.parent
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    files = [file for file in files if file.is_file()]
    if not files:
        raise DataError(f"{path}: must be a Parquet file or a folder of them, but there is none")
    is_test_file = _test_files([str(file.relative_to(root)) for file in files])
    files = [file for file in files if str(file.relative_to(root)) in is_test_file]
    try:
        schemas = [pyarrow.parquet.read_schema(file) for file in files]
    except pyarrow.ArrowInvalid as error:
        raise DataError(f"{path}: {str(error).splitlines()[0]}") from None
    columns = [_columns(file, schema) for file, schema in zip(files, schemas, strict=True)]
    target = cache / f"{_identity(files)}.arrow"
    if not target.exists():
        _write(target, root, files, columns)
    table = _table(target)
    names = table["name"].to_pylist()
    has_labels = all(label for _, label in columns)
    return ParquetSource(
        path=target,
        names=names,
        is_test=np.array([is_test_file[name.rpartition("#")[0]] for name in names], np.bool_),
        labels=table["label"].to_numpy().astype(np.int64) if has_labels else None,
        classes=_class_names(schemas[0], columns[0][1]) if has_labels else None,
    )


def _test_files(paths: list[str]) -> dict[str, bool]:
    """Whether each file belongs to the test split; without validation files if there are test files."""
    words_of = {path: set(re.split(r"[^a-z]+", path.lower())) for path in paths}
    if not any("test" in words for words in words_of.values()):
        return {path: bool(words & VALIDATION_WORDS) for path, words in words_of.items()}
    return {path: "test" in words for path, words in words_of.items() if not words & VALIDATION_WORDS}


def _columns(file: Path, schema: Any) -> tuple[str, str | None]:
    """Names of the image column and of the label column; None if there are no labels."""
    import pyarrow

    is_struct, is_integer = pyarrow.types.is_struct, pyarrow.types.is_integer
    images = [f.name for f in schema if is_struct(f.type) and f.type.get_field_index("bytes") >= 0]
    if len(images) != 1:
        rule = "must have one image column (a struct with the fields bytes and path)"
        raise DataError(f"{file}: {rule}, but has {len(images)} among {', '.join(schema.names)}")
    named = [name for name in LABEL_COLUMNS if name in schema.names]
    labels = [name for name in named if is_integer(schema.field(name).type)]
    return images[0], labels[0] if labels else None


def _class_names(schema: Any, label: str | None) -> tuple[str, ...] | None:
    """The names that the `datasets` library writes into the schema: info.features.<label>.names."""
    metadata = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    names = metadata.get("info", {}).get("features", {}).get(label, {}).get("names")
    return tuple(names) if names else None


def _identity(files: list[Path]) -> str:
    """A hash of paths, sizes and times of the files, which changes when they do."""
    states = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(states).encode()).hexdigest()[:16]


def _write(target: Path, root: Path, files: list[Path], columns: list[tuple[str, str | None]]) -> None:
    """Writes the Arrow file: name, encoded image and label (-1 for none) of each row of the Parquet files."""
    import pyarrow

    fields = [("name", pyarrow.string()), ("bytes", pyarrow.binary()), ("label", pyarrow.int64())]
    schema = pyarrow.schema(fields)
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        replacing(target) as partial,
        pyarrow.OSFile(str(partial), "wb") as sink,
        pyarrow.ipc.new_file(sink, schema) as writer,
    ):
        for file, (image, label) in zip(files, columns, strict=True):
            for batch in _batches(file, str(file.relative_to(root)), image, label):
                writer.write_batch(pyarrow.record_batch(batch, schema=schema))


def _batches(file: Path, name: str, image: str, label: str | None) -> Iterator[list[Any]]:
    import pyarrow.compute
    import pyarrow.parquet

    row = 0
    columns = [image, label] if label else [image]
    for batch in pyarrow.parquet.ParquetFile(file).iter_batches(BATCH_ROWS, columns=columns):
        names = pyarrow.array([f"{name}#{row + offset}" for offset in range(batch.num_rows)])
        encoded = pyarrow.compute.struct_field(batch.column(image), "bytes").cast(pyarrow.binary())
        labels = batch.column(label).cast(pyarrow.int64()) if label else pyarrow.nulls(batch.num_rows)
        yield [names, encoded, labels.fill_null(-1) if label else labels.cast(pyarrow.int64())]
        row += batch.num_rows


@functools.lru_cache(maxsize=8)
def _table(path: Path) -> Any:
    """The table of an Arrow file, mapped into memory."""
    import pyarrow

    return pyarrow.ipc.open_file(pyarrow.memory_map(str(path))).read_all()
