"""LiDAR on classes whose covariances within and between are known."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from byol.measure.lidar import lidar

TINY = 1e-12  # a delta that changes nothing


def classes(means_ND: Tensor, noise_QD: Tensor) -> Tensor:
    """Views of every image at the same places around its mean: [Q, N, D]."""
    return means_ND[None] + noise_QD[:, None]


def corners(variances: list[float]) -> Tensor:
    """+-sqrt(D v_k) e_k: mean 0, covariance diag(v), divided by their number."""
    axes = torch.diag((len(variances) * torch.tensor(variances, dtype=torch.float64)).sqrt())
    return torch.cat([axes, -axes])


def entropy_rank(values: list[float]) -> float:
    shares = np.array(values) / sum(values)
    return math.exp(-sum(share * math.log(share) for share in shares if share))


def value(x_QND: Tensor, delta: float = TINY) -> float:
    return lidar(x_QND, delta=delta).item()


def test_the_eigenvalues_are_the_ratios_of_variances_between_and_within() -> None:
    x = classes(corners([6.0, 2.0, 1.0]), corners([3.0, 0.5, 1.0]))
    assert value(x) == pytest.approx(entropy_rank([2, 4, 1]), rel=1e-4)


def test_equal_ratios_are_full_rank_whatever_the_variances() -> None:
    variances = [100.0, 1.0, 1e-3, 7.0]
    assert value(classes(corners(variances), corners(variances))) == pytest.approx(4, rel=1e-4)


def test_images_that_differ_in_one_direction_have_rank_one() -> None:
    x = classes(corners([1.0, 0, 0, 0, 0]), corners([1.0] * 5))
    assert value(x) == pytest.approx(1, abs=1e-4)
    assert value(0 * x) == pytest.approx(1, abs=1e-4)  # no two images differ


def test_it_does_not_see_an_invertible_map_of_the_embedding() -> None:
    """Unlike every rank of the embeddings alone."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 50, 8, generator=generator).double() + torch.randn(50, 8, generator=generator)
    mixing = torch.randn(8, 8, generator=generator).double()
    assert value(x @ mixing) == pytest.approx(value(x), rel=1e-5)


def test_noise_of_the_views_alone_does_not_count() -> None:
    """Four directions tell images apart; twelve hold nothing but what differs between views."""
    generator = torch.Generator().manual_seed(1)
    means = torch.cat([torch.randn(400, 4, generator=generator), torch.zeros(400, 12)], dim=1)
    x = means + 0.1 * torch.randn(50, 400, 16, generator=generator)
    assert value(x) == pytest.approx(4, rel=0.02)
    # and those twelve have eigenvalues of 1 / Q against 100 of the four: much larger with two views
    assert value(x[:2]) > value(x)


def test_a_matrix_by_matrix_computation_agrees() -> None:
    """Equations 1 to 4 of arXiv 2312.04000v1, written out with a matrix root."""
    generator = torch.Generator().manual_seed(2)
    x = (torch.randn(5, 30, 7, generator=generator) + torch.randn(30, 7, generator=generator)).double()
    within, between = np.zeros((7, 7)), np.zeros((7, 7))
    means = x.mean(dim=0).numpy()
    for image in range(30):
        offset = means[image] - means.mean(axis=0)
        between += np.outer(offset, offset) / 29
        for view in range(5):
            offset = x[view, image].numpy() - means[image]
            within += np.outer(offset, offset) / (30 * 4)
    values, vectors = np.linalg.eigh(within + 1e-4 * np.eye(7))
    root = vectors @ np.diag(values**-0.5) @ vectors.T
    eigenvalues = np.linalg.eigvalsh(root @ between @ root)
    shares = eigenvalues / np.abs(eigenvalues).sum() + 1e-7
    assert value(x, 1e-4) == pytest.approx(math.exp(-(shares * np.log(shares)).sum()), rel=1e-9)


def test_more_dimensions_than_images() -> None:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(3, 6, 40, generator=generator)
    assert 1 < value(x, 1e-4) < 5.01  # N - 1 = 5, but for the 1e-7 of each share


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_gives_nan(bad: float) -> None:
    x = torch.ones(2, 4, 3)
    x[1, 2, 0] = bad
    assert math.isnan(value(x))


def test_embeddings_so_large_that_delta_is_lost_in_rounding_give_nan_and_no_error() -> None:
    """Of 8 images with 10 views, the covariance within has a rank of at most 72 of 128."""
    generator = torch.Generator().manual_seed(0)
    x_QND = 1e6 * torch.randn(10, 8, 128, generator=generator, dtype=torch.float64)
    assert math.isnan(lidar(x_QND).item())
