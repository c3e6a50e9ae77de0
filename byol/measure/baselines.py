"""What a data set gives without any encoder: kNN of raw pixels, and chance. Trials are read against both.

Shape suffixes: N images, P pixels of a view, b a block of test images, c a block of the bank, k neighbours.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from byol.data import Images, Labels, Pixels, labelled_bank
from byol.measure.knn import check_neighbours, vote
from byol.views import clean_view

_BLOCK_BYTES = 2**26  # in memory at a time: pixels of test images, of bank images, and their similarities
_VIEWS = 128  # images that are resized at a time


@dataclass(frozen=True)
class Baselines:
    """Accuracies on the test images of a data set that need no training."""

    pixels: float | None
    """kNN accuracy of raw pixels, 0..1; None without labels."""
    chance: float | None
    """Share of the most frequent class among the test labels, 0..1; None without test labels."""
    test_images: int
    """Number of test images, on which the interval of every accuracy depends."""


def baselines(data: Images, *, image_size: int, k: int, temperature: float) -> Baselines:
    """Chance, and the kNN accuracy of raw pixels.

    Raw pixels are what the encoder is given in evaluation (images resized and normalised, not augmented) as
    one long vector. Bank, test images and kNN are those of the representations' accuracy.

    Runs on the CPU and draws no random numbers. Similarities are computed block by block, and only the k
    nearest so far are kept, so that it takes a few hundred MB besides the data, however large these are.

    Args:
        data: the data set.
        image_size: side of a view, in pixels.
        k: neighbours.
        temperature: of the votes, > 0.

    Raises:
        ConfigError: there are fewer than k labelled images.
    """
    test_labels, bank = data.test_labels, labelled_bank(data)
    chance = None if test_labels is None else float(np.bincount(test_labels).max() / len(test_labels))
    pixels = None
    if test_labels is not None and bank is not None:
        check_neighbours(k, len(bank[1]), data.name)
        to_pixels = partial(_unit_pixels, size=image_size, mean=data.mean, std=data.std)
        rows = max(1, _BLOCK_BYTES // (4 * 3 * image_size**2))
        correct = 0
        for test_images, labels in _blocks(data.test_images, test_labels, rows):
            cosine_bk, labels_bk = _nearest(to_pixels(test_images), bank, to_pixels, k)
            predicted_b = vote(cosine_bk, labels_bk, classes=int(bank[1].max()) + 1, temperature=temperature)
            correct += int((predicted_b.numpy() == labels).sum())
        pixels = correct / len(test_labels)
    return Baselines(pixels=pixels, chance=chance, test_images=len(data.test_images))


def _nearest(
    test_bP: Tensor, bank: tuple[Pixels, Labels], to_pixels: Callable[[Pixels], Tensor], k: int
) -> tuple[Tensor, Tensor]:
    """Cosines and labels, both [b, k], of the k images of the bank that are nearest to each test image."""
    cosine_bk, labels_bk = test_bP.new_empty(len(test_bP), 0), torch.empty(len(test_bP), 0, dtype=torch.int64)
    rows = max(1, _BLOCK_BYTES // (4 * max(test_bP.shape)))
    for images, labels in _blocks(*bank, rows):
        cosine_bc = test_bP @ to_pixels(images).T
        nearest = cosine_bc.topk(min(k, len(labels)), dim=1)
        cosine_bk = torch.cat([cosine_bk, nearest.values], dim=1)
        labels_bk = torch.cat([labels_bk, torch.from_numpy(np.array(labels))[nearest.indices]], dim=1)
        cosine_bk, kept_bk = cosine_bk.topk(min(k, cosine_bk.shape[1]), dim=1)
        labels_bk = labels_bk.gather(1, kept_bk)
    return cosine_bk, labels_bk


def _blocks(images: Pixels, labels: Labels, rows: int) -> Iterator[tuple[Pixels, Labels]]:
    for start in range(0, len(images), rows):
        yield images[start : start + rows], labels[start : start + rows]


def _unit_pixels(images: Pixels, *, size: int, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """The pixels of each image as the encoder is given them, scaled to length 1: float32 [N, P]."""
    channels = 1 if len(mean) == 1 else 3  # the three channels of a gray image are equal
    pixels_NP = torch.empty(len(images), channels * size**2)
    for start in range(0, len(images), _VIEWS):
        part = torch.from_numpy(np.array(images[start : start + _VIEWS]))
        view_BCHW = clean_view(part, size=size, mean=mean, std=std)[:, :channels]
        pixels_NP[start : start + _VIEWS] = F.normalize(view_BCHW.flatten(1), dim=1)
    return pixels_NP
