"""Ghost batch normalisation: BatchNorm over groups of the images that go through a network together.

Shape suffixes: B batch, C channels, G groups, I images in a group, `...` positions, if any.
"""

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

Module = TypeVar("Module", bound=nn.Module)


class _Ghost(_BatchNorm):
    """In train mode, each group of `ghost_batch` consecutive images is normalised by statistics of its own.

    Running statistics move by one group after the other, as they would if the groups were batches. In eval
    mode it is BatchNorm.

    Source: Hoffer et al. 2017 (arXiv 1705.08741), algorithm 1.
    """

    ghost_batch: int

    def forward(self, x: Tensor) -> Tensor:
        """Normalises [B, C, ...]; B is a multiple of `ghost_batch` in train mode."""
        if not self.training or len(x) == self.ghost_batch:
            return super().forward(x)
        assert len(x) % self.ghost_batch == 0, "groups of images must be equal"
        groups, channels = len(x) // self.ghost_batch, x.shape[1]
        # To batch normalisation, the same channel of two groups is two channels.
        grouped = x.unflatten(0, (groups, self.ghost_batch)).transpose(0, 1).flatten(1, 2)  # [I, G C, ...]
        # With momentum 1, these become the statistics of the groups.
        means, variances = (torch.zeros(groups * channels, device=x.device) for _ in range(2))
        scale, shift = (None if p is None else p.repeat(groups) for p in (self.weight, self.bias))
        normalised = functional.batch_norm(
            grouped, means, variances, scale, shift, training=True, momentum=1.0, eps=self.eps
        )
        self._move_running(means.view(groups, channels), variances.view(groups, channels))
        result: Tensor = normalised.unflatten(1, (groups, channels)).transpose(0, 1).flatten(0, 1)
        return result

    @torch.no_grad()
    def _move_running(self, means_GC: Tensor, variances_GC: Tensor) -> None:
        assert self.momentum is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        groups = len(means_GC)
        age_G = torch.arange(groups - 1, -1, -1, device=means_GC.device)
        weight_G1 = (self.momentum * (1 - self.momentum) ** age_G).unsqueeze(1)
        for running_C, group_GC in ((self.running_mean, means_GC), (self.running_var, variances_GC)):
            running_C.mul_((1 - self.momentum) ** groups).add_((weight_G1 * group_GC).sum(0))
        self.num_batches_tracked.add_(groups)


class GhostBatchNorm1d(_Ghost, nn.BatchNorm1d):
    """Over [B, C]."""


class GhostBatchNorm2d(_Ghost, nn.BatchNorm2d):
    """Over [B, C, H, W]."""


def use_ghost_batches(module: Module, size: int) -> Module:
    """Turns each BatchNorm inside `module` into one over groups of `size` images, in place; 0 is none."""
    for child in module.modules() if size else ():
        if type(child) is nn.BatchNorm1d:
            child.__class__ = GhostBatchNorm1d
        if type(child) is nn.BatchNorm2d:
            child.__class__ = GhostBatchNorm2d
        if isinstance(child, _Ghost):
            child.ghost_batch = size
    return module
