"""An objective of your own, in the place of the loss between predictions and targets.

Shape suffixes: B batch, D size of the projection.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from byol.config import TrialConfig
from byol.own_parts import PartError, is_own, load, naming_errors
from byol.precision import at_least_float32

Objective: TypeAlias = Callable[[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]], Tensor]
"""Predictions, targets and projections, [B, D] of each view -> a 0-dim loss."""


def own_objective(config: TrialConfig) -> Objective | None:
    """The function that `config.objective` names, with its settings; None for the built-in one.

    Raises:
        OtherPartError, PartError: as `byol.own_parts.load`.
    """
    if not is_own(config.objective):
        return None
    name, settings = config.objective, dict(config.objective_settings.items)
    function = load("objective", name, config.objective_code)

    def objective(
        predictions: Sequence[Tensor], targets: Sequence[Tensor], projections: Sequence[Tensor]
    ) -> Tensor:
        device = projections[0].device.type
        with naming_errors("objective", name), torch.autocast(device, enabled=False):
            loss = function(list(predictions), list(targets), list(projections), **settings)
        if not isinstance(loss, Tensor) or loss.ndim or not loss.is_floating_point():
            got = f"shape {list(loss.shape)} and {loss.dtype}" if isinstance(loss, Tensor) else repr(loss)
            raise PartError("objective", name, f"must return a 0-dim tensor of floats, but returned {got}")
        if not loss.requires_grad:
            problem = (
                "must return a loss that depends on the predictions or projections, but no gradient flows"
            )
            raise PartError("objective", name, problem)
        return at_least_float32(loss)

    return objective
