"""Collapse metrics, which are pure functions of embeddings, and the record of one measurement.

Shape suffixes: N samples, D dimensions of the embedding, K = min(N, D).

Every function first scales each embedding to length 1 (an all-zero one stays zero), but for `rankme` and
`stable_rank`, which take embeddings at their own length. All compute in float64, because near collapse the
quantities of interest are differences of nearly equal numbers. Results are float64 tensors on the device of
the input: 0-dim, or [D] for spectra. Input that is not finite gives NaN, never an exception, so that a
diverged trial is still recorded. What follows from the eigenvalues of a `covariance_spectrum` alone is
computed where the tables are made and read (`analysis/spectra.py`).
"""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

_BLOCK = 256  # rows of the N x N distance matrix that are in memory at a time
_TINY = 1e-300  # keeps 0 / 0 at 0; NaN stays NaN
RANKME_EPS = 1e-7  # what RankMe and LiDAR add to every share


class Cloud:
    """Embeddings [N, D], and what several of the functions below need of them, each computed once."""

    def __init__(self, x_ND: Tensor) -> None:
        """Takes embeddings at their own length."""
        self.x_ND = x_ND.detach().double()

    @functools.cached_property
    def unit_ND(self) -> Tensor:
        """The embeddings at length 1."""
        unit_ND: Tensor = F.normalize(self.x_ND, dim=1)
        return unit_ND

    @functools.cached_property
    def squares_K(self) -> Tensor:
        """Squared singular values of the embeddings as they are, descending."""
        return _squared_singular_values(self.x_ND)

    @functools.cached_property
    def unit_squares_K(self) -> Tensor:
        """Squared singular values of the unit embeddings, descending."""
        return _squared_singular_values(self.unit_ND)

    @functools.cached_property
    def std_D(self) -> Tensor:
        """The standard deviation of each dimension of the unit embeddings (divided by N)."""
        return self.unit_ND.std(dim=0, correction=0)

    @property
    def scale(self) -> float:
        """sqrt(D)."""
        return math.sqrt(self.x_ND.shape[1])


Embeddings = Tensor | Cloud
"""Embeddings [N, D], as a tensor, or as a cloud where several functions share what they compute."""


def _cloud(x_ND: Embeddings) -> Cloud:
    return x_ND if isinstance(x_ND, Cloud) else Cloud(x_ND)


def _unit(x_ND: Embeddings) -> Tensor:
    return _cloud(x_ND).unit_ND


def _squared_singular_values(x_ND: Tensor) -> Tensor:
    """The K squared singular values, descending, from the smaller of the two Gram matrices.

    In float64, squaring costs digits only of values below 1e-8 of the largest, and it is many times faster
    than an SVD.
    """
    gram_KK = x_ND.T @ x_ND if x_ND.shape[0] >= x_ND.shape[1] else x_ND @ x_ND.T
    if not gram_KK.isfinite().all():  # which LAPACK refuses
        return torch.full_like(gram_KK[0], torch.nan)
    ascending_K: Tensor = torch.linalg.eigvalsh(gram_KK)
    return ascending_K.flip(0).clamp_min(0)


def entropy_rank(values_K: Tensor, eps: float = 0.0) -> Tensor:
    """The exponential of the entropy of values' shares in their sum, to each of which `eps` is added."""
    shares_K = values_K / values_K.sum().clamp_min(_TINY) + eps
    entropies_K: Tensor = torch.special.entr(shares_K)
    return entropies_K.sum().exp()


def embedding_std(x_ND: Embeddings) -> Tensor:
    """sqrt(D) times the mean over dimensions of the standard deviation, over samples, of unit embeddings.

    1 for an isotropic cloud, 0 for a point. The deviation is that of the population (divided by N).

    Source: Chen and He 2021 (SimSiam, arXiv 2011.10566), section 4.1, times sqrt(D).

    >>> axes = torch.eye(4)
    >>> isotropic, point = torch.cat([axes, -axes]), torch.ones(8, 4)
    >>> embedding_std(isotropic).item(), embedding_std(point).item()
    (1.0, 0.0)
    """
    cloud = _cloud(x_ND)
    return cloud.std_D.mean() * cloud.scale


def dimension_stds(x_ND: Embeddings) -> Tensor:
    """The standard deviation of each dimension of unit embeddings [D], times sqrt(D).

    Their mean is `embedding_std`. Their least, median and largest tell an even spread from one that a few
    dimensions carry while the others are dead.
    """
    cloud = _cloud(x_ND)
    return cloud.std_D * cloud.scale


def spread(level: str, x_ND: Embeddings) -> dict[str, float]:
    """Least, median and largest of the `dimension_stds`, by the names of the fields of Metrics."""
    std_D = dimension_stds(x_ND)
    at_3 = std_D.new_tensor([0.0, 0.5, 1.0])
    names = (f"{level}_std_{part}" for part in ("min", "median", "max"))
    return dict(zip(names, std_D.quantile(at_3).tolist(), strict=True))


def effective_rank(x_ND: Embeddings) -> Tensor:
    """The exponential of the entropy of the singular values' shares, of unit embeddings, in 1..K.

    Not centred: a common mean direction counts as one dimension, so that full collapse gives 1. (If it were
    centred, only the noise of a collapsed cloud would be left, which is isotropic and gives full rank.)
    All-zero embeddings give 1.

    Source: Roy and Vetterli 2007 ("The effective rank"). `rankme` is the same of embeddings at their own
    length.
    """
    return entropy_rank(_cloud(x_ND).unit_squares_K.sqrt())


def rankme(x_ND: Embeddings) -> Tensor:
    """RankMe: the exponential of the entropy of the singular values' shares, of embeddings as they are.

    Not centred, and not scaled: long embeddings count for more than short ones, and a large common mean
    makes it small. In 1..K, but for the 1e-7 added to every share. All-zero embeddings give 1.

    Source: Garrido et al. 2023 (arXiv 2210.02885), equations 1 and 2.
    """
    return entropy_rank(_cloud(x_ND).squares_K.sqrt(), RANKME_EPS)


def stable_rank(x_ND: Embeddings) -> Tensor:
    """Sum of the squared singular values by the largest, of embeddings as they are, in 1..K.

    Not centred: a point gives 1. (Centred, it would be the NESum.) All-zero embeddings give 0.

    Source: Tsitsulin et al. 2023 (arXiv 2305.16562); the name is Rudelson and Vershynin's (2007).
    """
    squares_K = _cloud(x_ND).squares_K
    return squares_K.sum() / squares_K[0].clamp_min(_TINY)


def covariance_spectrum(x_ND: Embeddings) -> Tensor:
    """Eigenvalues [D], descending, of the covariance of unit embeddings (centred, divided by N).

    Their sum is 1 minus the squared length of the mean embedding: 1 for a centred cloud, 0 for a point.

    Source: Jing et al. 2022 (arXiv 2110.09348), figure 2 (there the singular values of the covariance, which
    are the same numbers).
    """
    unit_ND = _unit(x_ND)
    count, size = unit_ND.shape
    spectrum_K = _squared_singular_values(unit_ND - unit_ND.mean(dim=0)) / count
    return F.pad(spectrum_K, (0, size - len(spectrum_K)))


def alignment(x_ND: Embeddings, y_ND: Embeddings) -> Tensor:
    """Mean squared distance between the unit embeddings of two views of the same images, 0..4.

    Row i of both belongs to image i. Source: Wang and Isola 2020 (arXiv 2005.10242), alpha = 2.
    """
    return (_unit(x_ND) - _unit(y_ND)).square().sum(dim=1).mean()


def uniformity(x_ND: Embeddings) -> Tensor:
    """Log of the mean of exp(-2 |x_i - x_j|^2) over pairs of different samples' unit embeddings.

    At most 0, which is a point; lower is more uniform. NaN for N < 2.

    Source: Wang and Isola 2020 (arXiv 2005.10242), t = 2.
    """
    unit_ND = _unit(x_ND)
    count = len(unit_ND)
    length_N = unit_ND.square().sum(dim=1)
    total = unit_ND.new_tensor(-count)  # subtracts the pairs of a sample with itself
    for start in range(0, count, _BLOCK):
        rows = slice(start, start + _BLOCK)
        exponent_bN = (4 * unit_ND[rows]) @ unit_ND.T  # of -2 (|x|^2 + |y|^2 - 2 x.y)
        exponent_bN.sub_(2 * length_N).sub_(2 * length_N[rows, None])
        total += exponent_bN.exp_().sum()
    return (total / (count * (count - 1))).log() if count > 1 else total * torch.nan


def positive_cosine(x_ND: Embeddings, y_ND: Embeddings) -> Tensor:
    """Mean cosine between the embeddings of two views of the same images, -1..1. Row i of both is image i."""
    return (_unit(x_ND) * _unit(y_ND)).sum(dim=1).mean()


def negative_cosine(x_ND: Embeddings, y_ND: Embeddings) -> Tensor:
    """Mean cosine between views of different images (row i of x with row j of y, i != j), -1..1.

    A value near the positive cosine means collapse: without BatchNorm, Fetterman and Albrecht 2020 find .9999
    for both, and with it .88 (positive) and .27 (negative). NaN for N < 2.
    """
    u_ND, v_ND = _unit(x_ND), _unit(y_ND)
    count = len(u_ND)
    all_pairs = (u_ND.sum(dim=0) * v_ND.sum(dim=0)).sum()
    same_image = (u_ND * v_ND).sum()
    return (all_pairs - same_image) / (count * (count - 1)) if count > 1 else same_image * torch.nan


@dataclass(frozen=True, kw_only=True, eq=False)
class Metrics:
    """One measurement, after `step` optimiser steps.

    Loss, tau and lr come from training. Everything else is measured on test images; the representation is
    the encoder's output, the projection the projector's, both of the online network. Names in backquotes are
    functions of this module. A diverged trial has NaN where a number would be.
    """

    step: int
    """Optimiser steps so far; 0 is before the first."""
    epoch: float
    """Passes over the training images so far, with a fraction inside an epoch."""
    loss: float | None
    """Mean training loss since the previous measurement, times loss_scale; None at step 0. BYOL's symmetric
    loss lies in 0..8 (arXiv 2006.07733, equation 2, both directions)."""
    representation_std: float
    """`embedding_std` of the representation: 1 isotropic, 0 a point."""
    projection_std: float
    """`embedding_std` of the projection."""
    effective_rank: float
    """`effective_rank` of the representation, 1..dimensions."""
    projection_effective_rank: float
    """`effective_rank` of the projection."""
    alignment: float
    """`alignment` of two views' projections, 0..4 (arXiv 2005.10242)."""
    uniformity: float
    """`uniformity` of the projection, at most 0, lower is more uniform (arXiv 2005.10242)."""
    positive_cosine: float
    """Mean cosine between the projections of two views of one image, -1..1."""
    negative_cosine: float
    """Mean cosine between the projections of views of different images, -1..1."""
    knn_accuracy: float | None
    """Share of test images that the kNN classifier labels correctly, 0..1; None where not measured."""
    tau: float
    """Coefficient of the target's moving average at this step, 0..1."""
    lr: float
    """Learning rate of the optimiser at this step (not per 256 images)."""
    samples_per_second: float | None
    """Training images per second since the previous measurement, without the time for measuring; None at
    step 0."""
    rankme: float
    """`rankme` of the representation, 1..dimensions (arXiv 2210.02885)."""
    projection_rankme: float
    """`rankme` of the projection."""
    stable_rank: float
    """`stable_rank` of the representation, 1..dimensions (arXiv 2305.16562)."""
    projection_stable_rank: float
    """`stable_rank` of the projection."""
    representation_positive_cosine: float
    """Mean cosine between the representations of two views of one image, -1..1."""
    representation_negative_cosine: float
    """Mean cosine between the representations of views of different images, -1..1."""
    representation_std_min: float
    """Least of the representation's `dimension_stds`: 0 where a dimension is dead."""
    representation_std_median: float
    """Median of the representation's `dimension_stds`."""
    representation_std_max: float
    """Largest of the representation's `dimension_stds`, at most sqrt(dimensions)."""
    projection_std_min: float
    """Least of the projection's `dimension_stds`."""
    projection_std_median: float
    """Median of the projection's `dimension_stds`."""
    projection_std_max: float
    """Largest of the projection's `dimension_stds`, at most sqrt(dimensions)."""
    representation_spectrum: npt.NDArray[np.float32]
    """`covariance_spectrum` of the representation, descending."""
    projection_spectrum: npt.NDArray[np.float32]
    """`covariance_spectrum` of the projection, descending."""
    probe_accuracy: float | None = None
    """Share of test images that the linear probe labels correctly, 0..1; None where not measured."""
    lidar: float | None = None
    """LiDAR (lidar.py) of the representation, 1..dimensions (arXiv 2312.04000); None but at the end."""
    projection_lidar: float | None = None
    """LiDAR of the projection; None but at the end."""
    own: Mapping[str, float] = field(default_factory=dict)
    """Values of the metrics of your own, by column (own_metrics.py)."""
