"""Raw pixels and chance: problems whose answer is known, and the same numbers as from all images at once."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
import torch

from byol.data import ImageData, load_data
from byol.errors import ConfigError
from byol.measure import baselines as module
from byol.measure.baselines import Baselines, baselines
from byol.measure.knn import knn_accuracy
from byol.views import clean_view

Pixels = npt.NDArray[np.uint8]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    # The order of a sum depends on the number of threads.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def blobs(labels: npt.NDArray[np.int64], *, noise: float, seed: int, channels: int = 1) -> Pixels:
    """Images [N, channels, 12, 12] with a bright quarter that tells the class (0 to 3), and noise."""
    generator = np.random.default_rng(seed)
    images = generator.normal(100, noise, (len(labels), channels, 12, 12))
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[:, 6 * row : 6 * row + 6, 6 * column : 6 * column + 6] += 60
    return images.clip(0, 255).astype(np.uint8)


def blob_data(*, noise: float = 10.0, channels: int = 1) -> ImageData:
    train_labels = np.arange(300) % 4
    test_labels = np.array([0] * 30 + [1, 2, 3] * 10)
    return ImageData(
        name="blobs",
        train_images=blobs(train_labels, noise=noise, seed=0, channels=channels),
        train_labels=train_labels,
        test_images=blobs(test_labels, noise=noise, seed=1, channels=channels),
        test_labels=test_labels,
        classes=("a", "b", "c", "d"),
        mean=(0.45,) * channels,
        std=(0.2,) * channels,
        digest="",
    )


def test_separable_blobs_are_told_apart_and_chance_is_the_most_frequent_class() -> None:
    result = baselines(blob_data(), image_size=12, k=20, temperature=0.1)
    assert result == Baselines(pixels=1.0, chance=0.5, test_images=60)


def test_labels_that_the_pixels_do_not_tell_give_an_accuracy_near_chance() -> None:
    data = blob_data()
    drawn = np.random.default_rng(2).integers(4, size=300)
    result = baselines(dataclasses.replace(data, train_labels=drawn), image_size=12, k=1, temperature=0.1)
    assert result.pixels is not None
    assert 0.05 < result.pixels < 0.5


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("block_bytes", [4 * 8 * 8 * 3 * 7, 4 * 8 * 8 * 3 * 50, 2**26])
def test_blocks_of_any_size_give_the_number_of_all_images_at_once(
    channels: int, block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = blob_data(noise=250 * channels**0.5, channels=channels)
    bank, test = (
        clean_view(torch.from_numpy(images), size=8, mean=data.mean, std=data.std).flatten(1)
        for images in (data.train_images, data.test_images)
    )
    bank_labels, test_labels = (torch.from_numpy(np.array(x)) for x in (data.train_labels, data.test_labels))
    whole = knn_accuracy(bank, bank_labels, test, test_labels, k=30, temperature=0.1)
    assert 0.4 < whole < 0.95  # so that a wrong neighbour shows
    monkeypatch.setattr(module, "_BLOCK_BYTES", block_bytes)
    assert baselines(data, image_size=8, k=30, temperature=0.1).pixels == whole


def test_neighbours_come_from_the_bank_where_a_set_has_one() -> None:
    data = blob_data()
    unlabelled = dataclasses.replace(
        data,
        train_images=data.test_images[:0],
        train_labels=None,
        bank_images=data.train_images,
        bank_labels=data.train_labels,
    )
    assert baselines(unlabelled, image_size=12, k=20, temperature=0.1).pixels == 1.0


def test_without_labels_there_is_no_baseline() -> None:
    no_labels = dataclasses.replace(blob_data(), train_labels=None, test_labels=None)
    assert baselines(no_labels, image_size=12, k=20, temperature=0.1) == Baselines(
        pixels=None, chance=None, test_images=60
    )
    no_bank = dataclasses.replace(blob_data(), train_labels=None)
    assert baselines(no_bank, image_size=12, k=20, temperature=0.1) == Baselines(
        pixels=None, chance=0.5, test_images=60
    )


def test_too_many_neighbours_are_refused() -> None:
    with pytest.raises(
        ConfigError, match="knn_k: must not exceed the 300 labelled images of blobs, but got 301"
    ):
        baselines(blob_data(), image_size=12, k=301, temperature=0.1)


@pytest.mark.timeout(60)
def test_raw_pixels_of_the_embedded_set() -> None:
    """Measured independently, 2026-11-24: .822."""
    result = baselines(load_data("fashion-mnist-8k"), image_size=20, k=20, temperature=0.1)
    assert result.pixels == pytest.approx(0.82, abs=0.01)
    assert (result.chance, result.test_images) == (0.1, 2000)
