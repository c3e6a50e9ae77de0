"""The images, labels and splits of a folder of images, or of Parquet files.

Both kinds list their images in the order of a hash of each image's name. So the first images, however many,
are a fair sample of the classes, and an image that is added later does not change the order of the others.

Shape suffixes: N images.
"""

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from byol.config import OnBroken
from byol.data.decoding import DataError, EncodedImages, Labels, Pixels, decode_all
from byol.data.folder_walk import EXTENSIONS, check_held_out, walk
from byol.data.parquet_images import ArrowImages, import_parquet

TEST_SHARE = 0.1
"""Share of the images that becomes the test split if the source has none."""


@dataclass(frozen=True, kw_only=True)
class FolderImages:
    """Image files below a folder, as EncodedImages."""

    root: Path
    """The folder."""
    names_N: npt.NDArray[np.bytes_]
    """Paths relative to it, encoded: a plain array, which forked workers share without copying."""

    def __len__(self) -> int:
        return len(self.names_N)

    def name(self, index: int) -> str:
        """Path of an image, relative to the folder."""
        return os.fsdecode(bytes(self.names_N[index]))

    def size(self, index: int) -> int:
        """Bytes of the encoded image; 0 of a link that leads nowhere."""
        path = self.root / self.name(index)
        return path.stat().st_size if path.is_file() else 0

    def open(self, index: int) -> Image.Image:
        """The image with its header read, its pixels not yet.

        Raises:
            OSError: it is no image, or no file: a pipe would let the reader wait for ever.
        """
        path = self.root / self.name(index)
        if not path.is_file():
            raise OSError(f"{path}: must be a file")
        return Image.open(path)

    def take(self, indices_N: npt.NDArray[np.int64]) -> "FolderImages":
        """The images at these indices, in this order."""
        return replace(self, names_N=self.names_N[indices_N])


@dataclass(frozen=True, kw_only=True)
class EncodedSplit:
    """Encoded images with their labels."""

    images: EncodedImages
    """The images."""
    labels: Labels | None
    """int64 [N], or None where there are none."""

    def take(self, indices_N: npt.NDArray[np.int64]) -> "EncodedSplit":
        """The images at these indices, in this order."""
        labels = None if self.labels is None else self.labels[indices_N]
        return EncodedSplit(images=self.images.take(indices_N), labels=labels)


@dataclass(frozen=True, kw_only=True)
class EncodedSet:
    """The two splits of a source."""

    train: EncodedSplit
    """Training images."""
    test: EncodedSplit
    """Test images."""
    classes: tuple[str, ...] | None
    """Names of the labels, or None where there are none."""


def list_folder(path: Path) -> EncodedSet:
    """Lists a folder of images.

    Splits: `train/` and `test/` or `val/` below it (the first that has class folders, if `train/` has them);
    without them, a tenth of all images becomes the test split, chosen by a hash of their paths.
    Labels: the sub-folders of a split are its classes. A split with none, or with only one, has no labels.

    Raises:
        DataError: no such folder, no images, images beside class folders, other classes in the test split,
            too few images for a test split, or a folder or test image that links make another one too.
    """
    if not path.is_dir():
        raise DataError(f"{path}: must be a folder of images, but there is none")
    has_train = (path / "train").is_dir()
    train, classes, has_links = _list_split(path / "train" if has_train else path)
    test_folders = [path / name for name in ("test", "val") if has_train and (path / name).is_dir()]
    candidates = [_list_split(folder) for folder in test_folders]
    if not candidates:
        split = _split_by_name(path, train, classes)
        return _without_shared_files(split) if has_links else split
    fitting = [split for split in candidates if (split[1] is None) == (classes is None)]
    test, test_classes, test_has_links = (fitting or candidates)[0]
    if classes and test_classes and test.labels is not None:
        unknown = sorted(set(test_classes) - set(classes))
        if unknown:
            raise DataError(f"{path}: the test classes must be in train/ too, but {unknown[0]!r} is not")
        test = replace(test, labels=np.array([classes.index(name) for name in test_classes])[test.labels])
    split = EncodedSet(train=train, test=test, classes=classes)
    return _without_shared_files(split) if has_links or test_has_links else split


def _without_shared_files(split: EncodedSet) -> EncodedSet:
    """The set, of which no link puts a file into both splits."""
    train, test = (
        (part.images.root, [part.images.name(index) for index in range(len(part.images))])
        for part in (split.train, split.test)
        if isinstance(part.images, FolderImages)
    )
    check_held_out(train, test)
    return split


def _list_split(folder: Path) -> tuple[EncodedSplit, tuple[str, ...] | None, bool]:
    """The images below a folder with their labels, the names of their classes, and whether it has links."""
    names, has_links = walk(folder)
    if not names:
        raise DataError(f"{folder}: must hold images ({', '.join(EXTENSIONS)}), but holds none")
    names.sort(key=name_hash)
    images = FolderImages(root=folder, names_N=np.array([os.fsencode(name) for name in names]))
    outside = [name for name in names if "/" not in name]
    classes = tuple(sorted({name.partition("/")[0] for name in names if "/" in name}))
    if outside and classes:
        rule = "images must be either all in class folders or all outside them"
        raise DataError(f"{folder}: {rule}, but {min(outside)} is beside {classes[0]}/")
    if len(classes) < 2:
        return EncodedSplit(images=images, labels=None), None, has_links
    label_of = {name: label for label, name in enumerate(classes)}
    labels_N = np.array([label_of[name.partition("/")[0]] for name in names])
    return EncodedSplit(images=images, labels=labels_N), classes, has_links


def list_parquet(path: Path, cache: Path) -> EncodedSet:
    """Lists Parquet files in the Hugging Face image layout; see parquet_images.py.

    The encoded images are copied once into an Arrow file in `cache`, from which, unlike from Parquet, a
    single image can be read without its neighbours.

    Raises:
        DataError: no such file, another layout, no training images, or too few images for a test split.
    """
    source = import_parquet(path, cache)
    order_N = np.array(sorted(range(len(source.names)), key=lambda row: name_hash(source.names[row])))
    images = ArrowImages(path=source.path, rows_N=order_N)
    labels = None if source.labels is None else source.labels[order_N]
    all_images = EncodedSplit(images=images, labels=labels)
    is_test_N = source.is_test[order_N]
    if not is_test_N.any():
        return _split_by_name(path, all_images, source.classes)
    train, test = (all_images.take(np.flatnonzero(mask_N)) for mask_N in (~is_test_N, is_test_N))
    if len(train.images) == 0:
        raise DataError(f"{path}: must hold training images, but all files are named as test files")
    return EncodedSet(
        train=_without_withheld_labels(train), test=_without_withheld_labels(test), classes=source.classes
    )


def _without_withheld_labels(split: EncodedSplit) -> EncodedSplit:
    """A split without labels if one of them is -1, which the Hugging Face hub writes for withheld labels."""
    are_withheld = split.labels is not None and bool((split.labels < 0).any())
    return replace(split, labels=None) if are_withheld else split


def _split_by_name(path: Path, all_images: EncodedSplit, classes: tuple[str, ...] | None) -> EncodedSet:
    """Makes a test split of the images whose names hash into the lowest tenth."""
    names = [all_images.images.name(index) for index in range(len(all_images.images))]
    is_test_N = np.array([name_hash(name) < TEST_SHARE * 2**64 for name in names])
    if is_test_N.all() or not is_test_N.any():
        rule = "must have a test split (docs/data.md), or more images to take one from"
        raise DataError(f"{path}: {rule}, but has {len(names)}")
    train, test = (all_images.take(np.flatnonzero(mask_N)) for mask_N in (~is_test_N, is_test_N))
    return EncodedSet(train=train, test=test, classes=classes)


def name_hash(name: str) -> int:
    """A 64-bit hash of a name, the same on every machine."""
    return int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:8], "big")


def decode_split(
    name: str, split: EncodedSplit, channels: int, side: int, on_broken: OnBroken
) -> tuple[Pixels, Labels | None, tuple[str, ...]]:
    """Decodes a split.

    Args:
        name: of the source, for messages.
        split: the encoded images.
        channels: 1 or 3.
        side: of the decoded images, in pixels.
        on_broken: what to do about images that cannot be read.

    Returns:
        Pixels and labels of the images that can be read, and the names of those that cannot.

    Raises:
        DataError: images are broken and `on_broken` is "fail", or all images are.
    """
    pixels_NCHW, broken_N = decode_all(split.images, channels, side)
    broken = tuple(split.images.name(int(index)) for index in np.flatnonzero(broken_N))
    if broken and (on_broken == "fail" or len(broken) == len(pixels_NCHW)):
        examples = ", ".join(broken[:3]) + (", ..." if len(broken) > 3 else "")
        raise DataError(f"{name}: {len(broken)} of {len(pixels_NCHW)} images cannot be read: {examples}")
    if broken:
        pixels_NCHW = pixels_NCHW[~broken_N]
    return pixels_NCHW, None if split.labels is None else split.labels[~broken_N], broken
