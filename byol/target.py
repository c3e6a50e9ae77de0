"""How the target follows the online network: which tensors move, and with which tau at each step.

Shape suffix: K the number of optimiser steps.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from byol.networks import Branch
from byol.schedules import every_nth


@dataclass(frozen=True, kw_only=True)
class Average:
    """Tensors of the target that move with the same tau."""

    tau_K: Tensor
    """tau after each step, on the device."""
    target: list[Tensor]
    """What moves."""
    online: list[Tensor]
    """What it moves towards, in the same order."""

    @torch.no_grad()
    def move(self, step_1: Tensor) -> None:
        """target <- tau x target + (1 - tau) x online, with the tau of the step whose index [1] is given."""
        tau = self.tau_K.index_select(0, step_1).squeeze(0)
        torch._foreach_mul_(self.target, tau)
        torch._foreach_add_(self.target, list(torch._foreach_mul(self.online, 1 - tau)))


def averages(
    online: Branch, target: Branch, *, tau_K: Tensor, projector_tau_K: Tensor, every: int, statistics: str
) -> list[Average]:
    """What moves after a step.

    All parameters do, those of normalisation layers included; of the buffers, only BatchNorm's running mean
    and variance, and only where the target normalises by them (`statistics` is not "batch"). In train mode
    nothing depends on the target's, so each network has its own.

    Args:
        online: the online network.
        target: the target, another module of the same structure.
        tau_K: tau of encoder and running statistics, on the device.
        projector_tau_K: tau of the projector; the same tensor if it is that of the encoder.
        every: steps between two updates.
        statistics: `target_statistics` of the configuration.
    """
    shares = [(tau_K, target.encoder, online.encoder), (projector_tau_K, target.projector, online.projector)]
    if projector_tau_K is tau_K:
        shares = [(tau_K, target, online)]
    moving = [
        Average(tau_K=every_nth(tau_K, every), target=list(to.parameters()), online=list(of.parameters()))
        for tau_K, to, of in shares
    ]
    if statistics != "batch":
        tau_K = torch.zeros_like(tau_K) if statistics == "copied" else tau_K
        buffers = running_statistics(target), running_statistics(online)
        moving.append(Average(tau_K=every_nth(tau_K, every), target=buffers[0], online=buffers[1]))
    return [average for average in moving if average.target]


def running_statistics(module: nn.Module) -> list[Tensor]:
    """Running mean and variance of each BatchNorm inside `module`."""
    norms = [child for child in module.modules() if isinstance(child, _BatchNorm)]
    statistics = [(norm.running_mean, norm.running_var) for norm in norms]
    return [tensor for pair in statistics for tensor in pair if tensor is not None]
