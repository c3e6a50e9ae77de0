"""Each term against its authors' formula in loops, lightly's code and known limits; then whole systems."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from byol.config import TrialConfig
from byol.learner import Learner
from byol.presets import from_settings
from byol.regularisers import covariance, cross_correlation, directions, regularisation, sigreg, variance

B, D = 7, 4
Cloud = npt.NDArray[np.float64]


def cloud(seed: int, rows: int = B, columns: int = D, *, scale: float = 0.8) -> Tensor:
    """Correlated features of unequal spread, off the origin."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(columns, columns, dtype=torch.float64, generator=generator)
    points = torch.randn(rows, columns, dtype=torch.float64, generator=generator)
    return (scale * points @ mixing + torch.arange(columns) / 3).requires_grad_()


def gaussian(rows: int, columns: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, columns, dtype=torch.float64, generator=generator)


def unit_directions(count: int, columns: int = D) -> Tensor:
    return directions(gaussian(columns, count, seed=99))


# The authors' formulas, entry by entry


def mean_of(values: list[float]) -> float:
    return sum(values) / len(values)


def covariance_by_loops(x: Cloud, y: Cloud, i: int, j: int, divisor: int) -> float:
    mean_i, mean_j = mean_of(list(x[:, i])), mean_of(list(y[:, j]))
    products = [float((x[b, i] - mean_i) * (y[b, j] - mean_j)) for b in range(len(x))]
    return sum(products) / divisor


def variance_by_loops(z: Cloud) -> float:
    spreads = [math.sqrt(covariance_by_loops(z, z, i, i, len(z) - 1) + 1e-4) for i in range(z.shape[1])]
    return mean_of([max(0.0, 1 - spread) for spread in spreads])


def covariance_term_by_loops(z: Cloud) -> float:
    size = z.shape[1]
    pairs = [(i, j) for i in range(size) for j in range(size) if i != j]
    squares = [covariance_by_loops(z, z, i, j, len(z) - 1) ** 2 for i, j in pairs]
    return sum(squares) / int(size)


def barlow_by_loops(z1: Cloud, z2: Cloud, weight: float) -> float:
    total, size, batch = 0.0, z1.shape[1], len(z1)
    for i in range(size):
        for j in range(size):
            spread1 = covariance_by_loops(z1, z1, i, i, batch) + 1e-5
            spread2 = covariance_by_loops(z2, z2, j, j, batch) + 1e-5
            entry = covariance_by_loops(z1, z2, i, j, batch) / math.sqrt(spread1 * spread2)
            total += (1 - entry) ** 2 if i == j else weight * entry**2
    return total


def sigreg_by_loops(z: Cloud, slices: Cloud) -> float:
    """The integral from -3 to 3 with 33 knots, without its symmetry."""
    batch, statistics = len(z), []
    knots = [-3 + 6 * k / 32 for k in range(33)]
    for s in range(slices.shape[1]):
        along = [float(z[b] @ slices[:, s]) for b in range(batch)]
        heights = []
        for t in knots:
            empirical = sum(complex(math.cos(t * x), math.sin(t * x)) for x in along) / batch
            normal = math.exp(-(t**2) / 2)
            heights.append(abs(empirical - normal) ** 2 * normal)
        integral = sum((heights[k] + heights[k + 1]) / 2 * (6 / 32) for k in range(32))
        statistics.append(batch * integral)
    return mean_of(statistics)


def test_terms_are_the_formulas() -> None:
    z1, z2 = (cloud(seed, scale=0.4) for seed in (0, 1))
    x1, x2 = z1.detach().numpy(), z2.detach().numpy()
    slices = unit_directions(5)
    assert 0.05 < variance_by_loops(x1) < 0.9
    assert variance(z1).item() == pytest.approx(variance_by_loops(x1), rel=1e-12)
    assert covariance(z1).item() == pytest.approx(covariance_term_by_loops(x1), rel=1e-12)
    for weight in (0.0, 5e-3, 1.0):
        value = cross_correlation(z1, z2, off_diagonal_weight=weight).item()
        assert value == pytest.approx(barlow_by_loops(x1, x2, weight), rel=1e-12)
    assert sigreg(z1, slices).item() == pytest.approx(sigreg_by_loops(x1, slices.numpy()), rel=1e-12)


@pytest.mark.parametrize("term", ["variance", "covariance", "cross_correlation", "sigreg"])
def test_gradients_are_those_of_the_values(term: str) -> None:
    z1, z2 = (cloud(seed, scale=0.4) for seed in (2, 3))
    terms = {
        "variance": lambda z: variance(z),
        "covariance": lambda z: covariance(z),
        "cross_correlation": lambda z: cross_correlation(z, z2, off_diagonal_weight=0.1),
        "sigreg": lambda z: sigreg(z, unit_directions(3)),
    }
    assert torch.autograd.gradcheck(terms[term], (z1,))


def test_terms_over_views() -> None:
    """Variance and covariance of two views, cross-correlation a pair of views, SIGReg a view."""
    z = [cloud(seed, scale=0.4) for seed in range(3)]
    slices = unit_directions(4)
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = 2 * 2 / 3 * sum(variance(x) for x in z) + 3 * 2 / 3 * sum(covariance(x) for x in z)
    expected += 5 / 3 * sum(cross_correlation(z[i], z[j], off_diagonal_weight=0.2) for i, j in pairs)
    expected += 7 / 3 * sum(sigreg(x, slices) for x in z)
    total = regularisation(
        z,
        variance_weight=2,
        covariance_weight=3,
        cross_correlation_weight=5,
        cross_correlation_lambda=0.2,
        sigreg_weight=7,
        directions_DS=slices,
    )
    torch.testing.assert_close(total, expected)


def test_autocast_and_bfloat16_do_not_cost_digits() -> None:
    z = [cloud(seed).detach().to(torch.bfloat16) for seed in (4, 5)]
    weights = {"variance_weight": 1.0, "covariance_weight": 1.0, "cross_correlation_weight": 1.0}
    slices = {"sigreg_weight": 1.0, "directions_DS": unit_directions(4)}
    exact = regularisation([x.double() for x in z], **weights, **slices)  # type: ignore[arg-type]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = regularisation(z, **weights, **slices)  # type: ignore[arg-type]
    assert rounded.dtype == torch.float32
    assert rounded.item() == pytest.approx(exact.item(), rel=1e-4)


# Known limits


def test_an_isotropic_gaussian_has_nothing_to_regularise() -> None:
    z1, z2 = gaussian(20_000, 8, seed=1), gaussian(20_000, 8, seed=2)
    assert variance(z1).item() < 0.01
    assert covariance(z1).item() < 1e-3
    assert cross_correlation(z1, z1, off_diagonal_weight=5e-3).item() < 1e-3
    assert cross_correlation(z1, z2, off_diagonal_weight=0.0).item() == pytest.approx(8, rel=0.05)
    assert sigreg(z1, unit_directions(64, 8)).item() / len(z1) < 2e-4
    assert sigreg(3 * z1, unit_directions(64, 8)).item() / len(z1) > 0.1


@pytest.mark.parametrize("batch", [16, 64])
def test_sigreg_of_a_gaussian_does_not_depend_on_the_batch_in_the_mean(batch: int) -> None:
    """E |phi_B - phi|^2 is (1 - phi^2) / B, so the mean is the integral of (1 - phi^2) phi: 1.0525."""
    slices = unit_directions(1)
    values = np.array([sigreg(gaussian(batch, D, seed), slices).item() for seed in range(2000)])
    error = values.std() / math.sqrt(len(values))
    knots = np.linspace(-3, 3, 33)
    normal = np.exp(-(knots**2) / 2)
    assert abs(values.mean() - np.trapezoid((1 - normal**2) * normal, knots)) < 3.5 * error


@pytest.mark.parametrize("batch", [8, 32])
def test_a_point_has_the_known_values(batch: int) -> None:
    point = torch.ones(batch, D, dtype=torch.float64) / 3
    assert variance(point).item() == pytest.approx(0.99)  # 1 - sqrt(1e-4)
    assert covariance(point).item() == 0
    assert cross_correlation(point, point, off_diagonal_weight=1.0).item() == pytest.approx(D)
    knots = np.linspace(-3, 3, 33)
    normal = np.exp(-(knots**2) / 2)
    expected = batch * np.trapezoid((1 - normal) ** 2 * normal, knots)
    assert sigreg(0 * point, unit_directions(5)).item() == pytest.approx(expected, rel=1e-12)


def test_independent_features_have_the_covariance_of_chance() -> None:
    values = np.array([covariance(gaussian(16, 6, seed)).item() for seed in range(2000)])
    assert abs(values.mean() - 5 / 15) < 3.5 * values.std() / math.sqrt(len(values))


def test_directions_have_length_one() -> None:
    torch.testing.assert_close(unit_directions(9).norm(dim=0), torch.ones(9, dtype=torch.float64))


# lightly


def test_terms_are_those_of_lightly() -> None:
    vicreg = pytest.importorskip("lightly.loss.vicreg_loss")
    barlow = pytest.importorskip("lightly.loss.barlow_twins_loss")
    z1, z2 = (cloud(seed, scale=0.4) for seed in (6, 7))
    torch.testing.assert_close(variance(z1), vicreg.variance_loss(z1))
    torch.testing.assert_close(covariance(z1), vicreg.covariance_loss(z1))
    ours = cross_correlation(z1, z2, off_diagonal_weight=5e-3)
    torch.testing.assert_close(ours, barlow.BarlowTwinsLoss(lambda_param=5e-3)(z1, z2))


# Whole systems, as points among the settings


ONE_NETWORK = {"tau_base": 0, "tau_schedule": "constant", "stop_gradient": False, "predictor": "none"}


def system(**settings: Any) -> Learner:
    small = {"projector_width": 16, "projector_size": 8, "batch_size": 8, "image_size": 16, "steps": 10}
    config: TrialConfig = from_settings({**small, **ONE_NETWORK, "loss_norm": "none", **settings})
    return Learner(config, train_images=64, device=torch.device("cpu"))


def images(count: int = 2) -> list[Tensor]:
    return list(torch.randn(count, 8, 3, 16, 16, generator=torch.Generator().manual_seed(3)))


def projections(learner: Learner, views: list[Tensor]) -> list[Cloud]:
    return [learner.online(view)[1].detach().double().numpy() for view in views]


def test_vicreg_is_a_point_in_the_same_space() -> None:
    learner = system(regression_weight=25 / (2 * 8), variance_weight=25, covariance_weight=1)
    z1, z2 = projections(learner, images())
    invariance = mean_of([(z1[b, i] - z2[b, i]) ** 2 for b in range(8) for i in range(8)])
    expected = 25 * invariance + 25 * (variance_by_loops(z1) + variance_by_loops(z2))
    expected += covariance_term_by_loops(z1) + covariance_term_by_loops(z2)
    assert learner.loss(*images()).item() == pytest.approx(expected, rel=1e-5)


def test_vicreg_of_lightly_is_a_point_in_the_same_space() -> None:
    loss = pytest.importorskip("lightly.loss.vicreg_loss").VICRegLoss(25.0, 25.0, 1.0)
    learner = system(regression_weight=25 / (2 * 8), variance_weight=12.5, covariance_weight=1)
    ours = learner.loss(*images())
    theirs = loss(*(learner.online(view)[1] for view in images()))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    gradients = [torch.autograd.grad(total, list(learner.online.parameters())) for total in (ours, theirs)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_vicreg_without_weights_of_its_own_is_it_times_a_constant() -> None:
    """With `regression_weight` 1 and the others multiplied by 2 d / 25, the loss is 2 d / 25 VICReg's."""
    one = system(variance_weight=2 * 8, covariance_weight=2 * 8 / 25)
    same = system(regression_weight=25 / (2 * 8), variance_weight=25, covariance_weight=1)
    torch.testing.assert_close(one.loss(*images()), 2 * 8 / 25 * same.loss(*images()))


def test_barlow_twins_is_a_point_in_the_same_space() -> None:
    learner = system(regression_weight=0, cross_correlation_weight=1, cross_correlation_lambda=0.0051)
    z1, z2 = projections(learner, images())
    expected = barlow_by_loops(z1, z2, 0.0051)
    assert learner.loss(*images()).item() == pytest.approx(expected, rel=1e-4)


def test_barlow_twins_of_lightly_is_a_point_in_the_same_space() -> None:
    loss = pytest.importorskip("lightly.loss.barlow_twins_loss").BarlowTwinsLoss(lambda_param=0.0051)
    learner = system(regression_weight=0, cross_correlation_weight=1, cross_correlation_lambda=0.0051)
    theirs = loss(*(learner.online(view)[1] for view in images()))
    torch.testing.assert_close(learner.loss(*images()), theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("count", [2, 4])
def test_lejepa_is_a_point_in_the_same_space(count: int) -> None:
    """Its minimal example: lambda SIGReg + (1 - lambda) x the mean squared distance from the views' mean."""
    weight = 0.05
    regression = (1 - weight) * (count - 1) / (4 * count * 8)
    learner = system(view_count=count, regression_weight=regression, sigreg_weight=weight, sigreg_slices=6)
    z = np.stack(projections(learner, images(count)))
    drawn = learner._directions(8)
    spread = ((z - z.mean(axis=0)) ** 2).mean()
    sketch = mean_of([sigreg_by_loops(view, drawn.double().numpy()) for view in z])
    expected = (1 - weight) * spread + weight * sketch
    assert learner.loss(*images(count)).item() == pytest.approx(expected, rel=1e-5)


def test_every_step_has_slices_of_its_own_and_every_part_of_a_step_the_same() -> None:
    learner = system(sigreg_weight=1, accumulate=2)
    before = learner._directions(8)
    assert torch.equal(before, learner._directions(8))
    learner.step(*images())
    assert not torch.isclose(before, learner._directions(8)).any()
    again = system(sigreg_weight=1)
    assert torch.equal(before, again._directions(8))


def test_terms_are_of_the_online_network_whatever_the_target() -> None:
    """With a target of its own the term is the same, and only the online network has its gradient."""
    settings = {"variance_weight": 3.0, "stop_gradient": True, "predictor": "mlp", "symmetric": False}
    with_target = system(**settings, tau_base=0.9, target_init="fresh", regression_weight=1e-6)
    z = projections(with_target, images())
    regression = system(**{**settings, "variance_weight": 0.0}, tau_base=0.9, target_init="fresh")
    rest = 1e-6 * regression.loss(*images()).item()
    expected = 3 * (variance_by_loops(z[0]) + variance_by_loops(z[1])) + rest
    assert with_target.loss(*images()).item() == pytest.approx(expected, rel=1e-5)
    with_target.loss(*images()).backward()
    assert all(parameter.grad is None for parameter in with_target.target.parameters())


def test_without_a_projector_sigreg_is_of_the_representation() -> None:
    learner = system(projector_depth=0, regression_weight=0, sigreg_weight=1, sigreg_slices=6)
    z = projections(learner, images())
    assert z[0].shape[1] == learner.features != learner.config.projector_size
    drawn = learner._directions(learner.features)
    expected = sum(sigreg(torch.as_tensor(one), drawn).item() for one in z) / 2
    assert learner.loss(*images()).item() == pytest.approx(expected, rel=1e-5)
