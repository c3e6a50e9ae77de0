"""Encoders whose layers are taken as they are: torchvision's, timm's and your own.

Nothing in them may draw random numbers in training, as dropout does from the global generator. That of
torchvision's and timm's models is turned off, for BYOL uses none; an encoder of your own must have none.

Shape suffixes: B batch, C channels, H height, W width, F features.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from byol.config import TrialConfig
from byol.encoder_names import TIMM
from byol.errors import ConfigError, nearest
from byol.own_parts import PartError, load, naming_errors

_PROBE_IMAGES = 2


def torchvision_backbone(config: TrialConfig) -> tuple[nn.Module, int]:
    """One of BACKBONES without its last linear layer; and its F."""
    from torchvision import models  # not above: with torch's compiler, it takes longer than torch
    from torchvision.ops import StochasticDepth

    if config.encoder == "vit_b_16":
        encoder = models.vit_b_16(weights=None, image_size=config.image_size)
    else:
        encoder = models.get_model(config.encoder, weights=None)
    linear_layers = [name for name, module in encoder.named_modules() if isinstance(module, nn.Linear)]
    features = encoder.get_submodule(linear_layers[-1]).in_features
    encoder.set_submodule(linear_layers[-1], nn.Identity())
    for module in encoder.modules():
        # Dropout draws from the global generator, and BYOL uses no dropout.
        if isinstance(module, (nn.Dropout, StochasticDepth)):
            module.p = 0.0
    return encoder, features


def timm_backbone(config: TrialConfig) -> tuple[nn.Module, int]:
    """A model of timm without its classifier and without dropout; and its F.

    Raises:
        ConfigError: timm has no such model.
        PartError: it cannot be built with these settings, or does not take images of this size.
    """
    import timm

    name = config.encoder.removeprefix(TIMM)
    if not timm.is_model(name):
        hint = nearest(name, timm.list_models())
        raise ConfigError("encoder", config.encoder, "must be a model of the installed timm", hint)
    with naming_errors("encoder", config.encoder):
        encoder = timm.create_model(
            name, pretrained=False, num_classes=0, **dict(config.encoder_settings.items)
        )
    for module in encoder.modules():
        if isinstance(module, _DropoutNd):
            module.p = 0.0
        if isinstance(module, timm.layers.DropPath):
            module.drop_prob = 0.0
    return encoder, _features(encoder, config)


def own_encoder(config: TrialConfig) -> tuple[nn.Module, int]:
    """What the function that `config.encoder` names returns; and its F, as two images show it.

    Raises:
        OtherPartError: its source is not the one that the configuration was made with.
        PartError: it raises an error, is no module, has parameters without a shape, does not turn
            [B, 3, S, S] into [B, F], or draws random numbers in training.
    """
    make = load("encoder", config.encoder, config.encoder_code)
    with naming_errors("encoder", config.encoder):
        encoder = make(**dict(config.encoder_settings.items))
    if not isinstance(encoder, nn.Module):
        problem = f"must return a torch.nn.Module, but returned a {type(encoder).__name__}"
        raise PartError("encoder", config.encoder, problem)
    for name, parameter in encoder.named_parameters():
        if nn.parameter.is_lazy(parameter):
            problem = f"must have parameters with a shape, but {name} has none yet (a lazy layer)"
            raise PartError("encoder", config.encoder, problem)
    return encoder, _features(encoder, config)


def _features(encoder: nn.Module, config: TrialConfig) -> int:
    """F, from a copy that sees two black images in the layout of training; `encoder` stays as it is."""
    images_BCHW = torch.zeros(_PROBE_IMAGES, 3, config.image_size, config.image_size)
    images_BCHW = images_BCHW.to(memory_format=torch.channels_last)
    with naming_errors("encoder", config.encoder), torch.no_grad():
        copied = copy.deepcopy(encoder).to(memory_format=torch.channels_last)
        y_BF = copied.eval()(images_BCHW)
        before = torch.get_rng_state()
        copied.train()(images_BCHW)
        draws = not torch.equal(torch.get_rng_state(), before)
    if not isinstance(y_BF, Tensor) or y_BF.ndim != 2 or len(y_BF) != _PROBE_IMAGES:
        got = list(y_BF.shape) if isinstance(y_BF, Tensor) else f"a {type(y_BF).__name__}"
        problem = f"must turn images {list(images_BCHW.shape)} into [{_PROBE_IMAGES}, F], but returned {got}"
        raise PartError("encoder", config.encoder, problem)
    if draws:
        problem = "must not draw random numbers in training, as dropout does: no seed of the trial fixes them"
        raise PartError("encoder", config.encoder, problem)
    return y_BF.shape[1]
