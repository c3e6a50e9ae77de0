"""Named image sources, as arrays: `load_data("fashion-mnist-8k")`.

Shape suffixes: N images, C channels, H height, W width, K classes.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from byol.config import nearest

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

ASSETS = Path(__file__).parent / "assets"
NAMED_SETS = ("fashion-mnist-8k",)


class DataError(ValueError):
    """An image source that cannot be used as asked; `str(error)` is one line: place, rule, value."""


@dataclass(frozen=True, kw_only=True)
class ImageData:
    """A data set held in memory as bytes."""

    name: str
    """The source as it was asked for, such as `fashion-mnist-8k` or `folder:flowers`."""
    train_images: Pixels
    """uint8 [N, C, H, W], C 1 (gray) or 3."""
    train_labels: Labels | None
    """int64 [N], or None where there are none: kNN accuracy is then null."""
    test_images: Pixels
    """uint8 [N, C, H, W]: the images on which everything is measured. Any first part is a fair sample."""
    test_labels: Labels | None
    """int64 [N], or None."""
    classes: tuple[str, ...] | None
    """Names of the labels 0, 1, ..."""
    mean: tuple[float, ...]
    """Mean of each channel over the training images, scaled to 0..1."""
    std: tuple[float, ...]
    """Standard deviation of each channel, likewise."""
    digest: str
    """sha256, in hex, of all arrays above: what a sweep's manifest records."""
    bank_images: Pixels | None = None
    """The labelled images among which kNN looks up neighbours; None is the training images."""
    bank_labels: Labels | None = None
    """int64 [N]; None is the training labels."""
    broken: tuple[str, ...] = ()
    """Names of the images that could not be read and were left out (`on_broken="skip"`)."""


def load_data(dataset: str, *, root: Path | None = None, train_images: int = 0) -> ImageData:
    """Loads a data set.

    Args:
        dataset: A named set.
        root: Where downloaded sets are kept; None is `data` in the working directory.
        train_images: How many training images to keep, the first of a fixed permutation; 0 keeps all.

    Raises:
        DataError: for an unknown name, a damaged file, or more training images than there are.
    """
    if dataset != "fashion-mnist-8k":
        rule = f"dataset must be one of {', '.join(NAMED_SETS)}, folder:PATH or parquet:PATH"
        raise DataError(f"{rule}, but got {dataset!r}{nearest(dataset, NAMED_SETS)}")
    train, train_labels = _embedded("train")
    test, test_labels = _embedded("test")
    kept = chosen(len(train), train_images, dataset)
    train, train_labels = train[kept], train_labels[kept]
    mean, std = channel_statistics(train)
    return ImageData(
        name=dataset,
        train_images=train,
        train_labels=train_labels,
        test_images=test,
        test_labels=test_labels,
        classes=FASHION_CLASSES,
        mean=mean,
        std=std,
        digest=digest_of(train, train_labels, test, test_labels),
    )


FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
"""Names of the labels (Xiao, Rasul and Vollgraf 2017, table 2)."""


def _embedded(split: str) -> tuple[Pixels, Labels]:
    """A split of the embedded set, in the order class 0, 1, ..., 9, 0, 1, ...: any tenfold is balanced."""
    path = ASSETS / f"fashion-mnist-8k-{split}.png"
    lines = (ASSETS / "fashion-mnist-8k.sha256").read_text().splitlines()
    expected = {name: digest for digest, name in (line.split() for line in lines)}[path.name]
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != expected:
        raise DataError(f"{path}: sha256 must be {expected}, but got {found}; restore the file")
    side, classes = 28, len(FASHION_CLASSES)
    with Image.open(path) as image:
        sheet_HW = np.asarray(image)
    tiles = sheet_HW.reshape(-1, side, sheet_HW.shape[1] // side, side).transpose(0, 2, 1, 3)
    images_KNHW = tiles.reshape(classes, -1, side, side)
    images_NCHW = images_KNHW.swapaxes(0, 1).reshape(-1, 1, side, side)
    return images_NCHW, np.arange(len(images_NCHW)) % classes


def chosen(available: int, wanted: int, name: str) -> npt.NDArray[np.int64]:
    """Indices of the training images to keep: all in their order, or the first of a fixed permutation.

    The permutation knows no seed, so that trials which differ in their seed train on the same images, and
    a smaller choice is part of every larger one.
    """
    if wanted > available:
        raise DataError(f"train_images must be at most {available} for {name}, but got {wanted}")
    if wanted == 0:
        return np.arange(available)
    return np.random.default_rng(0).permutation(available)[:wanted]


def channel_statistics(images_NCHW: Pixels) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over all pixels, scaled to 0..1."""
    values = np.arange(256) / 255
    means, stds = [], []
    for channel in range(images_NCHW.shape[1]):  # from a histogram: no float copy of the images
        shares = np.bincount(images_NCHW[:, channel].ravel(), minlength=256) / images_NCHW[:, channel].size
        mean = float(shares @ values)
        means.append(mean)
        stds.append(float(np.sqrt(shares @ (values - mean) ** 2)))
    return tuple(means), tuple(stds)


def digest_of(*arrays: npt.NDArray[np.generic] | None) -> str:
    """sha256, in hex, of the arrays' types, shapes and contents."""
    digest = hashlib.sha256()
    for array in arrays:
        if array is None:
            digest.update(b"none")
            continue
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
