"""The configuration of one trial: every choice that an ablation can switch, as a validated field.

The dataclasses are the only definition of names, defaults and ranges. This module imports no torch, so that
planning a sweep starts at once. Where a default departs from a paper, the field's docstring says so.
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

EMBEDDED_SETS = ("fashion-mnist-8k", "fashion-mnist-8k-coloured")
"""The data sets that come with the tool. In the second, each image has two random colours."""

NAMED_SETS = (
    *EMBEDDED_SETS,
    "fashion-mnist",
    "cifar10",
    "cifar100",
    "stl10",
    "stl10-unlabelled",
)
"""The data sets known by name (docs/data.md), besides `folder:PATH` and `parquet:PATH`."""

OnBroken: TypeAlias = Literal["fail", "skip"]
"""What to do about images that cannot be read: an error, or leave them out."""


def check_dataset(dataset: str) -> None:
    """Checks the name of a data set. Whether its folder or file exists is checked when it is loaded.

    Raises:
        ConfigError: it is neither one of NAMED_SETS nor `folder:PATH` nor `parquet:PATH`.
    """
    kind, _, path = dataset.partition(":")
    if dataset in NAMED_SETS or (kind in ("folder", "parquet") and path):
        return
    rule = f"must be one of {', '.join(NAMED_SETS)}, folder:PATH or parquet:PATH"
    hint = nearest(kind, ("folder", "parquet")) if path else nearest(dataset, NAMED_SETS)
    raise ConfigError("dataset", dataset, rule, hint)


MOST = 10**9
"""The largest whole number of a setting that has no smaller limit."""


def _number(default: Any, low: float, high: float = math.inf) -> Any:
    return dataclasses.field(default=default, metadata={"low": low, "high": high})


def _choice(default: str, *options: str) -> Any:
    return dataclasses.field(default=default, metadata={"options": (default, *options)})


def _newer(default: Any, *, since: str, **rule: Any) -> Any:
    """A field that an earlier version did not have: at its default it is no part of `to_settings`."""
    return dataclasses.field(default=default, metadata={"since": since, **rule})


def _check_fields(config: object) -> None:
    """Puts each value into its field's type.

    Raises:
        ConfigError: a value is of another type, or breaks the rule of its field.
    """
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        if field.type is not ViewConfig:
            object.__setattr__(config, field.name, _checked(field, getattr(config, field.name)))


def _checked(field: "dataclasses.Field[Any]", value: object) -> Scalar:
    if field.type is bool:
        if not isinstance(value, bool):
            raise ConfigError(field.name, value, "must be true or false")
        return value
    if field.type is str:
        options = field.metadata.get("options")
        return _checked_choice(field.name, value, options) if options else _checked_name(field.name, value)
    number = _checked_number(field.name, value, whole=field.type is int)
    low, high = field.metadata["low"], field.metadata["high"]
    if not low <= number <= high or number > sys.float_info.max:
        rule = f"must be between {low:g} and {high:g}"
        if high == math.inf:
            rule = f"must be {'' if number < low else 'finite and '}at least {low:g}"
        raise ConfigError(field.name, value, rule)
    if field.type is int and high == math.inf and number > MOST:
        raise ConfigError(field.name, value, f"must be at most {MOST:,}")
    return int(number) if field.type is int else float(number)


def _checked_name(key: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(key, value, "must be a name")
    return value


def _checked_choice(key: str, value: object, options: tuple[str, ...]) -> str:
    if value not in options:
        unquoted = value is None or isinstance(value, bool)
        hint = ' (in YAML, quote "none", "no" and "off")' if unquoted else nearest(value, options)
        raise ConfigError(key, value, f"must be one of {', '.join(options)}", hint)
    return str(value)


def _checked_number(key: str, value: object, *, whole: bool) -> int | float:
    has_fraction = isinstance(value, float) and not value.is_integer()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or (whole and has_fraction):
        hint = " (without quotes)" if _is_quoted_number(value) else ""
        raise ConfigError(key, value, f"must be {'a whole number' if whole else 'a number'}", hint)
    return value


def _is_quoted_number(value: object) -> bool:
    """Whether it is a number as text. YAML 1.1 also reads 1e-3, which has no dot, as text."""
    try:
        float(str(value))
    except ValueError:
        return False
    return isinstance(value, str)


@dataclass(frozen=True, kw_only=True)
class ViewConfig:
    """How a view is drawn. The defaults are what BYOL's two views have in common.

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
    """Contrast factor is uniform in 1 - contrast to 1 + contrast."""
    saturation: float = _number(0.2, 0, 1)
    """Saturation factor is uniform in 1 - saturation to 1 + saturation."""
    hue: float = _number(0.1, 0, 0.5)
    """Hue shift is uniform in -hue to hue, in turns of the colour circle."""
    grayscale_p: float = _number(0.2, 0, 1)
    """Probability of turning the view to shades of gray."""
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

    The default is BYOL at a size that a laptop trains in seconds. Presets (`byol/presets.py`) are the
    published systems and recipes.

    Raises:
        ConfigError: a wrong type, a value that breaks a rule, or values that exclude each other.
    """

    # Data
    dataset: str = dataclasses.field(default="fashion-mnist-8k")
    """A named image source (docs/data.md), or `folder:PATH`, or `parquet:PATH`."""
    train_images: int = _number(0, 0)
    """How many training images to use; 0 is all of them."""
    image_size: int = _number(28, 8, 1024)
    """Side of a view, in pixels; images are resized to it for evaluation."""

    # Encoder
    encoder: str = _choice("tiny", *RESNETS, *BACKBONES)
    """`tiny` is four convolutions (16-32-64-128 channels); the others are torchvision's."""
    encoder_norm: str = _choice("batch", "group", "group-ws", "layer", "none", "native")
    """Normalisation inside the encoder. `group-ws` adds weight standardisation (arXiv 2010.10241); `native`
    is the backbone's own: the only choice where its layers cannot be exchanged, and only there."""
    encoder_stem: str = _choice("auto", "small", "imagenet")
    """First layers of a ResNet: `small` is a 3x3 convolution of stride 1 without max-pooling (SimCLR,
    appendix B.9); `auto` is `small` for images of up to 64 pixels, `imagenet` above."""

    # Projector
    projector_depth: int = _number(2, 1, 5)
    """Linear layers in the projector."""
    projector_width: int = _number(512, 1)
    """Features of the hidden layers."""
    projector_size: int = _number(128, 2)
    """Features of the projection, and of the prediction."""
    projector_norm: str = _choice("batch", "layer", "group", "none")
    """Normalisation in the projector."""
    projector_norm_at: str = _choice("hidden", "all")
    """`all` also normalises the output, without learned scale and shift (SimSiam, section 3)."""

    # Predictor
    predictor: str = _choice("mlp", "linear", "none", "frozen")
    """`frozen` is an MLP that keeps its random weights (SimSiam, table 1). `none` is the identity: then no
    other setting of the predictor has an effect."""
    predictor_depth: int = _number(2, 1, 5)
    """Linear layers in the predictor; not used by `linear`, which has one."""
    predictor_width: int = _number(512, 1)
    """Features of the hidden layers."""
    predictor_norm: str = _choice("batch", "layer", "group", "none")
    """Normalisation in the predictor."""
    predictor_norm_at: str = _choice("hidden", "all")
    """`all` also normalises the output, without learned scale and shift."""
    predictor_lr_scale: float = _number(1.0, 0)
    """Learning rate of the predictor, as a multiple of that of the rest (BYOL, table 21)."""
    predictor_lr_decay: bool = True
    """Whether the predictor's rate follows the schedule; False keeps it at its peak (SimSiam, table 1)."""

    # Target
    stop_gradient: bool = True
    """False lets the gradient into the target branch, which must then be the online network (tau 0)."""
    tau_base: float = _number(0.99, 0, 1)
    """First coefficient of the target's moving average: target <- tau x target + (1 - tau) x online."""
    tau_final: float = _number(1.0, 0, 1)
    """Coefficient at the end; not used by the constant schedule."""
    tau_schedule: str = _choice("cosine", "linear", "constant")
    """How tau goes from `tau_base` to `tau_final`."""
    tau_per: str = _choice("step", "epoch")
    """How often tau changes; not used by the constant schedule. Per epoch is coarser than the paper."""
    target_init: str = _choice("copy", "fresh")
    """Whether the target starts as a copy of the online network or with other random weights."""

    # Loss
    loss_norm: str = _choice("l2", "layer", "batch", "none")
    """Normalisation of prediction and target before their squared distance (BYOL, table 20)."""
    loss_scale: float = _number(1.0, 1e-6, 1e6)
    """Factor on the loss. BYOL sums both directions (1.0: range 0 to 8); many implementations
    halve it (0.5); 0.25 has the gradient of SimSiam's mean negative cosine. Under SGD, a learning rate that
    suits one scale does not suit another."""
    symmetric: bool = True
    """Whether each view predicts the other's target, or only the first view the second's."""
    negatives_weight: float = _number(0.0, 0, 10)
    """Weight beta of the negatives term (BYOL, table 5b): 0 is BYOL, 1 the InfoNCE of SimCLR."""
    negatives_temperature: float = _number(0.1, 0.001, 10)
    """Temperature alpha of the negatives term; not used if its weight is 0."""

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
    """Trust coefficient of LARS; not used by the other optimisers."""
    lars_clip: bool = _newer(False, since="0.3.0")
    """Whether LARS never steps further than SGD would at the same learning rate (LARC), as solo-learn's
    `clip_lr`; not used by the other optimisers."""
    batch_size: int = _number(128, 2)
    """Images per step; each gives two views."""
    accumulate: int = _newer(1, since="0.3.0", low=1, high=math.inf)
    """Equal parts of the batch that go through the networks one after the other, their gradients averaged:
    batch statistics and negatives are then of a part, and all else stays as it is (BYOL, section 5)."""
    epochs: float = _number(0.0, 0)
    """Length of the trial in passes over the training images; 0 if `steps` says it."""
    steps: int = _number(100, 0)
    """Length of the trial in optimiser steps; 0 if `epochs` says it."""
    bn_momentum: float = _number(0.1, 0, 1)
    """Weight of the newest batch in BatchNorm's running statistics (PyTorch's meaning); not used inside a
    native encoder."""
    bn_eps: float = _number(1e-5, 0)
    """Epsilon of every normalisation layer; not used inside a native encoder."""
    precision: str = _choice("auto", "fp32", "bf16")
    """`auto` is bf16 autocast where the device has it natively, fp32 elsewhere. Measurements are in fp32."""

    # Measurement
    eval_every: int = _number(10, 1)
    """Steps between measurements."""
    knn_every: int = _number(0, 0)
    """Steps between measurements of kNN accuracy, a multiple of eval_every; 0 is at the start and at the end
    only, where it is always measured."""
    eval_images: int = _number(1000, 8)
    """Test images on which collapse is measured: the first ones, or all if there are fewer."""
    knn_k: int = _number(20, 1)
    """Neighbours that vote in kNN."""
    knn_temperature: float = _number(0.1, 0.001)
    """Temperature of the weights of kNN's votes, exp(cosine / temperature) (arXiv 1805.01978)."""
    probe: bool = False
    """Whether to fit a linear probe on the frozen encoder at the end."""
    seed: int = _number(0, 0, 2**31 - 1)
    """Fixes initial weights, data order and augmentation draws, each by a generator of its own."""

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
        if self.batch_size % self.accumulate or self.part_size < 2:
            rule = f"must divide batch_size = {self.batch_size} into equal parts of at least two images"
            raise ConfigError("accumulate", self.accumulate, rule)
        if self.knn_every % self.eval_every:
            rule = f"must be a multiple of eval_every = {self.eval_every}"
            raise ConfigError("knn_every", self.knn_every, rule)
        self._check_encoder()

    def _check_encoder(self) -> None:
        norms_exchangeable = self.encoder == "tiny" or self.encoder in RESNETS
        if norms_exchangeable == (self.encoder_norm == "native"):
            valid = "one of batch, group, group-ws, layer, none" if norms_exchangeable else '"native"'
            rule = f"must be {valid} for encoder {self.encoder}"
            raise ConfigError("encoder_norm", self.encoder_norm, rule)
        if self.encoder not in RESNETS and self.encoder_stem != "auto":
            rule = f'must be "auto" for encoder {self.encoder} (only ResNets have two stems)'
            raise ConfigError("encoder_stem", self.encoder_stem, rule)
        if self.encoder == "vit_b_16" and self.image_size % 16:
            rule = "must be a multiple of 16 for encoder vit_b_16"
            raise ConfigError("image_size", self.image_size, rule)

    @property
    def target_is_online(self) -> bool:
        """Whether the target is the online network itself at every step, as in SimSiam."""
        stays_at_zero = self.tau_base == 0 and (self.tau_schedule == "constant" or self.tau_final == 0)
        return stays_at_zero and self.target_init == "copy"

    @property
    def part_size(self) -> int:
        """Images that go through the networks together."""
        return self.batch_size // self.accumulate

    def steps_per_epoch(self, train_images: int) -> int:
        """Steps in one pass over `train_images` images; an incomplete last batch is dropped.

        Raises:
            ConfigError: the images do not fill a batch.
        """
        if self.batch_size > train_images:
            rule = f"must not exceed the {train_images} training images of {self.dataset}"
            raise ConfigError("batch_size", self.batch_size, rule)
        return train_images // self.batch_size

    def total_steps(self, train_images: int) -> int:
        """Optimiser steps of the whole trial, at least 1.

        Raises:
            ConfigError: as `steps_per_epoch`, if the length is in epochs.
        """
        return self.steps or max(1, round(self.epochs * self.steps_per_epoch(train_images)))

    def warmup_steps(self, train_images: int) -> int:
        """Steps of the learning rate's warm-up.

        Raises:
            ConfigError: the warm-up is as long as the trial, or as `steps_per_epoch`.
        """
        steps = round(self.warmup_epochs * self.steps_per_epoch(train_images))
        if steps >= self.total_steps(train_images):
            rule = f"must be shorter than the trial, which has {self.total_steps(train_images)} steps"
            raise ConfigError("warmup_epochs", self.warmup_epochs, f"{rule} (that warm-up: {steps})")
        return steps

    def to_settings(self) -> dict[str, Scalar]:
        """The fields as a flat mapping with dotted keys, `view2.hue`: the canonical configuration.

        A trial's id is a hash of it. So that ids stay, a field that version 0.2.0 did not have is left out
        while it stands at its default; `byol.presets.from_settings` fills it in.
        """
        settings: dict[str, Scalar] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, ViewConfig):
                view = dataclasses.asdict(value)
                settings.update({f"{field.name}.{name}": item for name, item in view.items()})
            elif "since" not in field.metadata or value != field.default:
                settings[field.name] = value
        return settings


def _field_names() -> tuple[str, ...]:
    views = ("view1", "view2")
    plain = [field.name for field in dataclasses.fields(TrialConfig) if field.name not in views]
    dotted = [f"{view}.{field.name}" for view in views for field in dataclasses.fields(ViewConfig)]
    return (*plain, *dotted)


FIELD_NAMES = _field_names()
"""Every field, views dotted: `tau_base`, `view2.solarize_p`."""


def default_value(name: str) -> Scalar | None:
    """The default of a field, views dotted; None for what is no field."""
    view, _, field = name.rpartition(".")
    config = TrialConfig()
    value: Scalar | None = getattr(getattr(config, view, None) if view else config, field, None)
    return value if isinstance(value, str | int | float) else None
