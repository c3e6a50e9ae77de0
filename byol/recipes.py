"""The bundles of settings: presets, which are published systems and recipes, and pairs of view settings.

A preset is one point in the space of TrialConfig. It says only what its source says; what it leaves out keeps
TrialConfig's default. Imports nothing but types.
"""

from dataclasses import dataclass

from byol.fields import Scalar

Settings = dict[str, Scalar]


@dataclass(frozen=True)
class Bundle:
    """Settings that belong together."""

    source: str
    """What it is, and where it is from: one or two sentences."""
    settings: Settings
    """What it sets. A preset may name a bundle of views."""


_ONLINE_TARGET: Settings = {"tau_base": 0.0, "tau_schedule": "constant"}

_BYOL: Settings = {
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


def _byol_imagenet(epochs: int, lr: float, weight_decay: float, tau_base: float) -> Bundle:
    source = f"`byol` with its recipe for {epochs} epochs of ImageNet (arXiv 2006.07733; deepmind-research)."
    length = {"epochs": float(epochs), "lr": lr, "weight_decay": weight_decay, "tau_base": tau_base}
    return Bundle(source, {**_BYOL, **_BYOL_LARS, **length})


PRESETS: dict[str, Bundle] = {
    "byol": Bundle("Heads, target and views of BYOL (arXiv 2006.07733, section 3.2 and appendix J).", _BYOL),
    "byol-imagenet-100": _byol_imagenet(100, 0.45, 1e-6, 0.99),
    "byol-imagenet-300": _byol_imagenet(300, 0.3, 1e-6, 0.99),
    "byol-imagenet-1000": _byol_imagenet(1000, 0.2, 1.5e-6, 0.996),
    "byol-no-batch-statistics": Bundle(
        "`byol` with group normalisation and weight standardisation instead of BatchNorm (arXiv 2010.10241, "
        "section 3.3).",
        {**_BYOL, "encoder_norm": "group-ws", "projector_norm": "group", "predictor_norm": "group"},
    ),
    "simsiam": Bundle(
        "SimSiam (arXiv 2011.10566, section 3): three-layer projector with BatchNorm on its output, "
        "bottleneck predictor. The baseline of table 1, whose predictor follows the schedule; "
        "`predictor_lr_decay: false` is that table's last row.",
        _SIMSIAM,
    ),
    "simclr": Bundle(
        "SimCLR (arXiv 2002.05709): no predictor, no target, negatives. With a = `negatives_temperature`, "
        "the loss of a direction is 2 a NT-Xent + 2.",
        {
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
    ),
    "tutorial": Bundle(
        "The loop of many tutorials: `byol`, where tau changes once per epoch and the loss is halved.",
        {**_BYOL, "tau_per": "epoch", "loss_scale": 0.5},
    ),
    "byol-cifar10-lightly": Bundle(
        "BYOL in lightly's CIFAR-10 benchmark: SGD with 0.06 per 128 images, constant tau, the mean of two "
        "negative cosines.",
        {
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
    ),
    "byol-cifar10-solo": Bundle(
        "BYOL in solo-learn's CIFAR-10 recipe: LARS with clipped rates.",
        {
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
    ),
    "simsiam-cifar10": Bundle(
        "SimSiam on CIFAR-10 (arXiv 2011.10566, appendix D): `simsiam` but for a two-layer projector and no "
        "blur.",
        {
            **_CIFAR_RESNET,
            **_SIMSIAM,
            "views": "simsiam-no-blur",
            "projector_depth": 2,
            "lr": 0.03,
            "weight_decay": 5e-4,
            "batch_size": 512,
            "epochs": 800.0,
        },
    ),
}
"""The systems and recipes, by name."""

_NO_COLOUR: Settings = {"jitter_p": 0.0, "grayscale_p": 0.0}
_CROP_ONLY: Settings = {**_NO_COLOUR, "flip_p": 0.0, "blur_p": 0.0, "solarize_p": 0.0}
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


def _views(source: str, view1: Settings, view2: Settings) -> Bundle:
    views = {"view1": view1, "view2": view2}
    return Bundle(
        source, {f"{view}.{name}": value for view, of in views.items() for name, value in of.items()}
    )


def _alike(source: str, both: Settings) -> Bundle:
    return _views(source, both, both)


def _byol_views(source: str, common: Settings) -> Bundle:
    """BYOL's two views, with `common` in both."""
    view1, view2 = {"blur_p": 1.0, "solarize_p": 0.0}, {"blur_p": 0.1, "solarize_p": 0.2}
    return _views(source, {**view1, **common}, {**view2, **common})


VIEWS: dict[str, Bundle] = {
    "byol": _byol_views("BYOL's two views (arXiv 2006.07733, appendix B), which are the default.", {}),
    "symmetric": _alike(
        "Both views as the average of BYOL's two (arXiv 2006.07733, table 17).",
        {"blur_p": 0.5, "solarize_p": 0.2},
    ),
    "no-flip": _byol_views("`byol` without flips.", {"flip_p": 0.0}),
    "no-blur": _byol_views("`byol` without blur.", {"blur_p": 0.0}),
    "no-solarize": _byol_views("`byol` without solarize.", {"solarize_p": 0.0}),
    "no-colour": _byol_views("`byol` without colour jitter and grayscale.", _NO_COLOUR),
    "no-jitter": _byol_views("`byol` without colour jitter.", {"jitter_p": 0.0}),
    "no-grayscale": _byol_views("`byol` without grayscale.", {"grayscale_p": 0.0}),
    "crop-only": _alike("Nothing but crops.", _CROP_ONLY),
    "crop-flip": _alike("Nothing but crops and flips.", {**_CROP_ONLY, "flip_p": 0.5}),
    "cifar": _alike(
        "SimCLR's colours at half strength and no blur, as in lightly's CIFAR-10 benchmark of SimCLR.", _CIFAR
    ),
    "cifar-solarize": _views("`cifar` with solarize in view 2.", _CIFAR, {**_CIFAR, "solarize_p": 0.2}),
    "simsiam": _alike("SimSiam's views (arXiv 2011.10566).", _SIMSIAM_VIEW),
    "simsiam-no-blur": _alike(
        "`simsiam` without blur, as on CIFAR-10 (appendix D).", {**_SIMSIAM_VIEW, "blur_p": 0.0}
    ),
    "simclr": _alike("SimCLR's views (arXiv 2002.05709, appendix A).", _SIMCLR_VIEW),
}
"""The pairs of view settings, by name, over the defaults of ViewConfig."""
