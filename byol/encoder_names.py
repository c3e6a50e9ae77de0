"""The names of encoders, and the check of what goes with each."""

import importlib.util

from byol.errors import ConfigError

RESNETS = ("resnet18", "resnet34", "resnet50")
"""torchvision ResNets, whose normalisation layers and stem can be exchanged."""

BACKBONES = (
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "regnet_y_400mf",
    "resnet101",
    "resnext50_32x4d",
    "shufflenet_v2_x1_0",
    "swin_t",
    "vit_b_16",
    "wide_resnet50_2",
)
"""Other torchvision classifiers: the features are the input of their last linear layer."""

TIMM = "timm/"
"""What the name of one of timm's models begins with: `timm/resnet26`."""
TIMM_FIXED = ("checkpoint_path", "features_only", "in_chans", "num_classes", "pretrained", "pretrained_cfg")
"""Arguments of timm's models that are no settings."""


def is_timm(name: str) -> bool:
    """Whether a name is `timm/NAME`."""
    return name.startswith(TIMM) and name != TIMM


def check_encoder(encoder: str, *, norm: str, stem: str, zero_init_residual: bool, image_size: int) -> None:
    """Checks what goes with an encoder: only the layers of `tiny` and of RESNETS can be exchanged.

    Raises:
        ConfigError: a setting does not go with it.
    """
    norms_exchangeable = encoder == "tiny" or encoder in RESNETS
    if norms_exchangeable == (norm == "native"):
        valid = "one of batch, group, group-ws, layer, none" if norms_exchangeable else '"native"'
        raise ConfigError("encoder_norm", norm, f"must be {valid} for encoder {encoder}")
    if encoder not in RESNETS and stem != "auto":
        rule = f'must be "auto" for encoder {encoder} (only ResNets have two stems)'
        raise ConfigError("encoder_stem", stem, rule)
    if zero_init_residual and (encoder not in RESNETS or norm == "none"):
        rule = f"must be false for encoder {encoder} with encoder_norm {norm}"
        hint = f" (only {', '.join(RESNETS)} with a normalisation have scales to start at 0)"
        raise ConfigError("zero_init_residual", zero_init_residual, rule, hint)
    if encoder == "vit_b_16" and image_size % 16:
        raise ConfigError("image_size", image_size, "must be a multiple of 16 for encoder vit_b_16")


def check_installed(encoder: str) -> None:
    """Checks that the package is installed which an encoder comes from; imports nothing.

    Raises:
        ConfigError: timm is not installed.
    """
    if is_timm(encoder) and importlib.util.find_spec("timm") is None:
        raise ConfigError("encoder", encoder, "needs the package timm, which is not installed here")
