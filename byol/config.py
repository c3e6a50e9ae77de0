"""The configuration of one trial: every choice that an ablation can switch, as a validated field.

The dataclass is the single definition of names, defaults and ranges. It imports no torch, so that
planning a sweep answers at once. Where a default departs from a paper, the field's docstring says so.
"""

import dataclasses
import math
import sys
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from byol.errors import ConfigError, nearest

Scalar: TypeAlias = str | int | float | bool

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


NAMED_SETS = (
    "fashion-mnist-8k",
    "fashion-mnist",
    "cifar10",
    "cifar100",
    "stl10",
    "stl10-unlabelled",
)
"""The data sets known by name (docs/data.md), besides `folder:PATH` and `parquet:PATH`."""

OnBroken: TypeAlias = Literal["fail", "skip"]
"""Whether images that cannot be read are an error, or left out."""


def check_dataset(dataset: str) -> None:
    """Checks the name of a data set; whether the folder or file is there shows when it is loaded.

    Raises:
        ConfigError: it is neither one of NAMED_SETS nor `folder:PATH` nor `parquet:PATH`.
    """
    kind, _, path = dataset.partition(":")
    if dataset in NAMED_SETS or (kind in ("folder", "parquet") and path):
        return
    rule = f"must be one of {', '.join(NAMED_SETS)}, folder:PATH or parquet:PATH"
    hint = nearest(kind, ("folder", "parquet")) if path else nearest(dataset, NAMED_SETS)
    raise ConfigError("dataset", dataset, rule, hint)


def _number(default: Any, low: float, high: float = math.inf) -> Any:
    return dataclasses.field(default=default, metadata={"low": low, "high": high})


def _choice(default: str, *options: str) -> Any:
    return dataclasses.field(default=default, metadata={"options": (default, *options)})


def _checked(key: str, value: object, field: "dataclasses.Field[Any]") -> Scalar:
    """`value` as the type of the field, or a ConfigError that names the rule it breaks."""
    if field.type is bool:
        if not isinstance(value, bool):
            raise ConfigError(key, value, "must be true or false")
        return value
    if field.type is str:
        return _checked_text(key, value, field.metadata.get("options"))
    kind = "a whole number" if field.type is int else "a number"
    whole = isinstance(value, float) and value.is_integer()
    fits = isinstance(value, int) or whole if field.type is int else isinstance(value, (int, float))
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not fits:
        hint = " (without quotes; with a dot: 1.0e-3)" if _reads_as_number(value) else ""
        raise ConfigError(key, value, f"must be {kind}", hint)
    low, high = field.metadata["low"], field.metadata["high"]
    if not low <= value <= high or value > sys.float_info.max:
        rule = f"must be between {low:g} and {high:g}"
        if high == math.inf:
            rule = f"must be {'' if value < low else 'finite and '}at least {low:g}"
        raise ConfigError(key, value, rule)
    return int(value) if field.type is int else float(value)


def _checked_text(key: str, value: object, options: tuple[str, ...] | None) -> str:
    if options is None:
        if not isinstance(value, str) or not value:
            raise ConfigError(key, value, "must be a name")
        return value
    if value not in options:
        unquoted = value is None or isinstance(value, bool)
        hint = ' (in YAML, quote "none", "no" and "off")' if unquoted else nearest(value, options)
        raise ConfigError(key, value, f"must be one of {', '.join(options)}", hint)
    return str(value)


def _reads_as_number(value: object) -> bool:
    # YAML 1.1 reads 1e-3, without a dot, as text.
    try:
        float(str(value))
    except ValueError:
        return False
    return isinstance(value, str)


def _check_fields(config: object, prefix: str = "") -> None:
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        if field.type is not ViewConfig:
            value = _checked(prefix + field.name, getattr(config, field.name), field)
            object.__setattr__(config, field.name, value)


@dataclass(frozen=True, kw_only=True)
class ViewConfig:
    """How one of the two views is drawn. The defaults are what BYOL's two views share.

    Order of operations: crop, flip, colour jitter, grayscale, blur, solarize (arXiv 2006.07733, appendix B).
    """

    crop_scale_min: float = _number(0.08, 0.001, 1)
    """Smallest area of the crop, as a share of the image."""
    crop_scale_max: float = _number(1.0, 0.001, 1)
    """Largest area of the crop, as a share of the image."""
    crop_ratio_min: float = _number(3 / 4, 0.1, 10)
    """Smallest aspect ratio (width over height) of the crop; drawn log-uniformly."""
    crop_ratio_max: float = _number(4 / 3, 0.1, 10)
    """Largest aspect ratio of the crop."""
    flip_p: float = _number(0.5, 0, 1)
    """Probability of a horizontal flip."""
    jitter_p: float = _number(0.8, 0, 1)
    """Probability of colour jitter."""
    brightness: float = _number(0.4, 0, 1)
    """Brightness factor is uniform in 1 - brightness to 1 + brightness."""
    contrast: float = _number(0.4, 0, 1)
    """Contrast factor, likewise."""
    saturation: float = _number(0.2, 0, 1)
    """Saturation factor, likewise."""
    hue: float = _number(0.1, 0, 0.5)
    """Hue shift is uniform in -hue to hue, in turns of the colour circle."""
    grayscale_p: float = _number(0.2, 0, 1)
    """Probability of turning the view gray."""
    blur_p: float = _number(0.0, 0, 1)
    """Probability of a Gaussian blur: 1.0 in BYOL's first view, 0.1 in its second."""
    blur_sigma_min: float = _number(0.1, 0.01, 100)
    """Smallest standard deviation of the blur, in pixels."""
    blur_sigma_max: float = _number(2.0, 0.01, 100)
    """Largest standard deviation of the blur, in pixels."""
    solarize_p: float = _number(0.0, 0, 1)
    """Probability of inverting all pixels at or above the threshold: 0 and 0.2 in BYOL's views."""
    solarize_threshold: float = _number(0.5, 0, 1)
    """Threshold of solarize, as a share of full scale."""

    def __post_init__(self) -> None:
        _check_fields(self)
        for stem in ("crop_scale", "crop_ratio", "blur_sigma"):
            low, high = getattr(self, f"{stem}_min"), getattr(self, f"{stem}_max")
            if low > high:
                raise ConfigError(f"{stem}_min", low, f"must not exceed {stem}_max = {high:g}")


@dataclass(frozen=True, kw_only=True)
class TrialConfig:
    """One trial, complete: a cell of a study plus its seed.

    The default is BYOL at a size that a laptop trains in seconds. Presets (`byol/presets.py`) hold the
    published systems and recipes.
    """

    # Data
    dataset: str = dataclasses.field(default="fashion-mnist-8k")
    """A named image source (docs/data.md), or `folder:PATH`, or `parquet:PATH`."""
    train_images: int = _number(0, 0)
    """How many training images to use; 0 is all of them."""
    image_size: int = _number(28, 8, 1024)
    """Side of a view, in pixels; clean images are resized to it for evaluation."""

    # Encoder
    encoder: str = _choice("tiny", *RESNETS, *BACKBONES)
    """`tiny` is four convolutions (16-32-64-128 channels); the others are torchvision's."""
    encoder_norm: str = _choice("batch", "group", "group-ws", "layer", "none", "native")
    """Normalisation inside the encoder. `group-ws` adds weight standardisation (arXiv 2010.10241); `native`
    is the backbone's own, the only choice where its layers can't be exchanged."""
    encoder_stem: str = _choice("auto", "small", "imagenet")
    """First layers of a ResNet: `small` is a 3x3 convolution of stride 1 without max-pooling (SimCLR,
    appendix B.9); `auto` takes it up to 64 pixels."""

    # Projector
    projector_depth: int = _number(2, 1, 5)
    """Linear layers in the projector."""
    projector_width: int = _number(512, 1)
    """Features of its hidden layers."""
    projector_size: int = _number(128, 2)
    """Features of the projection, and of the prediction."""
    projector_norm: str = _choice("batch", "layer", "group", "none")
    """Normalisation in the projector."""
    projector_norm_at: str = _choice("hidden", "all")
    """`all` also normalises the output, without learned scale and shift (SimSiam, section 3)."""

    # Predictor
    predictor: str = _choice("mlp", "linear", "none", "frozen")
    """`frozen` is an MLP that keeps its random weights (SimSiam, table 1). `none` is the identity, for which
    no other setting of the predictor has an effect."""
    predictor_depth: int = _number(2, 1, 5)
    """Linear layers in the predictor; `linear` has one whatever this says."""
    predictor_width: int = _number(512, 1)
    """Features of its hidden layers."""
    predictor_norm: str = _choice("batch", "layer", "group", "none")
    """Normalisation in the predictor."""
    predictor_norm_at: str = _choice("hidden", "all")
    """As for the projector."""
    predictor_lr_scale: float = _number(1.0, 0)
    """Learning rate of the predictor over that of the rest (BYOL, table 21)."""
    predictor_lr_decay: bool = True
    """Whether the predictor follows the rate's schedule; False holds it at its peak (SimSiam, table 1)."""

    # Target
    stop_gradient: bool = True
    """False lets the gradient into the target branch, which then has to be the online network (tau 0)."""
    tau_base: float = _number(0.99, 0, 1)
    """First coefficient of the target's moving average: target <- tau target + (1 - tau) online."""
    tau_final: float = _number(1.0, 0, 1)
    """Last coefficient; not used by the constant schedule."""
    tau_schedule: str = _choice("cosine", "linear", "constant")
    """How tau goes from base to final."""
    tau_per: str = _choice("step", "epoch")
    """When tau changes; not used by the constant schedule. Per epoch is coarser than the paper."""
    target_init: str = _choice("copy", "fresh")
    """Whether the target starts as a copy of the online network or with weights of its own."""

    # Loss
    loss_norm: str = _choice("l2", "layer", "batch", "none")
    """Normalisation of prediction and target before their squared distance (BYOL, table 20)."""
    loss_scale: float = _number(1.0, 1e-6, 1e6)
    """Factor on the loss. BYOL sums both directions (1.0: range 0 to 8); many codes halve it (0.5);
    0.25 has the gradient of SimSiam's mean negative cosine. Under SGD a learning rate does not transfer
    across it."""
    symmetric: bool = True
    """Whether each view also predicts the other's target, or only the first view the second's."""
    negatives_weight: float = _number(0.0, 0, 10)
    """Weight beta of the negatives term (BYOL, table 5b): 0 is BYOL, 1 the InfoNCE of SimCLR."""
    negatives_temperature: float = _number(0.1, 0.001, 10)
    """Temperature alpha of the negatives term; not used where their weight is 0."""

    # Optimiser
    optimizer: str = _choice("sgd", "lars", "adamw")
    """`sgd`: momentum and L2 decay; `lars`: rates per layer (arXiv 1708.03888); `adamw`: decoupled decay."""
    lr: float = _number(0.1, 0)
    """Peak learning rate per 256 images: the rate used is lr x batch_size / 256."""
    lr_schedule: str = _choice("cosine", "constant")
    """After warm-up: cosine to 0, or constant."""
    warmup_epochs: float = _number(0.0, 0)
    """Epochs of linear warm-up."""
    momentum: float = _number(0.9, 0, 0.9999)
    """Momentum of the optimiser; beta1 of adamw."""
    weight_decay: float = _number(5e-4, 0)
    """Weight decay."""
    exclude_bias_and_norm: bool = False
    """Whether biases and normalisation parameters are left out of weight decay, and of LARS's adaptation."""
    lars_eta: float = _number(1e-3, 1e-9)
    """Trust coefficient of LARS; not used by the others."""
    batch_size: int = _number(128, 2)
    """Images per step; each gives two views."""
    epochs: float = _number(0.0, 0)
    """Passes over the training images; 0 leaves the length to `steps`."""
    steps: int = _number(100, 0)
    """Optimiser steps; 0 leaves the length to `epochs`."""
    bn_momentum: float = _number(0.1, 0, 1)
    """Weight of the newest batch in BatchNorm's running statistics (PyTorch's meaning); a native encoder
    keeps its own."""
    bn_eps: float = _number(1e-5, 0)
    """Epsilon of every normalisation layer; a native encoder keeps its own."""
    precision: str = _choice("auto", "fp32", "bf16")
    """`auto` is bf16 autocast where the device has it natively, fp32 elsewhere. What is measured is fp32."""

    # Measurement
    eval_every: int = _number(10, 1)
    """Steps between measurements."""
    knn_every: int = _number(0, 0)
    """Steps between kNN accuracies, a multiple of eval_every; 0 measures it at the end only."""
    eval_images: int = _number(1000, 8)
    """Held-out images on which collapse is measured: the first ones, all where there are fewer."""
    knn_k: int = _number(20, 1)
    """Neighbours that vote."""
    knn_temperature: float = _number(0.1, 0.001)
    """Temperature of the votes' weights exp(cosine / temperature) (arXiv 1805.01978)."""
    probe: bool = False
    """Whether to fit a linear probe on the frozen encoder at the end."""
    seed: int = _number(0, 0, 2**31 - 1)
    """Fixes initial weights, data order and augmentation draws, each from a generator of its own."""

    # Views
    view1: ViewConfig = ViewConfig(blur_p=1.0)
    """The first view."""
    view2: ViewConfig = ViewConfig(blur_p=0.1, solarize_p=0.2)
    """The second view."""

    def __post_init__(self) -> None:
        _check_fields(self)
        check_dataset(self.dataset)
        if bool(self.steps) == bool(self.epochs):
            rule = "exactly one of steps and epochs must be set (the other 0)"
            raise ConfigError("steps", self.steps, f"{rule}; epochs is {self.epochs:g}")
        if not self.stop_gradient and not self.target_is_online:
            settings = "tau_base 0, tau_schedule constant, target_init copy"
            rule = f"false requires the online network as target ({settings})"
            raise ConfigError("stop_gradient", self.stop_gradient, rule)
        if self.negatives_weight and self.loss_norm != "l2":
            rule = 'above 0 requires loss_norm "l2", for negatives are compared by cosine'
            raise ConfigError("negatives_weight", self.negatives_weight, rule)
        if self.knn_every % self.eval_every:
            rule = f"must be a multiple of eval_every = {self.eval_every}"
            raise ConfigError("knn_every", self.knn_every, rule)
        self._check_encoder()

    def _check_encoder(self) -> None:
        exchangeable = self.encoder == "tiny" or self.encoder in RESNETS
        if exchangeable == (self.encoder_norm == "native"):
            one = "one of batch, group, group-ws, layer, none" if exchangeable else '"native"'
            raise ConfigError("encoder_norm", self.encoder_norm, f"must be {one} for encoder {self.encoder}")
        if self.encoder not in RESNETS and self.encoder_stem != "auto":
            rule = f'must be "auto" for encoder {self.encoder} (only ResNets have two stems)'
            raise ConfigError("encoder_stem", self.encoder_stem, rule)
        if self.encoder == "vit_b_16" and self.image_size % 16:
            rule = "must be a multiple of 16 for encoder vit_b_16"
            raise ConfigError("image_size", self.image_size, rule)

    @property
    def target_is_online(self) -> bool:
        """Whether the target is the online network itself at every step (SimSiam's case)."""
        ends_at_zero = self.tau_schedule == "constant" or self.tau_final == 0
        return self.tau_base == 0 and ends_at_zero and self.target_init == "copy"

    def steps_per_epoch(self, train_images: int) -> int:
        """Steps in one pass over `train_images` images; the incomplete last batch is dropped."""
        if self.batch_size > train_images:
            rule = f"must not exceed the {train_images} training images of {self.dataset}"
            raise ConfigError("batch_size", self.batch_size, rule)
        return train_images // self.batch_size

    def total_steps(self, train_images: int) -> int:
        """Optimiser steps of the whole trial, at least 1."""
        return self.steps or max(1, round(self.epochs * self.steps_per_epoch(train_images)))

    def warmup_steps(self, train_images: int) -> int:
        """Steps of the learning rate's warm-up; fewer than the trial has."""
        steps = round(self.warmup_epochs * self.steps_per_epoch(train_images))
        if steps >= self.total_steps(train_images):
            rule = f"must be shorter than the trial, which has {self.total_steps(train_images)} steps"
            raise ConfigError("warmup_epochs", self.warmup_epochs, f"{rule} (that warm-up: {steps})")
        return steps

    def to_settings(self) -> dict[str, Scalar]:
        """Every field as a flat mapping with dotted keys: the canonical configuration."""
        settings: dict[str, Scalar] = {}
        for key, value in dataclasses.asdict(self).items():
            if isinstance(value, dict):
                settings.update({f"{key}.{name}": item for name, item in value.items()})
            else:
                settings[key] = value
        return settings


def _field_names() -> tuple[str, ...]:
    views = ("view1", "view2")
    plain = [field.name for field in dataclasses.fields(TrialConfig) if field.name not in views]
    dotted = [f"{view}.{field.name}" for view in views for field in dataclasses.fields(ViewConfig)]
    return (*plain, *dotted)


FIELD_NAMES = _field_names()
"""Every field, views dotted: `tau_base`, `view2.solarize_p`."""
