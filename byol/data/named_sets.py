"""The data sets known by name: the embedded one, and those that torchvision downloads.

Shape suffixes: N images, C channels, H height, W width, K classes.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from byol.config import NAMED_SETS
from byol.data.decoding import DataError, Labels, Pixels

ASSETS = Path(__file__).parent / "assets"

FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
"""Names of the labels of Fashion-MNIST (arXiv 1708.07747, table 2)."""


@dataclass(frozen=True, kw_only=True)
class NamedSet:
    """A complete set, as its source has it."""

    train_images: Pixels
    """uint8 [N, C, H, W]."""
    train_labels: Labels | None
    """int64 [N], or None where there are none."""
    test_images: Pixels
    """uint8 [N, C, H, W]."""
    test_labels: Labels | None
    """int64 [N], or None where there are none."""
    classes: tuple[str, ...] | None
    """Names of the labels; None if they have none."""
    bank_images: Pixels | None = None
    """Labelled images for kNN, if the training images have no labels."""
    bank_labels: Labels | None = None
    """int64 [N]: their labels."""


def read_named_set(name: str, root: Path) -> NamedSet:
    """Reads a set; torchvision first downloads it into `root` if it is not there.

    Args:
        name: one of NAMED_SETS.
        root: the folder of downloads.

    Raises:
        DataError: a damaged file, or a download that failed.
    """
    assert name in NAMED_SETS
    if name == "fashion-mnist-8k":
        return _embedded()
    if name == "fashion-mnist-8k-coloured":
        return _coloured(_embedded())
    try:
        return _from_torchvision(name, root)
    except (OSError, RuntimeError, ValueError, AssertionError) as error:
        # No network, no space, a wrong checksum; a damaged file may give no more than a failed assertion.
        reason = " ".join(str(error).split()) or "a damaged file"
        raise DataError(f"{name}: must be in {root} or downloadable, but got: {reason}") from error


def _embedded() -> NamedSet:
    train_images, train_labels = _embedded_split("train")
    test_images, test_labels = _embedded_split("test")
    return NamedSet(
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        classes=FASHION_CLASSES,
    )


def _embedded_split(split: str) -> tuple[Pixels, Labels]:
    """A split of the embedded set, in the order class 0, 1, ..., 9, 0, ...: ten images hold ten classes."""
    path = ASSETS / f"fashion-mnist-8k-{split}.png"
    lines = (ASSETS / "fashion-mnist-8k.sha256").read_text().splitlines()
    expected = {name: digest for digest, name in (line.split() for line in lines)}[path.name]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != expected:
        raise DataError(f"{path}: sha256 must be {expected}, but got {digest}; restore the file")
    side, classes = 28, len(FASHION_CLASSES)
    with Image.open(path) as image:
        sheet_HW = np.asarray(image)
    tiles = sheet_HW.reshape(-1, side, sheet_HW.shape[1] // side, side).transpose(0, 2, 1, 3)
    images_KNHW = tiles.reshape(classes, -1, side, side)
    images_NCHW = images_KNHW.swapaxes(0, 1).reshape(-1, 1, side, side)
    return images_NCHW, np.arange(len(images_NCHW)) % classes


def _coloured(gray: NamedSet) -> NamedSet:
    """Each image with a foreground and a background colour of its own, which say nothing about its class.

    Both views of an image share its colours, so a learner can tell images apart by them alone: a shortcut.
    """
    train_generator, test_generator = (np.random.default_rng([0, split]) for split in (0, 1))
    return replace(
        gray,
        train_images=coloured(gray.train_images, train_generator),
        test_images=coloured(gray.test_images, test_generator),
    )


def coloured(images_N1HW: Pixels, generator: np.random.Generator) -> Pixels:
    """Gray images between two random colours each, uniform in the RGB cube: black becomes the first.

    Args:
        images_N1HW: uint8.
        generator: draws the colours, image by image.

    Returns:
        uint8 [N, 3, H, W].

    >>> black_and_white = np.array([0, 255], dtype=np.uint8).reshape(1, 1, 1, 2)
    >>> coloured(black_and_white, np.random.default_rng(0))[0, :, 0].T
    array([[130, 217, 235],
           [163, 215, 130]], dtype=uint8)
    """
    colours_N2C11 = generator.integers(0, 256, (len(images_N1HW), 2, 3, 1, 1), dtype=np.uint16)
    share_N1HW = images_N1HW.astype(np.uint16)
    background, foreground = colours_N2C11[:, 0], colours_N2C11[:, 1]
    mixed_NCHW = (background * (255 - share_N1HW) + foreground * share_N1HW + 127) // 255
    return mixed_NCHW.astype(np.uint8)


def _from_torchvision(name: str, root: Path) -> NamedSet:
    from torchvision.datasets import CIFAR10, CIFAR100, STL10, FashionMNIST

    if name.startswith("stl10"):
        train, test = (STL10(root, split=split, download=True) for split in ("train", "test"))
        unlabelled = STL10(root, split="unlabeled", download=True) if name == "stl10-unlabelled" else None
    else:
        reader = {"fashion-mnist": FashionMNIST, "cifar10": CIFAR10, "cifar100": CIFAR100}[name]
        train, test = (reader(root, train=is_train, download=True) for is_train in (True, False))
        unlabelled = None
    return NamedSet(
        train_images=_pixels(unlabelled or train),
        train_labels=None if unlabelled else _labels(train),
        test_images=_pixels(test),
        test_labels=_labels(test),
        classes=tuple(train.classes),
        bank_images=_pixels(train) if unlabelled else None,
        bank_labels=_labels(train) if unlabelled else None,
    )


def _pixels(dataset: Any) -> Pixels:
    """Images of a torchvision set as [N, C, H, W]; Fashion-MNIST has NHW, CIFAR NHWC, STL-10 NCHW."""
    images: npt.NDArray[np.uint8] = np.asarray(dataset.data)
    if images.ndim == 3:
        return images[:, None]
    return np.ascontiguousarray(images if images.shape[1] == 3 else images.transpose(0, 3, 1, 2))


def _labels(dataset: Any) -> Labels:
    labels = (
        dataset.labels if hasattr(dataset, "labels") else dataset.targets
    )  # STL-10 differs from the others
    return np.asarray(labels).astype(np.int64)
