"""Symmetric and directly set predictors against their sources' formulas in numpy, and against each other."""

import copy
import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from byol.learner import Learner
from byol.predictors import DirectLinear, after_step
from tests.byol.test_learner import NoHostReads, build_learner, views

Array = npt.NDArray[np.float64]


def luckmatters_predictor(correlation: Array, *, root: bool, eps: float) -> Array:
    """`compute_w_corr` of luckmatters (commit 625b5f7): boost_scale with dyn_convert 2, or direct with 1."""
    if not root:
        return correlation + eps * np.eye(len(correlation))
    eigenvalues, vectors = np.linalg.eigh(correlation)
    scaled = np.clip(eigenvalues, 0, None) / eigenvalues.max()
    values = np.clip(np.sqrt(scaled) + eps, 1e-4, None)
    return np.asarray(vectors @ np.diag(values) @ vectors.T)


def weight_of(learner: Learner) -> Tensor:
    weight = learner.predictor.get_submodule("0").weight
    assert isinstance(weight, Tensor)
    return weight


def inputs(steps: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    scale = torch.tensor([3.0, 1.0, 0.3, 0.1])
    return [torch.randn(6, 4, generator=generator) * scale + 0.5 for _ in range(steps)]


@pytest.mark.parametrize("root", [True, False])
@pytest.mark.parametrize("every", [1, 3])
def test_the_weight_is_that_of_the_source(root: bool, every: int) -> None:
    """The first correlation is taken as it is, later ones with 1 - rho; the first step sets the weight."""
    layer = DirectLinear(4, root=root, rho=0.3, eps=0.01, every=every)
    correlation: Array = np.zeros((4, 4))
    expected = layer.weight.detach().double().numpy().copy()
    for step, z in enumerate(inputs(7)):
        prediction = layer(z)
        np.testing.assert_allclose(prediction.detach().numpy(), z.numpy() @ expected.T, rtol=1e-4, atol=1e-4)
        layer.after_step()
        now = np.mean([np.outer(row, row) for row in z.double().numpy()], axis=0)
        correlation = now if step == 0 else 0.3 * correlation + 0.7 * now
        if step % every == 0:
            expected = luckmatters_predictor(correlation, root=root, eps=0.01)
        np.testing.assert_allclose(layer.weight.detach().numpy(), expected, rtol=1e-3, atol=1e-4)


def test_a_root_of_white_inputs_is_the_identity() -> None:
    layer = DirectLinear(4, root=True, rho=0.5, eps=0.25, every=1)
    layer(2 * torch.eye(4))
    layer.after_step()
    torch.testing.assert_close(layer.weight.detach(), 1.25 * torch.eye(4))


def test_a_correlation_is_over_all_inputs_of_a_step() -> None:
    """Both views and every part of a batch count alike."""
    whole, parted = (DirectLinear(4, root=True, rho=0.3, eps=0.01, every=1) for _ in range(2))
    for z in inputs(3):
        whole(z)
        for part in z.split(2):
            parted(part)
        parted.eval()
        parted(100 * z)
        parted.train()
        whole.after_step()
        parted.after_step()
    torch.testing.assert_close(whole.correlation_DD, parted.correlation_DD)
    assert parted.inputs.item() == 0


def test_a_dead_projection_gives_a_finite_weight_and_an_infinite_one_gives_nan() -> None:
    """Collapse and divergence are results: neither may raise."""
    layer = DirectLinear(3, root=True, rho=0.0, eps=0.1, every=1)
    layer(torch.zeros(5, 3))
    layer.after_step()
    torch.testing.assert_close(layer.weight.detach(), 0.1 * torch.eye(3))
    layer(torch.full((5, 3), torch.inf))
    layer.after_step()
    assert layer.weight.isnan().all()


@pytest.mark.parametrize("predictor", ["directpred", "directcopy"])
def test_the_learner_sets_the_predictor_from_both_views(predictor: str) -> None:
    learner = build_learner(predictor=predictor, accumulate=2, direct_eps=0.05)
    online = copy.deepcopy(learner.online)
    x1, x2 = views()
    with torch.no_grad():
        z = torch.cat([online(part)[1] for x in (x1, x2) for part in x.chunk(2)])
    learner.step(x1, x2)
    correlation = (z.double().T @ z.double() / len(z)).numpy()
    expected = luckmatters_predictor(correlation, root=predictor == "directpred", eps=0.05)
    np.testing.assert_allclose(weight_of(learner).detach().numpy(), expected, rtol=1e-3, atol=1e-3)
    with NoHostReads():
        learner.step(x1, x2)


def test_between_two_settings_the_predictor_is_trained_or_held() -> None:
    moved = {}
    for scale in (1.0, 0.0):
        learner = build_learner(predictor="directpred", direct_every=3, predictor_lr_scale=scale)
        weight = weight_of(learner)
        history = []
        for seed in range(4):
            learner.step(*views(seed))
            history.append(weight.detach().clone())
        moved[scale] = [not torch.equal(a, b) for a, b in itertools.pairwise(history)]
    assert moved == {1.0: [True, True, True], 0.0: [False, False, True]}


def test_directpred_learns_nothing_in_the_predictor_by_gradient() -> None:
    """With every = 1 the weight is the same whatever the predictor's own rate is."""
    slow, fast = (build_learner(predictor="directpred", predictor_lr_scale=scale) for scale in (0.0, 10.0))
    for seed in range(3):
        slow.step(*views(seed))
        fast.step(*views(seed))
    assert torch.equal(weight_of(slow), weight_of(fast))


class _Symmetric(nn.Module):
    def forward(self, a: Tensor) -> Tensor:
        return (a + a.T) / 2


def test_under_sgd_projection_is_the_symmetric_parametrisation() -> None:
    """torch's own parametrisation, trained by torch's SGD with momentum and decay, from a symmetric start."""
    settings: dict[str, Any] = {"predictor": "linear", "predictor_symmetric": True, "head_bias": "none"}
    learner = build_learner(**settings, lr_schedule="constant", weight_decay=0.1)
    after_step(learner.predictor)
    plain = nn.Linear(8, 8, bias=False)
    plain.load_state_dict({"weight": weight_of(learner).detach()})
    parametrize.register_parametrization(plain, "weight", _Symmetric())
    online, target = copy.deepcopy(learner.online), copy.deepcopy(learner.target)
    trained = [*online.parameters(), *plain.parameters()]
    optimizer = torch.optim.SGD(trained, lr=1.0 * 8 / 256, momentum=0.9, weight_decay=0.1)
    for seed in range(3):
        x1, x2 = views(seed)
        learner.step(x1, x2)
        q1, q2 = plain(online(x1)[1]), plain(online(x2)[1])
        with torch.no_grad():
            t1, t2 = target(x1)[1], target(x2)[1]
        loss = 4 - 2 * (functional.cosine_similarity(q1, t2) + functional.cosine_similarity(q2, t1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for tau, averaged, parameter in zip(
            learner.tau_table[seed].repeat(100), target.parameters(), online.parameters(), strict=False
        ):
            averaged.data.mul_(tau).add_((1 - tau) * parameter.data)
    weight = weight_of(learner).detach()
    torch.testing.assert_close(weight, plain.weight.detach(), atol=1e-5, rtol=1e-4)
    assert torch.equal(weight, weight.T)


def test_only_the_symmetric_predictor_is_symmetric() -> None:
    for symmetric in (True, False):
        learner = build_learner(predictor="linear", predictor_symmetric=symmetric, optimizer="lars")
        learner.step(*views())
        weight = weight_of(learner)
        assert torch.equal(weight, weight.T) == symmetric
