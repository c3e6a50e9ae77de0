"""Measures embeddings that were made elsewhere, by the metrics of a trial.

Shape suffixes: N rows, D dimensions.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from byol.measure import metrics
from byol.measure.embedding_files import EmbeddingFile
from byol.measure.knn import leave_one_out_accuracy
from byol.measure.metrics import Cloud
from byol.measure.sample import Sample, sample_of

MOST_QUERIES = 10_000
"""Rows that kNN labels; of more, so many are taken, evenly spaced. All others vote."""
_SMALL = 2.0**-10
"""A largest value below this, or above its inverse, is brought near 1; others keep every bit."""
UNIFORM_UP_TO = 10_000
"""Rows up to which uniformity is computed, which takes time in proportion to their square."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """What one file of embeddings shows."""

    sample: Sample
    """Of the representation."""
    values: dict[str, float]
    """Fields of `byol.measure.metrics.Metrics` that embeddings alone determine, by name."""
    spectra: dict[str, npt.NDArray[np.float32]]
    """Level ("representation", "projection") -> `covariance_spectrum`."""
    chance: float | None
    """Share of the most frequent label, 0..1; None without labels."""
    neighbours: int | None
    """k of the kNN accuracy; None where it was not measured."""
    queries: int | None
    """Rows of which the kNN accuracy is a share; None likewise."""


def measure_embeddings(file: EmbeddingFile, *, k: int, temperature: float) -> Measured:
    """Measures one file. Rows that are not finite make its metrics NaN, as of a diverged trial.

    kNN leaves one out (`leave_one_out_accuracy`): the file has no split. It needs labels of two classes.

    Args:
        file: the embeddings.
        k: neighbours. With k rows or fewer, no kNN accuracy is measured.
        temperature: of the votes, > 0.
    """
    representation_ND = _scaled(file.representation_ND)
    sample = sample_of(representation_ND, file.labels_N)
    values, spectra = _of_level("representation", representation_ND)
    if file.projection_ND is not None:
        projection_ND = _scaled(file.projection_ND)
        of_projection, spectrum = _of_level("projection", projection_ND)
        values |= of_projection
        spectra |= spectrum
        if sample.rows <= UNIFORM_UP_TO:
            values["uniformity"] = metrics.uniformity(projection_ND).item()
    chance = neighbours = queries = None
    if file.labels_N is not None:
        chance = file.labels_N.bincount().max().item() / sample.rows
        if (sample.classes or 0) > 1 and not sample.not_finite and sample.rows > k:
            neighbours = k
            values["knn_accuracy"], queries = leave_one_out_accuracy(
                representation_ND,
                file.labels_N,
                k=neighbours,
                temperature=temperature,
                most_queries=MOST_QUERIES,
            )
    return Measured(
        sample=sample,
        values=values,
        spectra=spectra,
        chance=chance,
        neighbours=neighbours,
        queries=queries,
    )


def _scaled(x_ND: Tensor) -> Tensor:
    """All rows by one power of two, where lengths would over- or underflow: no metric depends on it."""
    largest = x_ND.abs().max().item()
    if not math.isfinite(largest) or largest == 0 or _SMALL < largest < 1 / _SMALL:
        return x_ND
    return torch.ldexp(x_ND.double(), torch.tensor(-math.frexp(largest)[1])).to(x_ND.dtype)


def _of_level(level: str, x_ND: Tensor) -> tuple[dict[str, float], dict[str, npt.NDArray[np.float32]]]:
    """The metrics of one level of the network by the names of Metrics' fields, and its spectrum."""
    cloud = Cloud(x_ND)
    rank = "" if level == "representation" else f"{level}_"
    values = {
        f"{level}_std": metrics.embedding_std(cloud).item(),
        f"{rank}effective_rank": metrics.effective_rank(cloud).item(),
        f"{rank}rankme": metrics.rankme(cloud).item(),
        f"{rank}stable_rank": metrics.stable_rank(cloud).item(),
        **metrics.spread(level, cloud),
    }
    return values, {level: metrics.covariance_spectrum(cloud).float().numpy()}
