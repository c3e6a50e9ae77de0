"""Tries out the parts of your own that a configuration names, before a sweep starts."""

import torch

from byol.config import TrialConfig
from byol.measure.own_metrics import own_metrics
from byol.networks import build_encoder, projection_size
from byol.objective import own_objective
from byol.own_parts import PartError
from byol.seeding import construction

_IMAGES = 8
"""Images of which embeddings are made up."""


def check_parts(config: TrialConfig) -> None:
    """Builds the encoder; calls your objective and metrics on random embeddings of the sizes of a trial.

    Raises:
        ConfigError, OtherPartError, PartError: a part fails.
    """
    with construction(config.seed, "check"):
        _, features = build_encoder(config)
        size = projection_size(config, features)
        objective = own_objective(config)
        if objective is not None:
            views = [torch.randn(_IMAGES, size) for _ in range(config.view_count)]
            projections = [view.requires_grad_() for view in views]
            predictions = [view * 1 for view in projections[: None if config.symmetric else 1]]
            before = torch.get_rng_state()
            objective(predictions, [view.detach() for view in projections], projections)
            if not torch.equal(torch.get_rng_state(), before):
                problem = "must not draw random numbers: no seed of the trial fixes them"
                raise PartError("objective", config.objective, problem)
        y_NF, z_ND = torch.randn(_IMAGES, features), torch.randn(_IMAGES, size)
        own_metrics(config)(y_NF, z_ND, torch.arange(_IMAGES) % 2)
