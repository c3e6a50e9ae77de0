"""Linear predictors whose weight follows a rule after every step of the optimiser.

Shape suffixes: B batch, D projection features.
"""

import torch
from torch import Tensor, nn

_LEAST_EIGENVALUE = 1e-4  # luckmatters clamps there, whatever eps is


class SymmetricLinear(nn.Linear):
    """A square linear layer whose weight is made symmetric after every step: W <- (W + W^T) / 2.

    It is a projection, not another parametrisation, and the initial weight is left as it was drawn, both as
    in the source. Under SGD, whose updates are linear in the gradient, a weight that starts symmetric takes
    the same steps as one that is parametrised as (A + A^T) / 2; under LARS and AdamW it does not.

    Source: Tian et al. 2021 (arXiv 2102.06810); facebookresearch/luckmatters,
    ssl/real-dataset/byol_trainer.py, `regulate_predictor`, `predictor_reg` "symmetric".
    """

    @torch.no_grad()
    def after_step(self) -> None:
        """Makes the weight symmetric."""
        self.weight.copy_((self.weight + self.weight.T) / 2)


class DirectLinear(nn.Linear):
    """A matrix W that is set from the correlation F of its inputs z, as DirectPred and DirectCopy do.

    After each step, with the correlation of all inputs of the step, not centred (of all views, and all parts
    of an accumulated batch),

        F <- rho F + (1 - rho) mean(z z^T),        F = mean(z z^T) at the first step,

    and at the first step and every `every` steps from there, with F = U diag(s) U^T and W's eigenvalues p,

        DirectPred:  p = sqrt(max(s, 0) / max(s)) + eps, at least 1e-4;    W = U diag(p) U^T,
        DirectCopy:  W = F + eps I.

    So a step predicts with a W from the steps before it, and the first step with a random one. In between, W
    is a weight like others, which the optimiser trains.

    The state is in buffers, which checkpoints hold. On a GPU, `torch.linalg.eigh` waits for its own result,
    at each step whatever `every` is; DirectCopy never waits. An F that is not finite gives a W that is not a
    number, so that the trial diverges instead of failing.

    Source: Tian et al. 2021 (arXiv 2102.06810), equations 18 and 19; Wang et al. 2021 (arXiv 2110.04947);
    facebookresearch/luckmatters, ssl/real-dataset/byol_trainer.py, `predictor_reg` "corr": DirectPred is its
    `balance_type` "boost_scale" with `dyn_convert` 2, DirectCopy its "direct" with 1, which rescales nothing.
    """

    correlation_DD: Tensor
    sum_DD: Tensor
    inputs: Tensor
    steps: Tensor

    def __init__(self, features: int, *, root: bool, rho: float, eps: float, every: int) -> None:
        """Draws the first weight as `nn.Linear` does.

        Args:
            features: D.
            root: whether W is the root of F (DirectPred), not F itself (DirectCopy).
            rho: weight of the past in F, 0..1.
            eps: added to each eigenvalue of W.
            every: steps between two settings of W.
        """
        super().__init__(features, features, bias=False)
        self.root, self.rho, self.eps, self.every = root, rho, eps, every
        self.register_buffer("correlation_DD", torch.zeros(features, features))
        self.register_buffer("sum_DD", torch.zeros(features, features))
        self.register_buffer("inputs", torch.zeros(()))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, z_BD: Tensor) -> Tensor:
        """Predicts; in train mode, also adds the inputs to the step's correlation."""
        if self.training:
            with torch.no_grad(), torch.autocast(z_BD.device.type, enabled=False):
                self.sum_DD.add_(z_BD.float().T @ z_BD.float())
                self.inputs.add_(len(z_BD))
        return super().forward(z_BD)

    @torch.no_grad()
    def after_step(self) -> None:
        """Moves F by the inputs since the last call, and sets the weight where it is due."""
        step_DD = self.sum_DD / self.inputs
        moved_DD = self.rho * self.correlation_DD + (1 - self.rho) * step_DD
        self.correlation_DD.copy_(torch.where(self.steps == 0, step_DD, moved_DD))
        weight_DD = self._root() if self.root else self.correlation_DD + self.eps * self._identity()
        self.weight.copy_(torch.where(self.steps % self.every == 0, weight_DD, self.weight))
        self.sum_DD.zero_()
        self.inputs.zero_()
        self.steps.add_(1)

    def _root(self) -> Tensor:
        is_finite = self.correlation_DD.isfinite().all()
        # eigh raises where it meets infinity or NaN.
        s_D, u_DD = torch.linalg.eigh(torch.where(is_finite, self.correlation_DD, self._identity()))
        largest = s_D[-1].clamp(min=torch.finfo(s_D.dtype).tiny)
        p_D = ((s_D.clamp(min=0) / largest).sqrt() + self.eps).clamp(min=_LEAST_EIGENVALUE)
        return torch.where(is_finite, (u_DD * p_D) @ u_DD.T, torch.nan)

    def _identity(self) -> Tensor:
        return torch.eye(self.in_features, device=self.weight.device)


def after_step(predictor: nn.Module) -> None:
    """Applies the rules of the layers of a predictor; most have none."""
    for layer in predictor.modules():
        if isinstance(layer, SymmetricLinear | DirectLinear):
            layer.after_step()
