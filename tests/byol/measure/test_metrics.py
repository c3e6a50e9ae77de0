"""Collapse metrics on clouds whose numbers are known."""

import dataclasses
import inspect
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from byol.measure import metrics
from byol.measure.metrics import Metrics

ON_ONE: list[Callable[[Tensor], Tensor]] = [
    metrics.embedding_std,
    metrics.effective_rank,
    metrics.covariance_spectrum,
    metrics.uniformity,
    metrics.rankme,
    metrics.stable_rank,
]
ON_TWO: list[Callable[[Tensor, Tensor], Tensor]] = [
    metrics.alignment,
    metrics.positive_cosine,
    metrics.negative_cosine,
]


def gaussian(count: int, size: int, seed: int = 0) -> Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


def corners(size: int, copies: int = 1) -> Tensor:
    """+-e_k for every axis k: mean 0, covariance exactly 1 / D times the identity."""
    axes = torch.eye(size)
    return torch.cat([axes, -axes]).repeat(copies, 1)


def value(x: Tensor) -> float:
    return float(x.item())


def test_std_is_one_for_an_isotropic_cloud_and_zero_for_a_point() -> None:
    assert value(metrics.embedding_std(corners(6))) == pytest.approx(1.0, abs=1e-12)
    assert value(metrics.embedding_std(gaussian(20_000, 32))) == pytest.approx(1.0, abs=0.01)
    assert value(metrics.embedding_std(gaussian(1, 32).repeat(50, 1))) == pytest.approx(0.0, abs=1e-12)


def test_std_does_not_see_the_length_of_an_embedding() -> None:
    x = gaussian(100, 8)
    lengths = torch.linspace(0.1, 50, 100)[:, None]
    assert value(metrics.embedding_std(x * lengths)) == pytest.approx(
        value(metrics.embedding_std(x)), rel=1e-6
    )


def test_std_of_two_dimensions_out_of_eight() -> None:
    # each used axis has variance 1/2, the others none: sqrt(8) * 2 sqrt(1/2) / 8
    x = torch.cat([corners(2), torch.zeros(4, 6)], dim=1)
    assert value(metrics.embedding_std(x)) == pytest.approx(0.5, abs=1e-12)


def test_std_keeps_its_digits_near_collapse() -> None:
    mean = torch.ones(1, 64, dtype=torch.float64)
    x = mean + 1e-5 * gaussian(4000, 64).double()
    # around the mean direction unit vectors spread by 1e-5 / 8 per dimension, less the mean's own
    assert value(metrics.embedding_std(x)) == pytest.approx(1e-5 * math.sqrt(63 / 64), rel=0.02)


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_equal_directions_have_their_number_as_rank(rank: int) -> None:
    x = torch.cat([corners(rank, copies=5), torch.zeros(10 * rank, 8 - rank)], dim=1)
    rotation, _ = torch.linalg.qr(gaussian(8, 8, seed=1))
    assert value(metrics.effective_rank(x @ rotation)) == pytest.approx(rank, rel=1e-4)
    assert value(metrics.rankme(x @ rotation)) == pytest.approx(rank, rel=1e-4)
    assert value(metrics.stable_rank(x @ rotation)) == pytest.approx(rank, rel=1e-4)


def test_effective_rank_of_a_constructed_spectrum() -> None:
    # axis k used by n_k unit vectors: singular values sqrt(n_k), here 1, 2 and 3
    x = torch.eye(5)[torch.tensor([0] + [1] * 4 + [2] * 9)]
    shares = np.array([1, 2, 3]) / 6
    assert value(metrics.effective_rank(x)) == pytest.approx(math.exp(-(shares * np.log(shares)).sum()))


def test_full_collapse_has_rank_one_although_its_noise_is_isotropic() -> None:
    collapsed = torch.ones(1, 32) + 1e-6 * gaussian(500, 32)
    assert value(metrics.effective_rank(collapsed)) == pytest.approx(1.0, abs=1e-3)


def test_fewer_samples_than_dimensions() -> None:
    x = gaussian(5, 40)
    values = torch.linalg.svdvals(torch.nn.functional.normalize(x.double(), dim=1))
    shares = values / values.sum()
    assert value(metrics.effective_rank(x)) == pytest.approx(value((-shares * shares.log()).sum().exp()))
    spectrum = metrics.covariance_spectrum(x)
    assert spectrum.shape == (40,)
    assert spectrum[4:].abs().max() < 1e-15


def test_covariance_spectrum_is_numpys() -> None:
    x = gaussian(200, 6) * torch.arange(1.0, 7.0) + 1
    unit = x.double().numpy() / np.linalg.norm(x.double().numpy(), axis=1, keepdims=True)
    expected = np.linalg.eigvalsh(np.cov(unit.T, bias=True))[::-1]
    np.testing.assert_allclose(metrics.covariance_spectrum(x).numpy(), expected, atol=1e-14)
    assert expected.sum() == pytest.approx(1 - (unit.mean(axis=0) ** 2).sum())


def scaled_axes(lengths: list[float], copies: int = 3) -> Tensor:
    """+-l_k e_k for each length: singular values in the proportion of the lengths."""
    axes = torch.diag(torch.tensor(lengths))
    return torch.cat([axes, -axes]).repeat(copies, 1)


def test_rankme_and_stable_rank_take_embeddings_at_their_own_length() -> None:
    x = scaled_axes([3.0, 2.0, 1.0])
    shares = np.array([3, 2, 1]) / 6
    assert value(metrics.rankme(x)) == pytest.approx(math.exp(-(shares * np.log(shares)).sum()), rel=1e-5)
    assert value(metrics.stable_rank(x)) == pytest.approx((9 + 4 + 1) / 9)
    assert value(metrics.effective_rank(x)) == pytest.approx(3)  # at unit length the axes are alike


def test_rankme_is_the_formula_of_its_paper() -> None:
    """Equations 1 and 2 of arXiv 2210.02885, with numpy's singular values."""
    x = gaussian(300, 40) * torch.logspace(0, -5, 40) + 0.3
    values = np.linalg.svd(x.double().numpy(), compute_uv=False)
    p = values / np.abs(values).sum() + 1e-7
    assert value(metrics.rankme(x)) == pytest.approx(math.exp(-(p * np.log(p)).sum()), rel=1e-9)
    assert value(metrics.stable_rank(x)) == pytest.approx(
        np.linalg.norm(x.double().numpy(), "fro") ** 2 / np.linalg.norm(x.double().numpy(), 2) ** 2
    )


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_ranks_at_own_length_do_not_see_a_common_scale(scale: float) -> None:
    x = gaussian(200, 12) + 0.5
    for measure in (metrics.rankme, metrics.stable_rank):
        assert value(measure(scale * x)) == pytest.approx(value(measure(x)), rel=1e-5)


def test_a_gaussian_cloud_has_full_rank_and_a_point_has_one() -> None:
    """Singular values of a Gaussian matrix lie within sqrt(N) +- sqrt(D) (Marchenko and Pastur)."""
    wide, point = gaussian(40_000, 16), torch.ones(1, 16) + 1e-7 * gaussian(500, 16)
    for measure in (metrics.rankme, metrics.stable_rank):
        assert 16 * (200 - 4) ** 2 / (200 + 4) ** 2 < value(measure(wide)) < 16.001
        assert value(measure(point)) == pytest.approx(1, abs=1e-3)


def test_the_spread_of_each_dimension_has_the_embeddings_std_as_its_mean() -> None:
    x = torch.cat([corners(2), torch.zeros(4, 6)], dim=1)
    # sqrt(8) times sqrt(1/2) on two axes, none on six
    expected = torch.tensor([2.0, 2, 0, 0, 0, 0, 0, 0], dtype=torch.float64)
    torch.testing.assert_close(metrics.dimension_stds(x), expected)
    cloud = gaussian(300, 24) * torch.linspace(0, 2, 24)
    assert value(metrics.dimension_stds(cloud).mean()) == pytest.approx(value(metrics.embedding_std(cloud)))


@pytest.mark.parametrize("count", [5, 1500])
def test_uniformity_is_the_log_mean_over_pairs(count: int) -> None:
    x = gaussian(count, 7)
    unit = torch.nn.functional.normalize(x.double(), dim=1)
    reference = torch.pdist(unit).square().mul(-2).exp().mean().log()
    assert value(metrics.uniformity(x)) == pytest.approx(value(reference), abs=1e-10)


def test_uniformity_of_known_configurations() -> None:
    assert value(metrics.uniformity(torch.ones(30, 4))) == pytest.approx(0.0, abs=1e-12)
    assert value(metrics.uniformity(torch.tensor([[3.0, 0.0], [-1.0, 0.0]]))) == pytest.approx(-8.0)
    # a square's corners: of each point's three partners two at squared distance 2, one at 4
    square = corners(2)
    assert value(metrics.uniformity(square)) == pytest.approx(math.log((2 * math.exp(-4) + math.exp(-8)) / 3))


def test_alignment_and_cosines_of_two_views() -> None:
    x = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])
    y = torch.tensor([[5.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    # cosines, row by column: [1 1 0], [0 0 1], [-1 -1 0]
    assert value(metrics.positive_cosine(x, y)) == pytest.approx(1 / 3)
    assert value(metrics.negative_cosine(x, y)) == pytest.approx((1 + 0 + 0 + 1 - 1 - 1) / 6)
    assert value(metrics.alignment(x, y)) == pytest.approx((0 + 2 + 2) / 3)


def test_alignment_is_two_minus_two_cosines() -> None:
    x, y = gaussian(50, 9), gaussian(50, 9, seed=1)
    assert value(metrics.alignment(x, y)) == pytest.approx(2 - 2 * value(metrics.positive_cosine(x, y)))


def test_a_point_has_all_cosines_at_one() -> None:
    x = gaussian(1, 16).repeat(20, 1)
    assert value(metrics.positive_cosine(x, x)) == pytest.approx(1.0)
    assert value(metrics.negative_cosine(x, x)) == pytest.approx(1.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_gives_nan_and_no_exception(bad: float) -> None:
    x = gaussian(12, 5)
    x[3, 2] = bad
    for measure in ON_ONE:
        assert measure(x).isnan().all(), measure
    assert all(math.isnan(part) for part in metrics.spread("representation", x).values())
    for measure_pair in ON_TWO:
        assert measure_pair(x, gaussian(12, 5)).isnan().all(), measure_pair


def test_dead_embeddings_read_as_collapsed() -> None:
    dead = torch.zeros(10, 4)
    assert value(metrics.embedding_std(dead)) == 0
    assert value(metrics.effective_rank(dead)) == 1
    assert value(metrics.uniformity(dead)) == pytest.approx(0)
    assert value(metrics.rankme(dead)) == pytest.approx(1, abs=1e-4)
    assert value(metrics.stable_rank(dead)) == 0
    assert metrics.dimension_stds(dead).tolist() == [0] * 4


def test_half_precision_is_measured_at_its_own_values() -> None:
    x = gaussian(64, 8).to(torch.bfloat16)
    for measure in ON_ONE:
        torch.testing.assert_close(measure(x), measure(x.double()), rtol=0, atol=0)


def test_every_field_of_a_record_is_documented() -> None:
    text = inspect.getsource(Metrics)
    for field in dataclasses.fields(Metrics):
        _, _, rest = text.partition(f"\n    {field.name}: ")
        assert rest.split("\n")[1].strip().startswith('"""'), field.name
