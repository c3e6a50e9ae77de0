"""Training batches of a set too large for memory: decoded and cropped in worker processes.

A worker makes whole batches. It derives order, draws and crops from seed and step alone, as for a set in
memory, so a batch depends neither on the number of workers nor on where the run was resumed. The rest of a
view (flip, colour, blur) is computed on the training device.

Shape suffixes: V views, B batch, C channels, H height, W width, S draws.
"""

import warnings
from collections.abc import Iterator
from typing import NamedTuple, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from byol.config import TrialConfig, ViewConfig
from byol.data import DataError, StreamedImages
from byol.data.decoding import EncodedImages, Pixels, decode
from byol.seeding import epoch_order
from byol.views import crop_boxes, draw_views

PREFETCH = 2
"""Batches that each worker prepares ahead, which limits the memory."""


class StreamedBatch(NamedTuple):
    """The images and draws of all views of one step, for `make_view(..., cropped=True)`."""

    crops: Tensor
    """uint8 [V, B, 3, size, size]: the crops for each view."""
    draws: Tensor
    """float32 [V, B, S]: the draws of each view, including those of its crops."""
    broken: list[str]
    """Names of images that could not be read; the next readable image takes the place of each."""


def streamed_batches(
    config: TrialConfig,
    data: StreamedImages,
    *,
    start: int,
    total: int,
    workers: int | None = None,
    pin_memory: bool = False,
) -> Iterator[StreamedBatch]:
    """The batches of the steps from `start` to `total`, in order.

    At most `PREFETCH` batches per worker are made ahead. They pass through shared memory, which a container
    may limit: 150 kB per view of an image at 224 pixels.

    Args:
        config: the trial; its batch size, image size, seed and views are used.
        data: the images.
        start: first step, counted from 0.
        total: the step after the last.
        workers: processes; None is one per thread that torch may use, 0 makes the batches in this process.
        pin_memory: whether batches are in page-locked memory, for asynchronous copies to a GPU.

    Raises:
        DataError: an image cannot be read and `data.on_broken` is "fail", or no image can be read.
    """
    worker_count = torch.get_num_threads() if workers is None else workers
    loader = DataLoader(
        cast(Dataset[StreamedBatch], _Batches(config, data.train_images)),
        batch_size=None,
        sampler=range(start, total),
        num_workers=worker_count,
        prefetch_factor=PREFETCH if worker_count else None,
        pin_memory=pin_memory,
        generator=torch.Generator(),  # without it, the loader would draw from the global one
    )
    for batch in loader:
        for name in batch.broken:
            if data.on_broken == "fail":
                raise DataError(f"{data.name}: images must be readable, but got {name}")
            warnings.warn(f"{data.name}: {name} cannot be read; another image takes its place", stacklevel=2)
        yield batch


class _Batches(Dataset[StreamedBatch]):
    """Maps a step to its batch; runs in the workers."""

    def __init__(self, config: TrialConfig, images: EncodedImages) -> None:
        self.config = config
        self.images = images
        self.per_epoch = config.steps_per_epoch(len(images))
        self.epoch = -1
        self.order = torch.empty(0, dtype=torch.int64)

    def __getitem__(self, step: int) -> StreamedBatch:
        config = self.config
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            self.order = epoch_order(config.seed, epoch, len(self.images))
            self.epoch = epoch
        indices = self.order[position * config.batch_size :][: config.batch_size].tolist()
        draws = draw_views(config.seed, step, len(indices), config.view_count)
        size = config.image_size
        crops = np.empty((config.view_count, len(indices), 3, size, size), np.uint8)
        broken: list[str] = []
        for row, index in enumerate(indices):
            image, skipped = _read(self.images, index)
            broken += skipped
            for view, settings in enumerate(config.view_settings):
                crops[view, row] = _crop(image, draws[view][row : row + 1], settings, size)
        return StreamedBatch(torch.from_numpy(crops), torch.stack(draws), broken)


def _read(images: EncodedImages, index: int) -> tuple[Image.Image, list[str]]:
    """The image at the index or else the next one that can be read, and the names of those that could not."""
    broken: list[str] = []
    for candidate in range(index, index + len(images)):
        try:
            with images.open(candidate % len(images)) as encoded:
                return decode(encoded, channels=3), broken
        except Exception:  # Pillow raises nearly any type on a damaged image
            broken.append(images.name(candidate % len(images)))
    raise DataError(f"at least one image must be readable, but got {len(images)} broken ones")


def _crop(image: Image.Image, draws_1S: Tensor, view: ViewConfig, size: int) -> Pixels:
    """A crop by `crop_boxes`, bicubic and antialiased: uint8 [3, size, size]."""
    top, left, height, width = crop_boxes(draws_1S, image.height, image.width, view)[0].tolist()
    # Cropped first, because resize(box=...) would mix pixels outside the box into its border.
    cropped = image.crop((left, top, left + width, top + height))
    return np.asarray(cropped.resize((size, size), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
