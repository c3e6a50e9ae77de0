"""Makes the embedded set: `python -m byol.data.assets.make_fashion_mnist_8k [--source DIR]`.

Takes the first 800 training and the first 200 test images of each class of Fashion-MNIST, in file order,
and writes each split as one gray PNG sheet: a band of tiles per class, 100 tiles a row. Sorting by class
makes the labels implicit and the file smaller. The pixels are the same on every machine. The PNG's bytes
depend on the zlib that Pillow was built with, so this script also writes the .sha256 file.
"""

import argparse
import gzip
import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

ASSETS = Path(__file__).parent
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where the Debian package dataset-fashion-mnist puts its files."""

CLASSES = 10
SIDE = 28
TILES_PER_ROW = 100
SPLITS = {"train": ("train", 800), "test": ("t10k", 200)}
"""Split -> prefix of the idx files, and number of images that are taken of each class."""

IDX_UINT8 = 0x08


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """A gzipped idx file of bytes, as an array of the shape in its header.

    The format: two zero bytes, the type of the values, the number of axes, then each axis's length as a
    big-endian 32-bit integer, then the values (yann.lecun.com/exdb/mnist).

    Raises:
        ValueError: it is not an idx file of unsigned bytes.
    """
    content = gzip.decompress(path.read_bytes())
    zeros, kind, axes = content[:2], content[2], content[3]
    if zeros != b"\0\0" or kind != IDX_UINT8:
        raise ValueError(
            f"{path}: must be an idx file of unsigned bytes, but starts with {content[:4].hex()}"
        )
    shape = np.frombuffer(content, ">i4", axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def first_of_each_class(labels_N: npt.NDArray[np.uint8], count: int) -> npt.NDArray[np.int64]:
    """Indices of the first `count` images of each class, in file order: int64 [CLASSES, count]."""
    return np.stack([np.flatnonzero(labels_N == label)[:count] for label in range(CLASSES)])


def sheet(images_KNHW: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Images as the tiles of one picture, row by row, a band of rows per class: uint8 [height, width]."""
    tiles_RTHW = images_KNHW.reshape(-1, TILES_PER_ROW, SIDE, SIDE)
    return tiles_RTHW.transpose(0, 2, 1, 3).reshape(-1, TILES_PER_ROW * SIDE)


def make(source: Path, folder: Path) -> None:
    """Reads the idx files of `source`; writes both sheets and their digests into `folder`."""
    digests = []
    for split, (prefix, count) in SPLITS.items():
        images_NHW = read_idx(source / f"{prefix}-images-idx3-ubyte.gz")
        labels_N = read_idx(source / f"{prefix}-labels-idx1-ubyte.gz")
        path = folder / f"fashion-mnist-8k-{split}.png"
        indices_KN = first_of_each_class(labels_N, count)
        Image.fromarray(sheet(images_NHW[indices_KN])).save(path, optimize=True)
        digests.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    (folder / "fashion-mnist-8k.sha256").write_text("".join(digests))


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes the embedded Fashion-MNIST set.")
    parser.add_argument(
        "--source", type=Path, default=DEBIAN_FOLDER, help="folder with the four idx.gz files"
    )
    make(parser.parse_args().source, ASSETS)


if __name__ == "__main__":
    main()
