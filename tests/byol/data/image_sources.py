"""Small image sources, made up for the tests of several modules."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from byol.data import ImageData, load_data


def in_memory(dataset: str, **options: Any) -> ImageData:
    data = load_data(dataset, **options)
    assert isinstance(data, ImageData)
    return data


def write_idx(path: Path, array: npt.NDArray[np.uint8]) -> None:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    content = header + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def save(path: Path, color: int | tuple[int, int, int], size: tuple[int, int] = (8, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L" if isinstance(color, int) else "RGB", size, color).save(path)


def values(images: npt.NDArray[np.uint8]) -> list[int]:
    return sorted(images[:, 0, 0, 0].tolist())
