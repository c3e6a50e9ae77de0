"""From encoded images to bytes: sizes from the headers, decoding on all cores, what cannot be read.

Shape suffixes: N images, C channels, H height, W width.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

Pixels: TypeAlias = npt.NDArray[np.uint8]
Labels: TypeAlias = npt.NDArray[np.int64]


class DataError(ValueError):
    """An image source that cannot be used as asked; `str(error)` is one line: place, rule, value."""


class EncodedImages(Protocol):
    """Image files, or what stands for them; no file is open between calls, so other processes can have it."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """What messages call the image."""
        ...

    def size(self, index: int) -> int:
        """Bytes of the encoded image."""
        ...

    def open(self, index: int) -> Image.Image:
        """The image with its header read, its pixels not yet."""
        ...

    def take(self, indices_N: npt.NDArray[np.int64]) -> "EncodedImages":
        """The chosen images, in the given order."""
        ...


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What the headers of encoded images say."""

    sizes: frozenset[tuple[int, int]]
    """Heights and widths that occur."""
    is_gray: bool
    """Whether all are gray."""
    decoded_bytes: int
    """Bytes they take when decoded as they are, one or three channels."""


def survey(images: EncodedImages, enough_bytes: int) -> Survey:
    """Reads headers until the decoded images would take more than `enough_bytes`; skips those that fail."""
    sizes, is_gray, total = set(), True, 0
    for index in range(len(images)):
        if total > enough_bytes:
            break
        try:
            with images.open(index) as image:
                width, height = image.size
                channels = _channels(image)
        except Exception:  # Pillow's readers raise nearly anything on a damaged header; decoding reports it
            continue
        sizes.add((height, width))
        is_gray = is_gray and channels == 1
        total += height * width * channels
    return Survey(sizes=frozenset(sizes), is_gray=is_gray, decoded_bytes=total)


def _channels(image: Image.Image) -> int:
    return 1 if image.mode in ("1", "L", "LA") else 3


def decode(image: Image.Image, channels: int) -> Image.Image:
    """The image with its pixels, as 8-bit gray or RGB; transparency and orientation tags are ignored."""
    if image.mode[0] in "IF":  # Pillow would clip, not scale
        raise OSError(f"must have 8 bits a channel, but is of mode {image.mode}")
    return image.convert("L" if channels == 1 else "RGB")


def decode_all(images: EncodedImages, channels: int, side: int) -> tuple[Pixels, npt.NDArray[np.bool_]]:
    """Decodes all images on all cores; those of another size are resized and cut to squares.

    The shorter side is resized to `side` (bicubic, antialiased) and the centre cut out.

    Args:
        channels: 1 or 3. side: in pixels.

    Returns:
        uint8 [N, C, side, side], and which of the N could not be read (their pixels are undefined).
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
        except Exception:  # as in survey
            broken_N[index] = True

    with ThreadPoolExecutor() as pool:  # Pillow decodes and resizes outside Python's lock
        list(pool.map(decode_into, range(len(images))))
    return pixels_NCHW, broken_N
