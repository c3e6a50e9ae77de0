"""Tries out the parts of your own that a configuration names, before a sweep starts."""

import torch

from byol.backbones import own_encoder, timm_backbone
from byol.config import TrialConfig
from byol.encoder_names import is_timm
from byol.measure.own_metrics import own_metrics
from byol.objective import own_objective
from byol.own_parts import PartError, is_own
from byol.seeding import construction

_IMAGES = 8
"""Images of which embeddings are made up."""


def check_parts(config: TrialConfig) -> None:
    """Builds the encoder, if it is your own or timm's; calls your objective and metrics on random embeddings.

    Raises:
        ConfigError, OtherPartError, PartError: a part fails.
    """
    with construction(config.seed, "check"):
        if is_own(config.encoder):
            own_encoder(config)
        elif is_timm(config.encoder):
            timm_backbone(config)
        objective = own_objective(config)
        if objective is not None:
            views = [torch.randn(_IMAGES, config.projector_size) for _ in range(config.view_count)]
            projections = [view.requires_grad_() for view in views]
            predictions = [view * 1 for view in projections[: None if config.symmetric else 1]]
            before = torch.get_rng_state()
            objective(predictions, [view.detach() for view in projections], projections)
            if not torch.equal(torch.get_rng_state(), before):
                problem = "must not draw random numbers: no seed of the trial fixes them"
                raise PartError("objective", config.objective, problem)
        y_NF, z_ND = (
            torch.randn(_IMAGES, 2 * config.projector_size),
            torch.randn(_IMAGES, config.projector_size),
        )
        own_metrics(config)(y_NF, z_ND, torch.arange(_IMAGES) % 2)
