import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from byol.data import DataError, ImageData, StreamedImages, load_data
from byol.data.load import channel_statistics, digest_of, training_subset
from tests.byol.data.image_sources import in_memory, save


def test_loading_the_embedded_set_does_not_import_torch() -> None:
    code = "import sys, byol.data; byol.data.load_data('fashion-mnist-8k'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("fashion-mnist-8", "fashion-mnist-8k"),
        ("cifar-100", "cifar100"),
        ("stl10-unlabeled", "stl10-unlabelled"),
        ("foldr:here", "folder"),
    ],
)
def test_unknown_set_names_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(DataError, match=f'.did you mean "{nearest}".., but got {name!r}'):
        load_data(name)


def test_fewer_training_images_are_part_of_more() -> None:
    few = in_memory("fashion-mnist-8k", train_images=100)
    more = in_memory("fashion-mnist-8k", train_images=300)
    assert len(few.train_images) == 100
    np.testing.assert_array_equal(few.train_images, more.train_images[:100])
    assert few.train_labels is not None
    assert len(set(few.train_labels)) == 10
    assert few.digest != more.digest
    assert few.digest == in_memory("fashion-mnist-8k", train_images=100).digest


def test_all_training_images_keep_their_order() -> None:
    assert training_subset(5, 0, "x").tolist() == [0, 1, 2, 3, 4]


def test_more_training_images_than_there_are() -> None:
    with pytest.raises(
        DataError, match="train_images: must be at most 8000 for fashion-mnist-8k, but got 9000"
    ):
        load_data("fashion-mnist-8k", train_images=9000)


def test_channel_statistics_equal_numpy() -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 3, 5, 6), np.uint8)
    mean, std = channel_statistics(images)
    np.testing.assert_allclose(mean, (images / 255).mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, (images / 255).std(axis=(0, 2, 3)), rtol=1e-12)


def test_digest_sees_values_shapes_types_and_absence() -> None:
    base = np.arange(6, dtype=np.uint8)
    changed = base.copy()
    changed[5] = 0
    variants: list[tuple[npt.NDArray[Any] | None, ...]] = [
        (base,), (changed,), (base.reshape(2, 3),), (base.astype(np.int8),), (base, None), (None, base),
    ]  # fmt: skip
    assert len({digest_of(*arrays) for arrays in variants}) == len(variants)


@pytest.mark.parametrize("image_size", [4, 512])
def test_too_large_for_memory_is_streamed(tmp_path: Path, image_size: int) -> None:
    for index in range(20):
        save(tmp_path / f"{index}.png", index, (16, 8 + index))  # 5,600 bytes as they are
    data = load_data(f"folder:{tmp_path}", image_size=image_size, memory_limit=6000, evaluation_limit=5)
    if image_size == 4:
        assert isinstance(data, ImageData)
    else:
        assert isinstance(data, StreamedImages), "counted as they would be in memory"
        assert data.bank_images.shape == (5, 3, 512, 512)
    streamed = load_data(f"folder:{tmp_path}", image_size=image_size, memory_limit=5000, evaluation_limit=5)
    assert isinstance(streamed, StreamedImages), "counted at their own sizes"
