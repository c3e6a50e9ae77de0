"""Images by name, in memory or as a stream: `load_data("fashion-mnist-8k")`, or `load_data("folder:photos")`.

Imports no torch, unless torchvision reads the set.

Shape suffixes: N images, C channels, H height, W width.
"""

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from byol.config import NAMED_SETS, OnBroken, check_dataset
from byol.data.decoding import DataError, EncodedImages, Labels, Pixels, survey
from byol.data.image_files import EncodedSet, decode_split, list_folder, list_parquet
from byol.data.named_sets import NamedSet, read_named_set
from byol.data.own_data import read_own_set
from byol.errors import ConfigError
from byol.own_parts import is_own, parse_call

MEMORY_LIMIT = 2 * 2**30
"""Bytes of decoded images (2 GiB) above which a folder or Parquet source is streamed."""

EVALUATION_LIMIT = 5000
"""Test images, and training images for kNN, of a streamed set in memory: 0.75 GB each at 224 pixels."""


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """What a data set in memory and a streamed one have in common."""

    name: str
    """The source as the caller named it, such as `fashion-mnist-8k` or `folder:flowers`."""
    train_labels: Labels | None
    """int64 [N], or None where there are none: kNN accuracy is then null."""
    test_images: Pixels
    """uint8 [N, C, H, W]: the images on which everything is measured. Any first part is a fair sample."""
    test_labels: Labels | None
    """int64 [N], or None where there are none."""
    classes: tuple[str, ...] | None
    """Names of the labels 0, 1, ..."""
    mean: tuple[float, ...]
    """Mean of each channel over the training images, or over the bank of a streamed set; scaled to 0..1."""
    std: tuple[float, ...]
    """Standard deviation of each channel over the same images, on the same scale."""
    digest: str
    """sha256, in hex, of all images and labels: what a sweep's manifest records. Of streamed training images,
    it covers names and encoded sizes instead of pixels."""
    bank_labels: Labels | None = None
    """int64 [N]: labels of the bank images; None is the training labels."""
    broken: tuple[str, ...] = ()
    """Names of the images that could not be read and were left out."""


@dataclass(frozen=True, kw_only=True)
class ImageData(DataSet):
    """A data set in memory, as bytes."""

    train_images: Pixels
    """uint8 [N, C, H, W], C 1 (gray) or 3."""
    bank_images: Pixels | None = None
    """The labelled images among which kNN looks up neighbours; None is the training images."""


@dataclass(frozen=True, kw_only=True)
class StreamedImages(DataSet):
    """A data set too large for memory: training images stay encoded on disk, to be read by streaming.py.

    Test and bank images are in memory, [N, 3, image_size, image_size], at most `evaluation_limit` of each.
    """

    train_images: EncodedImages
    """The encoded images: N of them, read as three channels."""
    bank_images: Pixels
    """The first training images: a fair sample, among which kNN looks up neighbours."""
    on_broken: OnBroken
    """What streaming does about a training image that cannot be read."""


Images: TypeAlias = ImageData | StreamedImages


def labelled_bank(data: Images) -> tuple[Pixels, Labels] | None:
    """The images among which kNN looks up neighbours, with their labels; None if there are no labels."""
    images = data.bank_images
    if images is None:
        assert isinstance(data, ImageData), "a streamed set has a bank"
        images = data.train_images
    labels = data.train_labels if data.bank_labels is None else data.bank_labels
    return None if labels is None else (images, labels)


def load_data(
    dataset: str,
    *,
    root: Path | None = None,
    train_images: int = 0,
    image_size: int = 224,
    on_broken: OnBroken = "fail",
    memory_limit: int = MEMORY_LIMIT,
    evaluation_limit: int = EVALUATION_LIMIT,
) -> Images:
    """Loads a named set, a folder of images, Parquet files or a data set of your own (docs/data.md).

    Named sets and your own are loaded into memory. Folders and Parquet files are too, unless their decoded
    images take more than `memory_limit`, at their own sizes or as loaded: if all are squares of one size they
    keep it, otherwise the shorter side is resized to `image_size` and the centre cut out.

    Args:
        dataset: one of NAMED_SETS, `folder:PATH`, `parquet:PATH`, or `MODULE:NAME`, with settings as
            `byol.own_parts.call_text` writes them.
        root: folder of downloads and Arrow files; None is `data` in the working directory.
        train_images: how many training images to use, the first of a fixed permutation; 0 is all.
        image_size: in pixels, as above. Named sets keep their own.
        on_broken: what to do about images that cannot be read.
        memory_limit: in bytes; 0 streams any folder or Parquet source.
        evaluation_limit: most test images, and most bank images, of a streamed set in memory.

    Raises:
        DataError: an unknown name, a damaged file, no such folder, broken images, a failed download, or fewer
            training images than `train_images`.

    >>> data = load_data("fashion-mnist-8k", train_images=500)
    >>> data.train_images.shape, data.test_images.shape, data.classes[9]
    ((500, 1, 28, 28), (2000, 1, 28, 28), 'Ankle boot')
    """
    root = root or Path("data")
    name, settings = parse_call(dataset)
    try:
        check_dataset(name)
    except ConfigError as error:
        raise DataError(str(error)) from None
    if name in NAMED_SETS:
        return _complete(name, read_named_set(name, root), train_images)
    if is_own(name):
        return _complete(dataset, read_own_set(name, settings), train_images)
    source = _listed(dataset, root, train_images)
    shape = _shape_in_memory(source, image_size, memory_limit)
    if shape is None:
        return _streamed(dataset, source, image_size, on_broken, evaluation_limit)
    return _in_memory(dataset, source, *shape, on_broken)


def _complete(name: str, source: NamedSet, train_images: int) -> ImageData:
    available = len(source.train_images)
    # A slice where all are used: no copy of the 2.8 GB of stl10-unlabelled.
    subset = training_subset(available, train_images, name) if train_images else slice(None)
    images = source.train_images[subset]
    labels = None if source.train_labels is None else source.train_labels[subset]
    mean, std = channel_statistics(images)
    return ImageData(
        name=name,
        train_images=images,
        train_labels=labels,
        test_images=source.test_images,
        test_labels=source.test_labels,
        classes=source.classes,
        mean=mean,
        std=std,
        digest=digest_of(
            images,
            labels,
            source.test_images,
            source.test_labels,
            source.bank_images,
            source.bank_labels,
        ),
        bank_images=source.bank_images,
        bank_labels=source.bank_labels,
    )


def _listed(dataset: str, root: Path, train_images: int) -> EncodedSet:
    """The images of a folder or of Parquet files, still encoded."""
    kind, _, location = dataset.partition(":")
    path = Path(location).expanduser()
    source = list_folder(path) if kind == "folder" else list_parquet(path, root / "parquet")
    subset_N = training_subset(len(source.train.images), train_images, dataset)
    return replace(source, train=source.train.take(subset_N))


def _shape_in_memory(source: EncodedSet, image_size: int, memory_limit: int) -> tuple[int, int] | None:
    """Channels and side of the images in memory; None if they take more than `memory_limit` bytes."""
    train, test = (survey(split.images, memory_limit) for split in (source.train, source.test))
    channels = 1 if train.is_gray and test.is_gray else 3
    sizes = train.sizes | test.sizes
    are_squares_of_one_size = len(sizes) == 1 and all(height == width for height, width in sizes)
    side = min(sizes)[0] if are_squares_of_one_size else image_size
    bytes_at_own_sizes = train.decoded_bytes + test.decoded_bytes
    bytes_as_loaded = (len(source.train.images) + len(source.test.images)) * channels * side**2
    return None if max(bytes_at_own_sizes, bytes_as_loaded) > memory_limit else (channels, side)


def _in_memory(name: str, source: EncodedSet, channels: int, side: int, on_broken: OnBroken) -> ImageData:
    train, train_labels, train_broken = decode_split(name, source.train, channels, side, on_broken)
    test, test_labels, test_broken = decode_split(name, source.test, channels, side, on_broken)
    mean, std = channel_statistics(train)
    return ImageData(
        name=name,
        train_images=train,
        train_labels=train_labels,
        test_images=test,
        test_labels=test_labels,
        classes=source.classes,
        mean=mean,
        std=std,
        digest=digest_of(train, train_labels, test, test_labels),
        broken=train_broken + test_broken,
    )


def _streamed(
    name: str, source: EncodedSet, side: int, on_broken: OnBroken, evaluation_limit: int
) -> StreamedImages:
    bank_split, test_split = (
        split.take(np.arange(min(evaluation_limit, len(split.images))))
        for split in (source.train, source.test)
    )
    bank, bank_labels, bank_broken = decode_split(name, bank_split, 3, side, on_broken)
    test, test_labels, test_broken = decode_split(name, test_split, 3, side, on_broken)
    mean, std = channel_statistics(bank)
    images = source.train.images
    listing = "".join(f"{images.name(index)} {images.size(index)}\n" for index in range(len(images)))
    return StreamedImages(
        name=name,
        train_images=images,
        train_labels=source.train.labels,
        test_images=test,
        test_labels=test_labels,
        classes=source.classes,
        mean=mean,
        std=std,
        digest=digest_of(
            np.frombuffer(os.fsencode(listing), np.uint8),
            source.train.labels,
            bank,
            bank_labels,
            test,
            test_labels,
        ),
        bank_images=bank,
        bank_labels=bank_labels,
        broken=bank_broken + test_broken,
        on_broken=on_broken,
    )


def training_subset(available: int, count: int, name: str) -> npt.NDArray[np.int64]:
    """Indices of the training images to use: the first `count` of a fixed permutation, or all in their order.

    The permutation does not depend on the seed, so that trials which differ in their seed train on the same
    images; and a smaller subset is part of every larger one.

    Args:
        available: number of training images.
        count: how many to use; 0 is all.
        name: of the source, for messages.

    Raises:
        DataError: there are fewer.
    """
    if count > available:
        raise DataError(f"train_images: must be at most {available} for {name}, but got {count}")
    if count == 0:
        return np.arange(available)
    return np.random.default_rng(0).permutation(available)[:count]


def channel_statistics(images_NCHW: Pixels) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over all pixels, scaled to 0..1."""
    values = np.arange(256) / 255
    means, stds = [], []
    for channel in range(images_NCHW.shape[1]):  # from a histogram, to avoid a float copy of the images
        counts = sum(np.bincount(image.ravel(), minlength=256) for image in images_NCHW[:, channel])
        shares = counts / np.sum(counts)
        mean = float(shares @ values)
        means.append(mean)
        stds.append(float(np.sqrt(shares @ (values - mean) ** 2)))
    return tuple(means), tuple(stds)


def digest_of(*arrays: npt.NDArray[np.generic] | None) -> str:
    """sha256, in hex, of the arrays' types, shapes and contents; None differs from an empty array."""
    digest = hashlib.sha256()
    for array in arrays:
        if array is None:
            digest.update(b"none")
            continue
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    return digest.hexdigest()
