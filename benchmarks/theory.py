"""The learner where theory knows the answer: linear encoder, linear predictor, data of known covariance.

`fixed_points`, `threshold` and `integrate` are theory, written out without the learner. `linear_learner` is
the product itself: its step, its loss (`loss_norm: none`), its optimiser (SGD without momentum), its update
of the target.

Symbols, as in Tian et al. 2021 (arXiv 2102.06810), sections 3 and 4. The data have the covariance X = I, the
augmentation adds noise of covariance X' = sigma^2 I, W is the encoder, W_p the predictor, W_a the target. If
W_a = tau W, and W_p and W W^T have the same eigenvectors and eigenvalues p and s, each mode follows

    dp/dt   = alpha s (tau - (1 + sigma^2) p) - eta p
    ds/dt   = 2 p s (tau - (1 + sigma^2) p) - 2 eta s
    dtau/dt = beta (1 - tau) - tau (ds/dt) / (2 s)

eta is the weight decay, alpha the predictor's rate relative to the encoder's: `predictor_lr_scale`, with
`predictor_weight_decay` eta / alpha, for alpha does not multiply eta.

Their tau is no setting but the ratio of the target's weights to the online ones: it is 1 where the target is
the online network, and at every fixed point of all three equations. The setting `tau_base` is a rate: one
step of length `rate` moves the target by a share of 1 - tau_base, so beta = (1 - tau_base) / rate.

Shape suffixes: M modes, that is features of the encoder; I inputs of the encoder; B batch; T times.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from byol.config import TrialConfig
from byol.learner import Learner

Floats = npt.NDArray[np.float64]

_IMAGE = (3, 2, 2)  # channels, height, width of a view
_INPUTS = math.prod(_IMAGE)
_PARTS = 2  # of a Runge-Kutta step, for each step of the learner


def fixed_points(weight_decay: float, noise: float, ratio: float = 1.0) -> tuple[float, float] | None:
    """Where p stays besides 0 on the balanced curve s = p^2: the unstable point, then the stable one.

        p = (tau -+ sqrt(tau^2 - 4 eta (1 + sigma^2))) / (2 (1 + sigma^2))

    Below the first, p goes to 0; above, to the second.

    Args:
        weight_decay: eta.
        noise: sigma^2.
        ratio: tau, the target's weights relative to the online ones.

    Returns:
        None above the threshold, where only 0 is left.

    Source: Tian et al. 2021, section 4.
    """
    root = ratio**2 - 4 * weight_decay * (1 + noise)
    if root < 0:
        return None
    return (ratio - math.sqrt(root)) / (2 * (1 + noise)), (ratio + math.sqrt(root)) / (2 * (1 + noise))


def threshold(noise: float, ratio: float = 1.0) -> float:
    """The weight decay above which every mode collapses: tau^2 / (4 (1 + sigma^2)).

    Source: Tian et al. 2021, section 4.
    """
    return ratio**2 / (4 * (1 + noise))


@dataclass(frozen=True, kw_only=True)
class Flow:
    """The equations of one mode, in continuous time.

    Attributes:
        weight_decay: eta.
        noise: sigma^2.
        predictor_rate: alpha.
        target_rate: beta; infinite where the target is the online network.
        stop_gradient: without it, the gradient of the whole loss, s ((p - 1)^2 + sigma^2 (p^2 + 1)) / 2, with
            the target as online network. That is theorem 2 of Tian et al. 2021 in one mode.
    """

    weight_decay: float
    noise: float
    predictor_rate: float = 1.0
    target_rate: float = math.inf
    stop_gradient: bool = True

    def __call__(self, state_3M: Floats) -> Floats:
        """Rates of change of p, s and tau, each [M]."""
        p, s, tau = state_3M
        pull = tau - (1 + self.noise) * p
        p_rate = self.predictor_rate * s * pull - self.weight_decay * p
        if not self.stop_gradient:
            shrink = (p - 1) ** 2 + self.noise * (p**2 + 1) + self.weight_decay
            return np.stack([p_rate, -2 * s * shrink, 0 * tau])
        s_rate = 2 * p * s * pull - 2 * self.weight_decay * s
        if math.isinf(self.target_rate):
            return np.stack([p_rate, s_rate, 0 * tau])
        return np.stack([p_rate, s_rate, self.target_rate * (1 - tau) - tau * s_rate / (2 * s)])


def integrate(flow: Flow, p_M: Floats, s_M: Floats, *, rate: float, steps: int) -> Floats:
    """Solves the equations from tau = 1, by Runge-Kutta of order 4.

    Args:
        flow: the equations.
        p_M: eigenvalues of the predictor at the start.
        s_M: eigenvalues of W W^T at the start.
        rate: time between two rows.
        steps: number of rows after the first.

    Returns:
        [T, 3, M]: p, s and tau after 0, 1, ... `steps` times `rate`.
    """
    state = np.stack([p_M, s_M, np.ones_like(p_M)])
    rows = [state]
    part = rate / _PARTS
    for _ in range(steps):
        for _ in range(_PARTS):
            first = flow(state)
            second = flow(state + part / 2 * first)
            third = flow(state + part / 2 * second)
            fourth = flow(state + part * third)
            state = state + part / 6 * (first + 2 * second + 2 * third + fourth)
        rows.append(state)
    return np.stack(rows)


def linear_learner(encoder_MI: Tensor, predictor_MM: Tensor, settings: Mapping[str, Any]) -> Learner:
    """A learner without projector and biases whose encoder and predictor are these matrices.

    Its gradient is that of E |W_p W x1 - W_a x2|^2 / 2, the loss of Tian et al. 2021, unless `settings` say
    otherwise.

    Args:
        encoder_MI: W.
        predictor_MM: W_p; not used by `predictor: none`.
        settings: of the trial, besides those below. `lr` is the rate of each step (not per 256 images).
    """
    modes = len(encoder_MI)
    fixed = {
        "projector_depth": 0,
        "head_bias": "none",
        "lr_schedule": "constant",
        "tau_schedule": "constant",
        "momentum": 0.0,
    }
    defaults = {"predictor": "linear", "loss_norm": "none", "symmetric": False, "batch_size": 64}
    chosen = {**fixed, **defaults, **settings}
    chosen["loss_scale"] = 0.25 if chosen["symmetric"] else 0.5
    chosen["lr"] *= 256 / chosen["batch_size"]
    config = TrialConfig(**chosen)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(encoder_MI.shape[1], modes, bias=False))
    learner = Learner(
        config, train_images=config.batch_size, device=torch.device("cpu"), encoder=(encoder, modes)
    )
    with torch.no_grad():
        for module, weight in ((learner.online.encoder, encoder_MI), (learner.predictor, predictor_MM)):
            for parameter in module.parameters():  # one, or none
                parameter.copy_(weight)
    learner.target.load_state_dict(learner.online.state_dict())
    return learner


def diagonal(values_M: Floats) -> Tensor:
    """A diagonal encoder [M, I] with these singular values."""
    encoder_MI = torch.zeros(len(values_M), _INPUTS)
    encoder_MI.diagonal().copy_(torch.from_numpy(values_M))
    return encoder_MI


def gaussian_views(noise: float, batch_size: int = 64) -> tuple[Tensor, Tensor]:
    """Two views [B, 3, 2, 2] of Gaussian data, whose first and second moments are exact in the batch.

    With u the data and n1, n2 the noise of the views: mean 0, E u u^T = I, E n n^T = sigma^2 I, and no
    correlation between u, n1 and n2. So a step on this batch is one on all data. The Gaussian sample is
    orthogonalised for that, so `batch_size` must exceed 3 x 12 columns.
    """
    generator = torch.Generator().manual_seed(0)
    sample = torch.randn(batch_size, 3 * _INPUTS, generator=generator, dtype=torch.float64)
    constant = torch.ones(batch_size, 1, dtype=torch.float64)
    orthonormal, _ = torch.linalg.qr(torch.cat([constant, sample], dim=1))
    data, noise1, noise2 = (orthonormal[:, 1:] * math.sqrt(batch_size)).split(_INPUTS, dim=1)
    view1, view2 = (
        (data + math.sqrt(noise) * n).float().reshape(batch_size, *_IMAGE) for n in (noise1, noise2)
    )
    return view1, view2


def weights(learner: Learner) -> tuple[Floats, Floats, Floats]:
    """W [M, I], W_p [M, M] (the identity without a predictor) and W_a [M, I], in float64."""
    encoder_MI, target_MI = _weight(learner.online), _weight(learner.target)
    has_predictor = learner.config.predictor != "none"
    return encoder_MI, _weight(learner.predictor) if has_predictor else np.eye(len(encoder_MI)), target_MI


def _weight(module: nn.Module) -> Floats:
    [parameter] = module.parameters()
    weight: Floats = parameter.detach().numpy().astype(np.float64)
    return weight


def train(learner: Learner, noise: float, see: Callable[[Learner], object] | None = None) -> Learner:
    """Takes all its steps on `gaussian_views`; calls `see` before the first step and after each."""
    view1, view2 = gaussian_views(noise, learner.config.batch_size)
    if see:
        see(learner)
    for _ in range(learner.total_steps):
        learner.step(view1, view2)
        if see:
            see(learner)
    return learner
