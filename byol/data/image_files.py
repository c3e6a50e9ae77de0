"""What a folder of images, or Parquet files, hold: images, labels and splits.

Both kinds list their images in the order of a hash of each image's name. So any first part is a fair sample
of the classes, and an image added later moves no other one.

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
from byol.data.parquet_images import ArrowImages, import_parquet

EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""What counts as an image in a folder: torchvision's list."""

HELD_OUT = 0.1
"""Share of the images that becomes the test split where the source has none."""


@dataclass(frozen=True, kw_only=True)
class FolderImages:
    """Image files below a folder; nothing is open between calls, so it can be sent to another process."""

    root: Path
    """The folder."""
    names_N: npt.NDArray[np.bytes_]
    """Paths below it, encoded: a plain array, which forked workers share without copying it."""

    def __len__(self) -> int:
        return len(self.names_N)

    def name(self, index: int) -> str:
        """Path of an image below the folder."""
        return os.fsdecode(bytes(self.names_N[index]))

    def size(self, index: int) -> int:
        """Bytes of the encoded image."""
        return (self.root / self.name(index)).stat().st_size

    def open(self, index: int) -> Image.Image:
        """The image with its header read, its pixels not yet."""
        return Image.open(self.root / self.name(index))

    def take(self, indices_N: npt.NDArray[np.int64]) -> "FolderImages":
        """The chosen images, in the given order."""
        return replace(self, names_N=self.names_N[indices_N])


@dataclass(frozen=True, kw_only=True)
class EncodedSplit:
    """Encoded images with their labels."""

    images: EncodedImages
    """Where they are."""
    labels: Labels | None
    """int64 [N], or None where there are none."""

    def take(self, indices_N: npt.NDArray[np.int64]) -> "EncodedSplit":
        """The chosen images, in the given order."""
        labels = None if self.labels is None else self.labels[indices_N]
        return EncodedSplit(images=self.images.take(indices_N), labels=labels)


@dataclass(frozen=True, kw_only=True)
class EncodedSet:
    """The two splits of a source."""

    train: EncodedSplit
    """Training images."""
    test: EncodedSplit
    """Held-out images."""
    classes: tuple[str, ...] | None
    """Names of the labels."""


def list_folder(path: Path) -> EncodedSet:
    """Lists a folder of images.

    Splits: `train/` and `test/` or `val/` below it (the first that has class folders, if `train/` has);
    without them, a tenth of all images is held out, chosen by a hash of their paths.
    Labels: the sub-folders of a split are its classes. A split with none, or with just one, has no labels.

    Raises:
        DataError: no such folder, no images, images beside class folders, or other classes in the test split.
    """
    if not path.is_dir():
        raise DataError(f"{path}: must be a folder of images, but there is none")
    has_train = (path / "train").is_dir()
    train, classes = _list_split(path / "train" if has_train else path)
    tests = [path / name for name in ("test", "val") if (path / name).is_dir()] if has_train else []
    listed = [_list_split(folder) for folder in tests]
    if not listed:
        return split_by_name(train, classes)
    test, test_classes = next((one for one in listed if (one[1] is None) == (classes is None)), listed[0])
    if classes and test_classes and test.labels is not None:
        unknown = sorted(set(test_classes) - set(classes))
        if unknown:
            raise DataError(f"{path}: the test classes must be in train/ too, but {unknown[0]!r} is not")
        test = replace(test, labels=np.array([classes.index(name) for name in test_classes])[test.labels])
    return EncodedSet(train=train, test=test, classes=classes)


def _list_split(folder: Path) -> tuple[EncodedSplit, tuple[str, ...] | None]:
    files = []
    for where, _, names in os.walk(folder, followlinks=True):
        below = Path(where).relative_to(folder).as_posix()
        prefix = "" if below == "." else f"{below}/"
        shown = (name for name in names if not name.startswith("."))
        files += [prefix + name for name in shown if name.lower().endswith(EXTENSIONS)]
    if not files:
        raise DataError(f"{folder}: must hold images ({', '.join(EXTENSIONS)}), but holds none")
    files.sort(key=name_hash)
    images = FolderImages(root=folder, names_N=np.array([os.fsencode(file) for file in files]))
    beside = [file for file in files if "/" not in file]
    classes = tuple(sorted({file.partition("/")[0] for file in files if "/" in file}))
    if beside and classes:
        rule = "images must be all in class folders or all beside each other"
        raise DataError(f"{folder}: {rule}, but {min(beside)} is beside {classes[0]}/")
    if len(classes) < 2:
        return EncodedSplit(images=images, labels=None), None
    index = {name: label for label, name in enumerate(classes)}
    return EncodedSplit(
        images=images, labels=np.array([index[file.partition("/")[0]] for file in files])
    ), classes


def list_parquet(path: Path, cache: Path) -> EncodedSet:
    """Lists Parquet files in the Hugging Face image layout; see parquet_images.py.

    The encoded images are copied once into an Arrow file in `cache`, which, unlike Parquet, gives single
    images at once without being read into memory.

    Raises:
        DataError: no such file, or not that layout.
    """
    source = import_parquet(path, cache)
    order_N = np.array(sorted(range(len(source.names)), key=lambda row: name_hash(source.names[row])))
    images = ArrowImages(path=source.path, rows_N=order_N)
    labels = None if source.labels is None else source.labels[order_N]
    everything = EncodedSplit(images=images, labels=labels)
    is_test_N = source.is_test[order_N]
    if not is_test_N.any():
        return split_by_name(everything, source.classes)
    train, test = (everything.take(np.flatnonzero(which_N)) for which_N in (~is_test_N, is_test_N))
    if len(train.images) == 0:
        raise DataError(f"{path}: must hold training images, but all files are named as test files")
    return EncodedSet(train=_labelled(train), test=_labelled(test), classes=source.classes)


def _labelled(split: EncodedSplit) -> EncodedSplit:
    """The hub writes -1 where the labels of a test split are kept back: then there are none."""
    hidden = split.labels is not None and bool((split.labels < 0).any())
    return replace(split, labels=None) if hidden else split


def split_by_name(all_images: EncodedSplit, classes: tuple[str, ...] | None) -> EncodedSet:
    """Holds out the images whose names hash into the lowest tenth."""
    names = [all_images.images.name(index) for index in range(len(all_images.images))]
    is_test_N = np.array([name_hash(name) < HELD_OUT * 2**64 for name in names])
    if is_test_N.all() or not is_test_N.any():
        raise DataError(f"{len(names)} images are too few to hold some out: add a test split (docs/data.md)")
    train, test = (all_images.take(np.flatnonzero(which_N)) for which_N in (~is_test_N, is_test_N))
    return EncodedSet(train=train, test=test, classes=classes)


def name_hash(name: str) -> int:
    """A 64-bit hash of a name, the same on every machine."""
    return int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:8], "big")


def decode_split(
    name: str, split: EncodedSplit, channels: int, side: int, on_broken: OnBroken
) -> tuple[Pixels, Labels | None, tuple[str, ...]]:
    """Pixels and labels of the images that can be read, and the names of those that cannot.

    Raises:
        DataError: images are broken and `on_broken` is "fail", or all are.
    """
    pixels, broken_N = decode_all(split.images, channels, side)
    names = tuple(split.images.name(int(index)) for index in np.flatnonzero(broken_N))
    if names and (on_broken == "fail" or len(names) == len(pixels)):
        first = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        raise DataError(f"{name}: {len(names)} of {len(pixels)} images cannot be read: {first}")
    if names:
        pixels = pixels[~broken_N]
    return pixels, split.labels if split.labels is None else split.labels[~broken_N], names
