"""From settings to a configuration, and the presets: published systems and recipes as settings.

A preset is one point in the space of TrialConfig. It says only what its source says; what it leaves out keeps
TrialConfig's default. A `views` bundle is a pair of view settings. Sources are named beside each entry.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from byol.config import FIELD_NAMES, Scalar, TrialConfig, ViewConfig
from byol.errors import ConfigError, nearest

Settings = dict[str, Scalar]
T = TypeVar("T")

SETTING_NAMES = ("preset", "views", *FIELD_NAMES)
"""What a study may set: the two bundles, and the fields of TrialConfig."""


def from_settings(settings: Mapping[str, object]) -> TrialConfig:
    """Builds a configuration from flat settings.

    Keys are SETTING_NAMES. The bundles `preset` and `views` fill in what the settings leave out: explicit
    keys override `views`, which overrides `preset`.

    Raises:
        ConfigError: an unknown key or bundle, a wrong type, or a value that breaks a rule.

    >>> config = from_settings({"preset": "simsiam", "lr": 0.05, "view2.hue": 0.2})
    >>> config.projector_depth, config.lr, config.view2.hue
    (3, 0.05, 0.2)
    >>> from_settings({"tau_bas": 0.99})
    Traceback (most recent call last):
    byol.errors.ConfigError: tau_bas: is not a setting (did you mean "tau_base"?), but got 0.99
    """
    fields: dict[str, Any] = {}
    views: dict[str, dict[str, object]] = {"view1": {}, "view2": {}}
    for key, value in expand(settings).items():
        view, _, name = key.partition(".")
        if key not in FIELD_NAMES:
            raise ConfigError(key, value, "is not a setting", nearest(key, SETTING_NAMES))
        if name:
            views[view][name] = value
        else:
            fields[key] = value
    for view, values in views.items():
        fields[view] = _view(view, values)
    return TrialConfig(**fields)


def _view(view: str, values: Mapping[str, Any]) -> ViewConfig:
    default = {"view1": TrialConfig.view1, "view2": TrialConfig.view2}[view]
    try:
        return dataclasses.replace(default, **values)
    except ConfigError as error:
        raise ConfigError(f"{view}.{error.key}", error.value, error.rule, error.hint) from None


def expand(settings: Mapping[str, object]) -> dict[str, object]:
    """Flat settings with the bundles `preset` and `views` replaced by what they stand for.

    An explicit length (`steps` or `epochs`) replaces the length of the preset or the default, even if that
    is given as the other of the two.

    Raises:
        ConfigError: there is no bundle of that name.
    """
    explicit = dict(settings)
    preset = explicit.pop("preset", None)
    preset_settings = {} if preset is None else _bundle("preset", preset, PRESETS)
    expanded: dict[str, object] = {**preset_settings, **explicit}
    if explicit.get("epochs") and "steps" not in explicit:
        expanded["steps"] = 0
    elif explicit.get("steps") and "epochs" not in explicit:
        expanded["epochs"] = 0.0
    views = expanded.pop("views", None)
    if views is None:
        return expanded
    view1, view2 = _bundle("views", views, VIEWS)
    dotted = {f"view1.{name}": value for name, value in view1.items()}
    dotted |= {f"view2.{name}": value for name, value in view2.items()}
    return {**dotted, **expanded}


def _bundle(key: str, name: object, bundles: Mapping[str, T]) -> T:
    if name not in bundles:
        raise ConfigError(key, name, f"must be one of {', '.join(bundles)}", nearest(name, bundles))
    return bundles[str(name)]


_ONLINE_TARGET: Settings = {"tau_base": 0.0, "tau_schedule": "constant"}

_BYOL: Settings = {
    # arXiv 2006.07733, section 3.2 and appendix J
    "views": "byol",
    "projector_depth": 2,
    "projector_width": 4096,
    "projector_size": 256,
    "predictor": "mlp",
    "predictor_depth": 2,
    "predictor_width": 4096,
    "tau_base": 0.996,
    "tau_final": 1.0,
    "tau_schedule": "cosine",
}

_BYOL_LARS: Settings = {
    "optimizer": "lars",
    "lars_eta": 1e-3,
    "momentum": 0.9,
    "exclude_bias_and_norm": True,
    "warmup_epochs": 10.0,
    "steps": 0,
}

_SIMSIAM: Settings = {
    # arXiv 2011.10566, section 3: three-layer projector with BN on its output, bottleneck predictor. The
    # baseline of table 1, whose predictor follows the schedule; predictor_lr_decay false is its last row.
    **_ONLINE_TARGET,
    "views": "simsiam",
    "projector_depth": 3,
    "projector_width": 2048,
    "projector_size": 2048,
    "projector_norm_at": "all",
    "predictor": "mlp",
    "predictor_depth": 2,
    "predictor_width": 512,
    "loss_scale": 0.25,
}

_CIFAR_RESNET: Settings = {
    "dataset": "cifar10",
    "image_size": 32,
    "encoder": "resnet18",
    "encoder_stem": "small",
    "knn_k": 200,
    "steps": 0,
}

PRESETS: dict[str, Settings] = {
    "byol": _BYOL,
    "byol-imagenet-100": {
        **_BYOL,
        **_BYOL_LARS,
        "epochs": 100.0,
        "lr": 0.45,
        "weight_decay": 1e-6,
        "tau_base": 0.99,
    },
    "byol-imagenet-300": {
        **_BYOL,
        **_BYOL_LARS,
        "epochs": 300.0,
        "lr": 0.3,
        "weight_decay": 1e-6,
        "tau_base": 0.99,
    },
    "byol-imagenet-1000": {**_BYOL, **_BYOL_LARS, "epochs": 1000.0, "lr": 0.2, "weight_decay": 1.5e-6},
    "byol-no-batch-statistics": {
        # arXiv 2010.10241, section 3.3: group normalisation and weight standardisation instead of BN
        **_BYOL,
        "encoder_norm": "group-ws",
        "projector_norm": "group",
        "predictor_norm": "group",
    },
    "simsiam": _SIMSIAM,
    "simclr": {
        # arXiv 2002.05709: no predictor, no target, negatives. The loss is 2 alpha NT-Xent + 2 a direction.
        **_ONLINE_TARGET,
        "stop_gradient": False,
        "views": "simclr",
        "predictor": "none",
        "projector_depth": 2,
        "projector_width": 2048,
        "projector_size": 128,
        "negatives_weight": 1.0,
        "negatives_temperature": 0.1,
    },
    "tutorial": {
        # The loop of many tutorials: tau changes once per epoch, the loss is halved
        **_BYOL,
        "tau_per": "epoch",
        "loss_scale": 0.5,
    },
    "byol-cifar10-lightly": {
        # lightly's CIFAR-10 benchmark: SGD 0.06 per 128 images, constant tau, mean of two negative cosines
        **_CIFAR_RESNET,
        "views": "no-blur",
        "loss_scale": 0.25,
        "projector_depth": 2,
        "projector_width": 1024,
        "projector_size": 256,
        "predictor_width": 1024,
        "tau_base": 0.99,
        "tau_schedule": "constant",
        "lr": 0.12,
        "weight_decay": 5e-4,
        "batch_size": 128,
        "epochs": 200.0,
    },
    "byol-cifar10-solo": {
        # solo-learn's CIFAR-10 recipe: LARS with clipped rates
        **_CIFAR_RESNET,
        **_BYOL,
        "views": "no-blur",
        "tau_base": 0.99,
        "optimizer": "lars",
        "lars_eta": 0.02,
        "lars_clip": True,
        "exclude_bias_and_norm": True,
        "lr": 1.0,
        "weight_decay": 1e-5,
        "warmup_epochs": 10.0,
        "batch_size": 256,
        "epochs": 1000.0,
    },
    "simsiam-cifar10": {
        # arXiv 2011.10566, appendix D: as on ImageNet but for a two-layer projector and no blur
        **_CIFAR_RESNET,
        **_SIMSIAM,
        "views": "simsiam-no-blur",
        "projector_depth": 2,
        "lr": 0.03,
        "weight_decay": 5e-4,
        "batch_size": 512,
        "epochs": 800.0,
    },
}
"""name -> settings. A preset may name a `views` bundle."""

_NO_COLOUR: Settings = {"jitter_p": 0.0, "grayscale_p": 0.0}
_BYOL_1: Settings = {"blur_p": 1.0, "solarize_p": 0.0}
_BYOL_2: Settings = {"blur_p": 0.1, "solarize_p": 0.2}
_SYMMETRIC: Settings = {"blur_p": 0.5, "solarize_p": 0.2}
_CIFAR: Settings = {"blur_p": 0.0, "solarize_p": 0.0, "saturation": 0.4}
_SIMSIAM_VIEW: Settings = {"crop_scale_min": 0.2, "saturation": 0.4, "blur_p": 0.5, "solarize_p": 0.0}
_SIMCLR_VIEW: Settings = {
    "brightness": 0.8,
    "contrast": 0.8,
    "saturation": 0.8,
    "hue": 0.2,
    "blur_p": 0.5,
    "solarize_p": 0.0,
}
_CROP_ONLY: Settings = {**_NO_COLOUR, "flip_p": 0.0, "blur_p": 0.0, "solarize_p": 0.0}


def _both(common: Settings) -> tuple[Settings, Settings]:
    return {**_BYOL_1, **common}, {**_BYOL_2, **common}


VIEWS: dict[str, tuple[Settings, Settings]] = {
    "byol": (_BYOL_1, _BYOL_2),
    "symmetric": (_SYMMETRIC, _SYMMETRIC),  # BYOL, table 17: the average of its two views
    "no-flip": _both({"flip_p": 0.0}),
    "no-blur": _both({"blur_p": 0.0}),
    "no-solarize": _both({"solarize_p": 0.0}),
    "no-colour": _both(_NO_COLOUR),
    "no-jitter": _both({"jitter_p": 0.0}),
    "no-grayscale": _both({"grayscale_p": 0.0}),
    "crop-only": (_CROP_ONLY, _CROP_ONLY),
    "crop-flip": ({**_CROP_ONLY, "flip_p": 0.5}, {**_CROP_ONLY, "flip_p": 0.5}),
    # SimCLR's colours at half strength and no blur, as in lightly's CIFAR-10 benchmark of SimCLR
    "cifar": (_CIFAR, _CIFAR),
    "cifar-solarize": (_CIFAR, {**_CIFAR, "solarize_p": 0.2}),
    "simsiam": (_SIMSIAM_VIEW, _SIMSIAM_VIEW),
    "simsiam-no-blur": ({**_SIMSIAM_VIEW, "blur_p": 0.0}, {**_SIMSIAM_VIEW, "blur_p": 0.0}),
    "simclr": (_SIMCLR_VIEW, _SIMCLR_VIEW),
}
"""name -> settings of view 1 and view 2, over ViewConfig's defaults."""
