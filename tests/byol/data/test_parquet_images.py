import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from byol.data import DataError, load_data, parquet_images
from tests.byol.data.image_sources import in_memory, values


def encoded(color: int) -> dict[str, Any]:
    buffer = BytesIO()
    Image.new("RGB", (6, 6), (color, 0, 0)).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def write_parquet(path: Path, colors: list[int], labels: list[int] | None, image: str = "image") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns: dict[str, Any] = {image: [encoded(color) for color in colors], "other": ["x"] * len(colors)}
    features: dict[str, Any] = {image: {"_type": "Image"}}
    if labels is not None:
        columns["label"] = labels
        features["label"] = {"names": ["zero", "one"], "_type": "ClassLabel"}
    table = pa.table(columns)
    metadata = json.dumps({"info": {"features": features}})
    pq.write_table(table.replace_schema_metadata({"huggingface": metadata}), path, row_group_size=3)


def test_parquet_in_the_hub_layout(tmp_path: Path) -> None:
    source = tmp_path / "set"
    write_parquet(source / "data" / "train-00000-of-00002.parquet", [10, 11, 12, 13], [0, 1, 0, 1])
    write_parquet(source / "data" / "train-00001-of-00002.parquet", [14, 15], [0, 1])
    write_parquet(source / "data" / "test-00000-of-00001.parquet", [20, 21], [0, 1])
    write_parquet(source / "data" / "validation-00000-of-00001.parquet", [30], [0])
    data = in_memory(f"parquet:{source}", root=tmp_path / "cache")
    assert values(data.train_images) == [10, 11, 12, 13, 14, 15]
    assert values(data.test_images) == [20, 21], "validation is left out where there is a test split"
    assert data.train_labels is not None
    np.testing.assert_array_equal(data.train_images[:, 0, 0, 0] % 2, data.train_labels)
    assert data.classes == ("zero", "one")


def test_parquet_validation_is_the_test_split_where_there_is_no_other(tmp_path: Path) -> None:
    write_parquet(tmp_path / "set" / "train" / "0000.parquet", [1, 2], None, image="img")
    write_parquet(tmp_path / "set" / "validation" / "0000.parquet", [3], None, image="img")
    data = in_memory(f"parquet:{tmp_path / 'set'}", root=tmp_path)
    assert values(data.train_images) == [1, 2]
    assert values(data.test_images) == [3]
    assert data.train_labels is None
    assert data.classes is None


def test_single_parquet_file_holds_some_out(tmp_path: Path) -> None:
    write_parquet(tmp_path / "all.parquet", list(range(60)), [i % 2 for i in range(60)])
    data = in_memory(f"parquet:{tmp_path / 'all.parquet'}", root=tmp_path)
    assert sorted(values(data.train_images) + values(data.test_images)) == list(range(60))
    assert 1 <= len(data.test_images) <= 15
    assert data.test_labels is not None
    np.testing.assert_array_equal(data.test_images[:, 0, 0, 0] % 2, data.test_labels)


def test_withheld_test_labels_are_none(tmp_path: Path) -> None:
    write_parquet(tmp_path / "set" / "train.parquet", [1, 2], [0, 1])
    write_parquet(tmp_path / "set" / "test.parquet", [3], [-1])
    data = in_memory(f"parquet:{tmp_path / 'set'}", root=tmp_path)
    assert data.train_labels is not None
    assert data.test_labels is None


def test_changed_parquet_is_read_again(tmp_path: Path) -> None:
    for colors in ([1, 2], [1, 2, 5]):
        write_parquet(tmp_path / "set" / "train.parquet", colors, None)
        write_parquet(tmp_path / "set" / "test.parquet", [3], None)
        assert values(in_memory(f"parquet:{tmp_path / 'set'}", root=tmp_path).train_images) == colors


def test_missing_bytes_are_a_broken_image_named_by_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_images, "BATCH_ROWS", 1)
    column = pa.array([encoded(7), {"bytes": None, "path": "elsewhere.png"}])
    (tmp_path / "set").mkdir()
    pq.write_table(pa.table({"image": column}), tmp_path / "set" / "train.parquet")
    write_parquet(tmp_path / "set" / "test.parquet", [3], None)
    data = in_memory(f"parquet:{tmp_path / 'set'}", root=tmp_path, on_broken="skip")
    assert data.broken == ("train.parquet#1",)
    assert values(data.train_images) == [7]


def test_parquet_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must be a Parquet file or a folder of them, but there is none"):
        load_data(f"parquet:{tmp_path}", root=tmp_path)
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"must have one image column .*, but has 0 among text"):
        load_data(f"parquet:{tmp_path}", root=tmp_path)
    (tmp_path / "a.parquet").write_text("no parquet at all")
    with pytest.raises(DataError, match="Parquet magic bytes not found"):
        load_data(f"parquet:{tmp_path}", root=tmp_path)
