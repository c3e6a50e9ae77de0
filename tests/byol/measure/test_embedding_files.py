"""Embeddings in the three formats, and files that are refused in one line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from byol.errors import ConfigError
from byol.measure import embedding_files
from byol.measure.embedding_files import read_embeddings

Save = Callable[[Path], Path]

X = np.random.default_rng(0).normal(size=(9_000, 3)).astype(np.float32)
NAMES = np.array(["cat", "ant", "bee"])[np.arange(9_000) % 3]
CLASSES = [2, 0, 1] * 3_000


def save_npy(folder: Path) -> Path:
    np.save(folder / "run.npy", X)
    np.save(folder / "run.labels.npy", NAMES)
    return folder / "run.npy"


def save_big_endian(folder: Path) -> Path:
    np.save(folder / "run.npy", np.asfortranarray(X.astype(">f8")))
    np.save(folder / "run.labels.npy", np.array(CLASSES) * 10)
    return folder / "run.npy"


def save_lists(folder: Path) -> Path:
    table = pa.table({"label": NAMES, "embedding": [*X], "projection": [*X[:, :2]]})
    pq.write_table(table, folder / "run.parquet", row_group_size=1_000)
    return folder / "run.parquet"


def save_columns(folder: Path) -> Path:
    columns = {name: X[:, place] for place, name in enumerate(("x", "y", "z"))}
    pq.write_table(pa.table({**columns, "labels": NAMES}), folder / "run.parquet")
    return folder / "run.parquet"


def save_tensors(folder: Path) -> Path:
    x = torch.from_numpy(X)
    tensors = {"embedding": x, "projection": x[:, :2].contiguous(), "labels": torch.tensor(CLASSES)}
    save_file(tensors, folder / "run.safetensors")
    return folder / "run.safetensors"


def save_only_tensor(folder: Path) -> Path:
    save_file({"features": torch.from_numpy(X), "label": torch.tensor(CLASSES)}, folder / "run.safetensors")
    return folder / "run.safetensors"


@pytest.mark.parametrize(
    "save", [save_npy, save_big_endian, save_lists, save_columns, save_tensors, save_only_tensor]
)
def test_every_format_gives_the_same(save: Save, tmp_path: Path) -> None:
    file = read_embeddings(save(tmp_path))
    assert np.array_equal(file.representation_ND.float().numpy(), X)
    assert file.labels_N is not None
    assert file.labels_N.tolist() == CLASSES
    assert (file.projection_ND is not None) == (save in (save_lists, save_tensors))
    if file.projection_ND is not None:
        assert np.array_equal(file.projection_ND.numpy(), X[:, :2])


def test_bfloat16_and_labels_from_elsewhere(tmp_path: Path) -> None:
    save_file({"embedding": torch.ones(4, 2, dtype=torch.bfloat16)}, tmp_path / "half.safetensors")
    np.save(tmp_path / "labels.npy", [True, False, True, False])
    assert read_embeddings(tmp_path / "half.safetensors").labels_N is None
    file = read_embeddings(tmp_path / "half.safetensors", tmp_path / "labels.npy")
    assert file.representation_ND.dtype is torch.bfloat16
    assert file.labels_N is not None
    assert file.labels_N.tolist() == [1, 0, 1, 0]


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as error:
        read_embeddings(path)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message.removeprefix(str(path))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones(3), ": must have rows and dimensions: a shape [N, D], but got [3]"),
        (np.ones((0, 3)), ": must have rows and dimensions: a shape [N, D], but got [0, 3]"),
        (np.ones((3, 3), int), ": must hold float16, float32 or float64, but got 'int64'"),
        (np.ones((3, 3), complex), ": must hold float16, float32 or float64, but got 'complex128'"),
        (np.array([[None]]), "must hold an array, for nothing is unpickled"),
    ],
)
def test_arrays_that_are_no_embeddings(array: object, message: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.asarray(array), allow_pickle=True)
    assert message in refused(tmp_path / "x.npy")


@pytest.mark.parametrize("suffix", [".npy", ".parquet", ".safetensors", ".csv"])
def test_files_that_are_no_such_files(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(b"PK\3\4 rubbish")
    rule = "must end in .npy, .parquet, .safetensors" if suffix == ".csv" else "must be a readable file"
    assert rule in refused(path)
    if suffix != ".csv":
        path.unlink()
        assert "must be a readable file" in refused(path)


@pytest.mark.parametrize("save", [save_npy, save_lists, save_tensors])
def test_a_truncated_file_is_refused(save: Save, tmp_path: Path) -> None:
    path = save(tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    assert "must be a readable file" in refused(path)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"embedding": [[1.0, 2.0], [3.0]]},
            "row 1 must have as many values as row 0, 2, but got 1",
        ),
        (
            {"embedding": [[1.0, 2.0], None]},
            "embedding: row 1 must have as many values as row 0, 2, but got 'null'",
        ),
        ({"embedding": [[1.0, 2.0], [3.0, None]]}, "embedding: row 1 must have no null"),
        ({"embedding": [1.0, 2.0]}, "embedding: must be a column of lists of floats, but got 'double'"),
        ({"x": [1.0, None]}, "x: row 1 must have no null"),
        ({"x": [1.0, 2.0], "id": [1, 2]}, "id: must be a column of floats"),
        ({"x": [1.0, 2.0], "label": ["a", None]}, "label: must have a label in each row"),
        ({"x": [1.0, 2.0], "label": [0.5, 1.5]}, "labels: must be whole numbers or text, but got 'float64'"),
    ],
)
def test_tables_that_are_no_embeddings(columns: dict[str, object], message: str, tmp_path: Path) -> None:
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    assert message in refused(tmp_path / "x.parquet")


@pytest.mark.parametrize("save", [save_npy, save_lists, save_columns, save_tensors])
def test_limits_hold_before_anything_is_read(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path)
    for name, most in (("MOST_ROWS", 8_999), ("MOST_DIMENSIONS", 2), ("MOST_VALUES", 26_999)):
        with monkeypatch.context() as lower:
            lower.setattr(embedding_files, name, most)
            message = refused(path)
            assert f"{most:,}" in message
            assert "[9000, 3]" in message


def test_labels_and_projections_need_a_row_each(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "x.labels.npy", NAMES[:-1])
    with pytest.raises(ConfigError, match=r"x.labels.npy: labels: must be one for each of the 9000 rows"):
        read_embeddings(tmp_path / "x.npy")
    x = torch.from_numpy(X)
    save_file({"embedding": x, "projection": x[:5].clone()}, tmp_path / "x.safetensors")
    assert "projection: must have a row for each of the 9000" in refused(tmp_path / "x.safetensors")
    save_file({"a": x, "b": x.clone()}, tmp_path / "x.safetensors")
    assert "must hold a tensor named embedding" in refused(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.ones(4, dtype=torch.bfloat16), ": labels: must be whole numbers, but got 'BF16'"),
        (torch.ones(4).to(torch.float8_e4m3fn), ": labels: must be whole numbers, but got 'F8_E4M3'"),
        (torch.ones(4), ": labels: must be whole numbers, but got 'F32'"),
        (torch.ones(4, 2, dtype=torch.int64), ": labels: must be one for each of the 4 rows: a shape [4]"),
    ],
)
def test_a_tensor_that_is_no_labels_is_refused_by_its_header(
    labels: torch.Tensor, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file({"embedding": torch.ones(4, 2), "labels": labels}, tmp_path / "x.safetensors")
    monkeypatch.setattr(torch.Tensor, "numpy", lambda tensor: pytest.fail("the labels are read"))
    assert message in refused(tmp_path / "x.safetensors")


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.int16, torch.uint32, torch.uint64])
def test_labels_of_every_whole_type(kind: torch.dtype, tmp_path: Path) -> None:
    labels = torch.tensor([1, 0, 1, 0]).to(kind)
    save_file({"embedding": torch.ones(4, 2), "labels": labels}, tmp_path / "x.safetensors")
    found = read_embeddings(tmp_path / "x.safetensors").labels_N
    assert found is not None
    assert found.tolist() == [1, 0, 1, 0]
