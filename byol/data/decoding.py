"""From encoded images to pixels: sizes from the headers, decoding on all cores, which images are broken.

Shape suffixes: N images, C channels, H height, W width.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""Images, [N, C, H, W]."""
Labels: TypeAlias = npt.NDArray[np.int64]
"""Class indices from 0, [N]."""


class DataError(ValueError):
    """A source of images that cannot be used as requested; `str(error)` is one line: place, rule, value."""


class EncodedImages(Protocol):
    """A sequence of encoded images. It keeps no file open between calls, so other processes can get it."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """Name of an image, for messages."""
        ...

    def size(self, index: int) -> int:
        """Bytes of the encoded image."""
        ...

    def open(self, index: int) -> Image.Image:
        """The image with its header read, its pixels not yet."""
        ...

    def take(self, indices_N: npt.NDArray[np.int64]) -> "EncodedImages":
        """The images at these indices, in this order."""
        ...


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What the headers of encoded images say."""

    sizes: frozenset[tuple[int, int]]
    """All pairs of height and width that occur, in pixels."""
    is_gray: bool
    """Whether all images are gray."""
    decoded_bytes: int
    """Bytes of the decoded images at their own sizes, with one or three channels each."""


def survey(images: EncodedImages, enough_bytes: int) -> Survey:
    """Reads headers until the decoded images would take more than `enough_bytes`; skips broken images."""
    sizes, is_gray, decoded_bytes = set(), True, 0
    for index in range(len(images)):
        if decoded_bytes > enough_bytes:
            break
        try:
            with images.open(index) as image:
                width, height = image.size
                channels = _channels(image)
        except Exception:  # Pillow raises nearly any type on a damaged header; decoding reports the image
            continue
        sizes.add((height, width))
        is_gray = is_gray and channels == 1
        decoded_bytes += height * width * channels
    return Survey(sizes=frozenset(sizes), is_gray=is_gray, decoded_bytes=decoded_bytes)


def _channels(image: Image.Image) -> int:
    return 1 if image.mode in ("1", "L", "LA") else 3


def decode(image: Image.Image, channels: int) -> Image.Image:
    """The image with its pixels, as 8-bit gray (1 channel) or RGB (3).

    Transparency and orientation tags are ignored.

    Raises:
        OSError: the image cannot be read, or has more than 8 bits a channel.
    """
    if image.mode[0] in "IF":  # Pillow would clip the values, not scale them
        raise OSError(f"must have 8 bits a channel, but is of mode {image.mode}")
    return image.convert("L" if channels == 1 else "RGB")


def decode_all(images: EncodedImages, channels: int, side: int) -> tuple[Pixels, npt.NDArray[np.bool_]]:
    """Decodes all images, on all cores, to squares of one size.

    Where an image has another size, its shorter side is resized to `side` (bicubic, antialiased) and the
    centre is cut out.

    Args:
        images: the encoded images.
        channels: 1 or 3.
        side: in pixels.

    Returns:
        uint8 [N, C, side, side], and bool [N]: which images could not be read. Their pixels are undefined.
    """
    pixels_NCHW = np.empty((len(images), channels, side, side), np.uint8)
    broken_N = np.zeros(len(images), np.bool_)

    def decode_into(index: int) -> None:
        try:
            with images.open(index) as encoded:
                image = decode(encoded, channels)
            if image.size != (side, side):
                image = ImageOps.fit(image, (side, side), Image.Resampling.BICUBIC)
            pixels_NCHW[index] = np.asarray(image).reshape(side, side, channels).transpose(2, 0, 1)
        except Exception:  # as in `survey`
            broken_N[index] = True

    with ThreadPoolExecutor() as pool:  # Pillow decodes and resizes without Python's lock
        list(pool.map(decode_into, range(len(images))))
    return pixels_NCHW, broken_N
