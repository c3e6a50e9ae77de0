"""The configuration of one trial: every choice that an ablation can switch, as a validated field.

The dataclasses are the only definition of names, defaults and ranges. This module imports no torch, so that
planning a sweep starts at once. Where a default departs from a paper, the field's docstring says so.
"""

import dataclasses
import math
from dataclasses import dataclass

from byol.dataset_names import EMBEDDED_SETS as EMBEDDED_SETS
from byol.dataset_names import NAMED_SETS as NAMED_SETS
from byol.dataset_names import OnBroken as OnBroken
from byol.dataset_names import check_dataset as check_dataset
from byol.encoder_names import BACKBONES as BACKBONES
from byol.encoder_names import RESNETS as RESNETS
from byol.encoder_names import check_encoder, is_timm
from byol.errors import ConfigError
from byol.fields import INHERITED as INHERITED
from byol.fields import Scalar as Scalar
from byol.fields import check_fields
from byol.fields import choice as _choice
from byol.fields import newer as _newer
from byol.fields import number as _number
from byol.fields import part as _part
from byol.own_parts import PARTS, PartSettings, checked_metrics, checked_part, is_own
from byol.view_config import ViewConfig as ViewConfig

_OWN = {"MODULE:NAME": is_own}
_OF_BUILT_IN = ("loss_norm", "target_views", "regression_weight", "negatives_weight", "negatives_temperature")
"""Settings of the terms of the loss whose place an objective of your own takes."""


@dataclass(frozen=True, kw_only=True)
class TrialConfig:
    """One trial, complete: a cell of a study plus its seed.

    The default is BYOL at a size that a laptop trains in seconds. Presets (`byol/recipes.py`) are the
    published systems and recipes.

    Raises:
        ConfigError: a wrong type, a value that breaks a rule, or values that exclude each other.
    """

    # Data
    dataset: str = dataclasses.field(default="fashion-mnist-8k")
    """A named image source (docs/data.md), `folder:PATH`, `parquet:PATH` or `MODULE:NAME`, your own."""
    train_images: int = _number(0, 0)
    """How many training images to use; 0 is all of them."""
    image_size: int = _number(28, 8, 1024)
    """Side of a view, in pixels; images are resized to it for evaluation."""

    # Encoder
    encoder: str = _part("tiny", *RESNETS, *BACKBONES, forms={"timm/NAME": is_timm, **_OWN})
    """`tiny` is four convolutions (16-32-64-128 channels); `timm/NAME` is a model of timm, `MODULE:NAME` is
    your own (docs/extending.md); the others are torchvision's."""
    encoder_norm: str = _choice("batch", "group", "group-ws", "layer", "none", "native")
    """Normalisation inside the encoder. `group-ws` adds weight standardisation (arXiv 2010.10241); `native`
    is the backbone's own: the only choice where its layers cannot be exchanged, and only there."""
    encoder_stem: str = _choice("auto", "small", "imagenet")
    """First layers of a ResNet: `small` is a 3x3 convolution of stride 1 without max-pooling (SimCLR,
    appendix B.9); `auto` is `small` for images of up to 64 pixels, `imagenet` above."""
    zero_init_residual: bool = _newer(False, since="0.3.0")
    """Whether the last normalisation of each residual block starts with scale 0, so that the block starts as
    the identity (arXiv 1706.02677, section 5.1; torchvision's option of this name): ResNets only."""

    # Projector
    projector_depth: int = _number(2, 0, 5)
    """Linear layers in the projector. 0 is none: the projection is the representation, and no other setting
    of the projector has an effect."""
    projector_width: int = _number(512, 1)
    """Features of the hidden layers."""
    projector_size: int = _number(128, 2)
    """Features of the projection, and of the prediction."""
    projector_norm: str = _choice("batch", "layer", "group", "none")
    """Normalisation in the projector."""
    projector_norm_at: str = _choice("hidden", "all")
    """`all` also normalises the output, without learned scale and shift (SimSiam, section 3)."""

    # Predictor
    predictor: str = _choice("mlp", "linear", "none", "frozen", "directpred", "directcopy")
    """`frozen` is an MLP that keeps its random weights (SimSiam, table 1). `none` is the identity: then no
    other setting of the predictor has an effect. `directpred` (arXiv 2102.06810) and `directcopy` (arXiv
    2110.04947) are a matrix without bias that is set, not trained, from F, the correlation of the online
    projections: to the root of F, or to F itself (`byol/predictors.py` has the formulas). Of the other
    settings of the predictor, those of its training have an effect between settings, and no other has."""
    predictor_depth: int = _number(2, 1, 5)
    """Linear layers in the predictor; not used by `linear`, `directpred` and `directcopy`, which have one."""
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
    predictor_symmetric: bool = _newer(False, since="0.3.0")
    """Whether the linear predictor's weight is made symmetric, W <- (W + W^T) / 2, after every step, as in
    the code of Tian et al. (arXiv 2102.06810; luckmatters, `predictor_reg: symmetric`)."""
    direct_rho: float = _newer(0.3, since="0.3.0", low=0, high=1)
    """Of `directpred` and `directcopy`: F <- rho x F + (1 - rho) x correlation of the step's projections
    (arXiv 2102.06810, equation 18; its value)."""
    direct_eps: float = _newer(0.01, since="0.3.0", low=0, high=math.inf)
    """Of `directpred` and `directcopy`: what is added to each eigenvalue (arXiv 2102.06810, equation 19; its
    value). `directcopy` has it in units of the squared projection, for it does not rescale F."""
    direct_every: int = _newer(1, since="0.3.0", low=1, high=math.inf)
    """Of `directpred` and `directcopy`: steps from one setting of the predictor to the next, the first step
    included. In between it is trained, as in the source; `predictor_lr_scale` 0 keeps it still."""
    head_bias: str = _newer("auto", since="0.3.0", options=("auto", "all", "none", "hidden"))
    """Which linear layers of projector and predictor have a bias. `auto`: those without a BatchNorm right
    after them, which would cancel it; `hidden`: all but the last, as in deepmind-research. `directpred` and
    `directcopy` never have one."""

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
    projector_tau_base: float = _newer(INHERITED, since="0.3.0", low=0, high=1, inherits="tau_base")
    """`tau_base` for the target's projector, on the same schedule; -1 is the encoder's, `tau_base`."""
    target_every: int = _newer(1, since="0.3.0", low=1, high=math.inf)
    """Steps from one update of the target to the next; in between it stays. With tau 0, a copy every so many
    steps, as in deep Q-learning (Mnih et al. 2015)."""
    target_statistics: str = _newer("batch", since="0.3.0", options=("batch", "averaged", "copied"))
    """By which statistics the target's BatchNorm normalises. `batch`: those of its batch, in train mode, as
    in deepmind-research. Otherwise running ones, in eval mode: `averaged`, the moving average of the online
    network's, with tau as for the weights (EMAN, arXiv 2101.08482); `copied`, those of the online network at
    the last update."""

    # Loss
    loss_norm: str = _choice("l2", "layer", "batch", "none")
    """Normalisation of prediction and target before their squared distance (BYOL, table 20)."""
    loss_scale: float = _number(1.0, 1e-6, 1e6)
    """Factor on the whole loss. BYOL sums both directions (1.0: range 0 to 8); many implementations
    halve it (0.5); 0.25 has the gradient of SimSiam's mean negative cosine. Under SGD, a learning rate that
    suits one scale does not suit another."""
    symmetric: bool = True
    """Whether each view predicts the targets of the others, or only the first view does."""
    target_views: str = _newer("each", since="0.3.0", options=("each", "mean"))
    """What a view predicts: the target of `each` other view, in the mean of their losses, or the `mean` of
    those targets, taken before `loss_norm`, as in lightly's FastSiam (arXiv 2203.08777). With two views both
    are the same."""
    regression_weight: float = _newer(1.0, since="0.3.0", low=0, high=1e6)
    """Weight of the squared distance between prediction and target: 1 is BYOL, 0 leaves the other terms.
    `byol/regularisers.py` says which weights make which published loss."""
    negatives_weight: float = _number(0.0, 0, 10)
    """Weight beta of the negatives term (BYOL, table 5b): 0 is BYOL, 1 the InfoNCE of SimCLR."""
    negatives_temperature: float = _number(0.1, 0.001, 10)
    """Temperature alpha of the negatives term; not used if its weight is 0."""
    variance_weight: float = _newer(0.0, since="0.3.0", low=0, high=1e6)
    """Weight of VICReg's variance term (arXiv 2105.04906, equation 1), summed over two views. This and the
    next three terms are of the online network's projections of all views, whatever the target is."""
    covariance_weight: float = _newer(0.0, since="0.3.0", low=0, high=1e6)
    """Weight of VICReg's covariance term (equation 4), summed over two views."""
    cross_correlation_weight: float = _newer(0.0, since="0.3.0", low=0, high=1e6)
    """Weight of Barlow Twins' loss (arXiv 2103.03230, equation 1) between the projections of two views."""
    cross_correlation_lambda: float = _newer(5e-3, since="0.3.0", low=0, high=1e6)
    """Weight of correlations between different features within that term; not used if its weight is 0."""
    sigreg_weight: float = _newer(0.0, since="0.3.0", low=0, high=1e6)
    """Weight of LeJEPA's SIGReg (arXiv 2511.08544), the mean over the views."""
    sigreg_slices: int = _newer(256, since="0.3.0", low=1, high=65536)
    """Random directions of SIGReg, drawn anew at each step; not used if its weight is 0. The default is that
    of the authors' minimal example; their README has 1024."""

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
    encoder_weight_decay: float = _newer(
        INHERITED, since="0.3.0", low=0, high=math.inf, inherits="weight_decay"
    )
    """Weight decay of the encoder; -1 is `weight_decay`."""
    projector_weight_decay: float = _newer(
        INHERITED, since="0.3.0", low=0, high=math.inf, inherits="weight_decay"
    )
    """Weight decay of the projector; -1 is `weight_decay`."""
    predictor_weight_decay: float = _newer(
        INHERITED, since="0.3.0", low=0, high=math.inf, inherits="weight_decay"
    )
    """Weight decay of the predictor; -1 is `weight_decay` (arXiv 2102.06810 varies it by itself; its code
    has an optimiser of its own for the predictor)."""
    exclude_bias_and_norm: bool = False
    """Whether biases and normalisation parameters are left out of weight decay, and of LARS's adaptation."""
    lars_eta: float = _number(1e-3, 1e-9)
    """Trust coefficient of LARS; not used by the other optimisers."""
    lars_clip: bool = _newer(False, since="0.3.0")
    """Whether LARS never steps further than SGD would at the same learning rate (LARC), as solo-learn's
    `clip_lr`; not used by the other optimisers."""
    batch_size: int = _number(128, 2)
    """Images per step; each gives `view_count` views."""
    view_count: int = _newer(2, since="0.3.0", low=2, high=64)
    """Views of each image in a step, all of one size. The third is drawn with the settings of `view1`, the
    fourth with those of `view2`, and so on in turn. The loss has the range that it has for two."""
    accumulate: int = _newer(1, since="0.3.0", low=1, high=math.inf)
    """Equal parts of the batch that go through the networks one after the other, their gradients averaged:
    batch statistics and negatives are then of a part, and all else stays as it is (BYOL, section 5)."""
    ghost_batch: int = _newer(0, since="0.3.0", low=0, high=math.inf)
    """Images that BatchNorm normalises together in training, in equal groups of each view's batch or part
    (ghost batch normalisation, arXiv 1705.08741); 0 is all of them. `loss_norm` "batch" is not affected, nor
    is a module that is passed to `train` or `Learner`."""
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
    """Whether to fit a linear probe on the frozen encoder at the end. A ResNet that has seen as many images
    as 20 passes over the labelled ones has it in any case, because there it costs little."""
    seed: int = _number(0, 0, 2**31 - 1)
    """Fixes initial weights, data order and augmentation draws, each by a generator of its own."""

    # Parts of your own (docs/extending.md), with encoder and dataset above
    objective: str = _part("built-in", forms=_OWN, since="0.3.0")
    """What predictions and targets are compared by: `built-in`, the regression and the negatives term, or
    `MODULE:NAME`, a function of your own in their place. `loss_scale` and the terms of the projections alone
    (`variance_weight` and the like) apply to both."""
    metrics: str = _newer("", since="0.3.0", empty=True)
    """Metrics of your own that each measurement has too: `MODULE:NAME`, several joined by commas."""
    encoder_settings: PartSettings = dataclasses.field(default=PartSettings())
    """Keyword arguments of an encoder of your own, or of timm; in a study `encoder.NAME` each."""
    objective_settings: PartSettings = dataclasses.field(default=PartSettings())
    """Keyword arguments of an objective of your own; in a study `objective.NAME` each."""
    dataset_settings: PartSettings = dataclasses.field(default=PartSettings())
    """Keyword arguments of a data set of your own; in a study `dataset.NAME` each."""
    encoder_code: str = _newer("", since="0.3.0", empty=True)
    """Digest of the source of an encoder of your own. This and the next three are found if left out."""
    objective_code: str = _newer("", since="0.3.0", empty=True)
    """Digest of the source of an objective of your own."""
    dataset_code: str = _newer("", since="0.3.0", empty=True)
    """Digest of the source of a data set of your own."""
    metrics_code: str = _newer("", since="0.3.0", empty=True)
    """Digests of the sources of the metrics, joined by commas."""

    # Views
    view1: ViewConfig = dataclasses.field(default=ViewConfig(blur_p=1.0))
    """The first view."""
    view2: ViewConfig = dataclasses.field(default=ViewConfig(blur_p=0.1, solarize_p=0.2))
    """The second view."""

    def __post_init__(self) -> None:
        check_fields(self)
        check_dataset(self.dataset)
        if bool(self.steps) == bool(self.epochs):
            rule = "exactly one of steps and epochs must be set (the other 0)"
            raise ConfigError("steps", self.steps, f"{rule}; epochs is {self.epochs:g}")
        if not self.stop_gradient and not self.target_is_online:
            settings = (
                "tau_base 0, tau_schedule constant, target_init copy; target_every, target_statistics and "
                "projector_tau_base at their defaults"
            )
            rule = f"false requires the online network as target ({settings})"
            raise ConfigError("stop_gradient", self.stop_gradient, rule)
        if self.negatives_weight and self.loss_norm != "l2":
            rule = 'above 0 requires loss_norm "l2", for negatives are compared by cosine'
            raise ConfigError("negatives_weight", self.negatives_weight, rule)
        if not self.has_pairs and not self.has_regularisers:
            rule = "0 requires another term of the loss with a weight above 0"
            raise ConfigError("regression_weight", self.regression_weight, rule)
        if not self.has_pairs and self.predictor != "none":
            rule = 'must be "none" if nothing is predicted (regression_weight and negatives_weight 0)'
            raise ConfigError("predictor", self.predictor, rule)
        if self.batch_size % self.accumulate or self.part_size < 2:
            rule = f"must divide batch_size = {self.batch_size} into equal parts of at least two images"
            raise ConfigError("accumulate", self.accumulate, rule)
        if self.knn_every % self.eval_every:
            rule = f"must be a multiple of eval_every = {self.eval_every}"
            raise ConfigError("knn_every", self.knn_every, rule)
        if self.ghost_batch == 1 or (self.ghost_batch and self.part_size % self.ghost_batch):
            rule = (
                f"must divide the {self.part_size} images that go through the networks together into equal "
            )
            rule += "groups of at least two images, or be 0"
            raise ConfigError("ghost_batch", self.ghost_batch, rule)
        if self.predictor_symmetric and self.predictor != "linear":
            rule = f'must be false for predictor {self.predictor} (only "linear" has one square matrix)'
            raise ConfigError("predictor_symmetric", self.predictor_symmetric, rule)
        check_encoder(
            self.encoder,
            norm=self.encoder_norm,
            stem=self.encoder_stem,
            zero_init_residual=self.zero_init_residual,
            image_size=self.image_size,
        )
        self._check_parts()

    def _check_parts(self) -> None:
        for key in PARTS:
            name, settings, code = (getattr(self, f"{key}{end}") for end in ("", "_settings", "_code"))
            object.__setattr__(self, f"{key}_code", checked_part(key, name, settings, code, FIELD_NAMES))
        names, code = checked_metrics(self.metrics, self.metrics_code)
        object.__setattr__(self, "metrics", names)
        object.__setattr__(self, "metrics_code", code)
        for key in _OF_BUILT_IN if is_own(self.objective) else ():
            if getattr(self, key) != default_value(key):
                rule = "must be left out with an objective of your own, which takes the place of this term"
                raise ConfigError(key, getattr(self, key), rule)

    @property
    def target_is_online(self) -> bool:
        """Whether the target is the online network itself at every step, as in SimSiam."""
        starts_at_zero = self.tau_base == 0 and self.projector_tau_base in (INHERITED, 0)
        stays_at_zero = starts_at_zero and (self.tau_schedule == "constant" or self.tau_final == 0)
        is_alike = self.target_every == 1 and self.target_statistics == "batch"
        return stays_at_zero and is_alike and self.target_init == "copy"

    @property
    def has_pairs(self) -> bool:
        """Whether the loss has terms that compare predictions with targets."""
        return self.regression_weight > 0 or self.negatives_weight > 0

    @property
    def has_regularisers(self) -> bool:
        """Whether the loss has terms of the online projections alone."""
        weights = (self.variance_weight, self.covariance_weight, self.cross_correlation_weight)
        return any(weight > 0 for weight in (*weights, self.sigreg_weight))

    @property
    def view_settings(self) -> tuple[ViewConfig, ...]:
        """The settings of each view of a step: `view1`, `view2`, `view1` and so on."""
        return tuple((self.view1, self.view2)[index % 2] for index in range(self.view_count))

    @property
    def part_size(self) -> int:
        """Images that go through the networks together."""
        return self.batch_size // self.accumulate

    @property
    def norm_size(self) -> int:
        """Images whose statistics a BatchNorm in train mode uses."""
        return self.ghost_batch or self.part_size

    def weight_decay_of(self, role: str) -> float:
        """The weight decay of "encoder", "projector" or "predictor"."""
        own: float = getattr(self, f"{role}_weight_decay")
        return self.weight_decay if own == INHERITED else own

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
        settings = _counted(self)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, ViewConfig):
                settings.update({f"{field.name}.{name}": item for name, item in _counted(value).items()})
            if isinstance(value, PartSettings):
                settings.update(value.named(field.name.removesuffix("_settings")))
        return settings


def _counted(config: TrialConfig | ViewConfig) -> dict[str, Scalar]:
    """The plain fields by name, but for newer ones at their default."""
    values = {field: getattr(config, field.name) for field in dataclasses.fields(config)}
    return {
        field.name: value
        for field, value in values.items()
        if not dataclasses.is_dataclass(value) and ("since" not in field.metadata or value != field.default)
    }


def _field_names() -> tuple[str, ...]:
    views = ("view1", "view2")
    fields = dataclasses.fields(TrialConfig)
    plain = [field.name for field in fields if not dataclasses.is_dataclass(field.type)]
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
