"""The learner's own step against the theory of linear self-supervised learners, whose equations are known.

Tian et al. 2021, "Understanding self-supervised learning dynamics without contrastive pairs" (arXiv
2102.06810).
Halvagal et al. 2023, "Implicit variance regularization in non-contrastive SSL" (arXiv 2212.04858);
code: fmi-basel/implicit-var-reg, notebooks/toy_networks.ipynb.
`benchmarks/theory.py` has the symbols and the equations.

Fixed points do not depend on the length of a step. Trajectories do, in first order: with steps of .02 they
are up to .014 from those in continuous time, with steps of .01 half as far.
"""

import math
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.theory import (
    Floats,
    Flow,
    diagonal,
    fixed_points,
    integrate,
    linear_learner,
    threshold,
    train,
    weights,
)
from byol.learner import Learner

STARTS = np.array([0.15, 0.3, 0.5, 0.7, 0.9, 1.1, 1.3, 1.5])
"""Eigenvalues, one a mode."""

OWN_PREDICTOR = {"predictor": "directcopy", "direct_rho": 0.0, "direct_eps": 0.0}
"""Halvagal's predictor, which is not trained: W_p = E z z^T, of the step before."""


def learner_of_modes(p_M: Floats, s_M: Floats, **settings: Any) -> Learner:
    """A learner whose modes do not mix: W_p has the eigenvalues p, W W^T the eigenvalues s."""
    return linear_learner(diagonal(np.sqrt(s_M)), torch.diag(torch.from_numpy(p_M).float()), settings)


def modes(learner: Learner) -> Floats:
    """p, s and the target's ratio tau, each [M], of a learner whose modes do not mix."""
    encoder_MI, predictor_MM, target_MI = weights(learner)
    w_M = np.diagonal(encoder_MI)
    state_3M: Floats = np.stack([np.diagonal(predictor_MM), w_M**2, np.diagonal(target_MI) / w_M])
    return state_3M


def ends(p_M: Floats, *, noise: float, **settings: Any) -> Floats:
    """p after training, from a balanced start (s = p^2)."""
    p_M, _, _ = modes(train(learner_of_modes(p_M, p_M**2, **settings), noise))
    return p_M


def eigenvalues(learner: Learner) -> Floats:
    """Of W W^T, the largest first."""
    encoder_MI = weights(learner)[0]
    return np.asarray(np.linalg.svd(encoder_MI, compute_uv=False) ** 2, dtype=np.float64)


@pytest.mark.parametrize(
    ("settings", "alpha", "beta"),
    [
        ({"tau_base": 0.0}, 1, math.inf),
        ({"tau_base": 0.0, "symmetric": True}, 1, math.inf),
        ({"tau_base": 0.0, "predictor_lr_scale": 2.0, "predictor_weight_decay": 0.05}, 2, math.inf),
        ({"tau_base": 0.98}, 1, 1.0),
        ({"tau_base": 0.998}, 1, 0.1),
    ],
)
def test_eigenvalues_follow_the_equations(settings: dict[str, Any], alpha: float, beta: float) -> None:
    """Tian et al. 2021, section 4: dp/dt, ds/dt and dtau/dt as `benchmarks/theory.py` has them.

    The start is not balanced (s is not p^2), so that all equations count. p changes by up to
    .95, s by 1.6.
    """
    noise, decay, rate, steps = 0.25, 0.1, 0.02, 500
    s_M = STARTS[::-1] ** 2
    learner = learner_of_modes(STARTS, s_M, lr=rate, steps=steps, weight_decay=decay, **settings)
    seen: list[Floats] = []
    train(learner, noise, lambda learner: seen.append(modes(learner)))
    flow = Flow(weight_decay=decay, noise=noise, predictor_rate=alpha, target_rate=beta)
    theory = integrate(flow, STARTS, s_M, rate=rate, steps=steps)
    np.testing.assert_allclose(np.stack(seen), theory, atol=0.016)


@pytest.mark.parametrize(
    ("noise", "share", "tau"), [(0.0, 0.5, 0.0), (0.25, 0.8, 0.0), (1.0, 0.6, 0.0), (0.25, 0.6, 0.95)]
)
def test_each_mode_ends_where_theory_says(noise: float, share: float, tau: float) -> None:
    """Tian et al. 2021, section 4: p-+ = (1 -+ sqrt(1 - 4 eta (1 + sigma^2))) / (2 (1 + sigma^2)).

    Modes that start above p- end at p+, those below it at 0. A moving average as target changes neither: its
    ratio tau ends at 1.
    """
    decay = share * threshold(noise)
    points = fixed_points(decay, noise)
    assert points is not None
    unstable, stable = points
    starts = np.array([0.5 * unstable, 0.95 * unstable, 1.05 * unstable, stable, 1.3 * stable])
    learner = learner_of_modes(starts, starts**2, lr=0.25, steps=700, weight_decay=decay, tau_base=tau)
    p_M, s_M, tau_M = modes(train(learner, noise))
    np.testing.assert_allclose(p_M[2:], stable, rtol=1e-3)
    np.testing.assert_allclose(s_M[2:], stable**2, rtol=1e-3)
    np.testing.assert_allclose(tau_M[2:], 1, rtol=1e-3)
    assert p_M[:2].max() < 0.02 * unstable


@pytest.mark.parametrize(("noise", "tau", "steps"), [(0.0, 0.0, 500), (1.0, 0.0, 1000), (0.0, 0.9, 1000)])
def test_threshold_of_weight_decay(noise: float, tau: float, steps: int) -> None:
    """Tian et al. 2021, section 4: every mode collapses where eta > tau^2 / (4 (1 + sigma^2)), with tau = 1.

    Their tau is the ratio of the weights, which a moving average takes to 1: the threshold stays where it is.
    """
    starts = np.array([0.7, 1.0, 1.3]) / (1 + noise)
    below, above = 0.96 * threshold(noise), 1.04 * threshold(noise)
    same = {"lr": 0.25, "steps": steps, "tau_base": tau}
    points = fixed_points(below, noise)
    assert points is not None
    np.testing.assert_allclose(ends(starts, noise=noise, weight_decay=below, **same), points[1], rtol=0.02)
    assert ends(starts, noise=noise, weight_decay=above, **same).max() < 0.02 / (1 + noise)


def test_without_stop_gradient_everything_goes_to_zero() -> None:
    """Tian et al. 2021, theorem 2: ds/dt = -2 s ((p - 1)^2 + sigma^2 (p^2 + 1)), and so W -> 0.

    Without weight decay: the missing stop-gradient is the cause.
    """
    noise, rate, steps = 0.25, 0.02, 500
    same = {"lr": rate, "steps": steps, "weight_decay": 0.0, "tau_base": 0.0}
    learner = learner_of_modes(STARTS, STARTS**2, stop_gradient=False, **same)
    seen: list[Floats] = []
    train(learner, noise, lambda learner: seen.append(modes(learner)))
    flow = Flow(weight_decay=0.0, noise=noise, stop_gradient=False)
    theory = integrate(flow, STARTS, STARTS**2, rate=rate, steps=steps)
    np.testing.assert_allclose(np.stack(seen), theory, atol=0.02)
    assert seen[-1][1].max() < 0.03


@pytest.mark.parametrize("decay", [0.0, 0.05])
def test_without_predictor_everything_goes_to_zero(decay: float) -> None:
    """Tian et al. 2021, theorem 2: dW/dt = -(sigma^2 + eta) W, a factor 1 - rate (sigma^2 + eta) a step."""
    noise, rate, steps = 0.25, 0.05, 400
    same = {"lr": rate, "steps": steps, "weight_decay": decay, "tau_base": 0.0}
    s_M = modes(train(learner_of_modes(STARTS, STARTS**2, predictor="none", **same), noise))[1]
    np.testing.assert_allclose(s_M, STARTS**2 * (1 - rate * (noise + decay)) ** (2 * steps), rtol=1e-3)
    assert s_M.max() < 1e-3


@pytest.mark.parametrize(("alpha", "tau"), [(1.0, 0.0), (1.0, 0.99), (2.0, 0.99)])
def test_balance_between_encoder_and_predictor(alpha: float, tau: float) -> None:
    """Tian et al. 2021, theorem 1: W W^T - W_p^T W_p / alpha = exp(-2 eta t) C, for any start and any target.

    The matrices are random, so nothing is symmetric and no eigenvectors agree.
    """
    noise, decay, rate, steps = 0.25, 0.3, 0.01, 400
    generator = torch.Generator().manual_seed(0)
    encoder = torch.randn(6, 12, generator=generator) / 4
    predictor = torch.randn(6, 6, generator=generator) / 3
    settings = {"lr": rate, "steps": steps, "weight_decay": decay, "tau_base": tau}
    own_predictor = {"predictor_lr_scale": alpha, "predictor_weight_decay": decay / alpha}
    learner = linear_learner(encoder, predictor, {**settings, **own_predictor})
    gaps: list[Floats] = []

    def see(learner: Learner) -> None:
        encoder_MI, predictor_MM, _ = weights(learner)
        gaps.append(encoder_MI @ encoder_MI.T - predictor_MM.T @ predictor_MM / alpha)

    train(learner, noise, see)
    expected = np.exp(-2 * decay * rate * np.arange(steps + 1))[:, None, None] * gaps[0]
    size = np.abs(gaps[0]).max()
    assert size > 0.5
    np.testing.assert_allclose(np.stack(gaps), expected, atol=0.01 * size)


@pytest.mark.parametrize("predictor", [{"predictor": "linear"}, OWN_PREDICTOR])
def test_euclidean_loss_makes_the_representation_isotropic(predictor: dict[str, Any]) -> None:
    """Halvagal et al. 2023, figure 2: with the Euclidean loss every eigenvalue of W W^T goes to 1.

    That is for sigma^2 -> 0. In general p goes to 1 / (1 + sigma^2), and s to p^2: by balance with a trained
    predictor, and because p = (1 + sigma^2) s with theirs.
    """
    noise, starts = 0.01, np.geomspace(0.2, 2, 8)
    same = {"lr": 0.1, "steps": 400, "weight_decay": 0.0, "tau_base": 0.0}
    found = eigenvalues(train(learner_of_modes(np.sqrt(starts), starts, **same, **predictor), noise))
    np.testing.assert_allclose(found, 1 / (1 + noise) ** 2, rtol=1e-3)
    np.testing.assert_allclose(found, 1, rtol=0.03)


def test_their_predictor_without_stop_gradient_goes_to_zero() -> None:
    """Halvagal et al. 2023, figure 2: the eigenvalues fall to 0, those below 1 soon, the others late."""
    starts = np.geomspace(0.2, 2, 8)
    same = {"lr": 0.1, "steps": 500, "weight_decay": 0.0, "tau_base": 0.0, "stop_gradient": False}
    learner = learner_of_modes(starts, starts, **same, **OWN_PREDICTOR)
    assert eigenvalues(train(learner, 0.01)).max() < 1e-3


@pytest.mark.parametrize("predictor", [{"predictor": "linear"}, OWN_PREDICTOR])
def test_cosine_loss_makes_the_representation_isotropic_at_its_own_scale(predictor: dict[str, Any]) -> None:
    """Halvagal et al. 2023, figure 5: with the cosine loss the eigenvalues become equal, but not 1.

    The loss does not change with the lengths of W and W_p, so its gradient keeps the trace of W W^T (up to
    the length of a step): all eigenvalues meet at their mean. Without noise this holds for every batch.
    """
    starts = np.array([0.1, 0.3, 1.0, 2.2])
    same = {"lr": 0.25, "steps": 1000, "weight_decay": 0.0, "tau_base": 0.0, "loss_norm": "l2"}
    learner = learner_of_modes(np.sqrt(starts), starts, **same, **predictor)
    np.testing.assert_allclose(eigenvalues(train(learner, 0.0)), starts.mean(), rtol=0.03)


@pytest.mark.parametrize("predictor", [{"predictor": "linear"}, OWN_PREDICTOR])
def test_cosine_loss_without_stop_gradient_loses_dimensions(predictor: dict[str, Any]) -> None:
    """Halvagal et al. 2023, figure 2: large eigenvalues grow and small ones fall; the sum does not fall.

    The gradient of this loss is orthogonal to W, so a step makes no |W| smaller: no collapse to 0.
    """
    starts = np.array([0.1, 0.3, 1.0, 2.2])
    same = {"lr": 0.2, "steps": 1000, "weight_decay": 0.0, "tau_base": 0.0, "loss_norm": "l2"}
    learner = learner_of_modes(
        np.sqrt(starts), starts, **same, stop_gradient=False, batch_size=256, **predictor
    )
    found = eigenvalues(train(learner, 0.01))
    assert found[-1] < 0.01 * starts.min()
    assert found[0] > starts.mean()
    assert found.sum() > 0.999 * starts.sum()
