"""Encoder, projector and predictor, with every normalisation that an ablation can choose.

Every layer has a random stream of its own, named after its role and place. So its initial weights depend on
the seed, that name and its shape, and on no other layer: adding or removing a bias, a normalisation or a
layer changes no weight elsewhere.

Shape suffixes: B batch, C channels, H height, W width, F encoder features, D projection features.
"""

import itertools
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from byol.backbones import own_encoder, timm_backbone, torchvision_backbone
from byol.config import RESNETS, TrialConfig
from byol.encoder_names import is_timm
from byol.ghost import use_ghost_batches
from byol.own_parts import is_own
from byol.predictors import DirectLinear, SymmetricLinear
from byol.seeding import BeforeDraws, construction, stream_seed

TINY_CHANNELS = (16, 32, 64, 128)
TINY_STRIDES = (2, 2, 2, 1)

_MAX_GROUPS = 32  # GroupNorm's default in arXiv 1803.08494; narrower layers get groups of 4 channels
_SMALL_IMAGE = 64  # pixels; up to this side a ResNet's ImageNet stem leaves too few positions


class StandardisedConv2d(nn.Conv2d):
    """Convolution whose weights have mean 0 and variance 1 per output channel (arXiv 1903.10520)."""

    def standardised_weight(self) -> Tensor:
        """The weight that the convolution uses, of the shape of `weight`."""
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True, correction=0)
        return (self.weight - mean) * torch.rsqrt(variance + 1e-10)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Convolves with the standardised weight."""
        y_BCHW: Tensor = self._conv_forward(x_BCHW, self.standardised_weight(), self.bias)
        return y_BCHW


class PositionMean(nn.Module):
    """The mean over all positions: [B, C, H, W] -> [B, C].

    Bit for bit nn.AdaptiveAvgPool2d(1), whose gradient is laid out channel by channel, whatever the layout of
    x. For x in channels_last, the layers before it would then take several times as long.
    """

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Averages in the layout of x."""
        if x_BCHW.is_contiguous(memory_format=torch.channels_last):
            return x_BCHW.permute(0, 2, 3, 1).flatten(1, 2).mean(dim=1)
        return x_BCHW.mean(dim=(2, 3))


def groups_of(channels: int) -> int:
    """Groups of a GroupNorm over so many channels: at most 32, each of at least 4 channels where possible."""
    return next(g for g in range(min(_MAX_GROUPS, max(1, channels // 4)), 0, -1) if channels % g == 0)


def conv_norm(config: TrialConfig) -> Callable[[int], nn.Module]:
    """The encoder's normalisation layer, as a function of its channels."""
    makers: dict[str, Callable[[int], nn.Module]] = {
        "batch": partial(nn.BatchNorm2d, eps=config.bn_eps, momentum=config.bn_momentum),
        "group": lambda channels: nn.GroupNorm(groups_of(channels), channels, eps=config.bn_eps),
        "layer": lambda channels: nn.GroupNorm(1, channels, eps=config.bn_eps),
        "none": lambda channels: nn.Identity(),
    }
    return makers["group" if config.encoder_norm == "group-ws" else config.encoder_norm]


def head_norm(kind: str, features: int, config: TrialConfig, *, affine: bool = True) -> nn.Module | None:
    """The normalisation layer of a head, over [B, features]; None for "none"."""
    if kind == "batch":
        return nn.BatchNorm1d(features, eps=config.bn_eps, momentum=config.bn_momentum, affine=affine)
    if kind == "layer":
        return nn.LayerNorm(features, eps=config.bn_eps, elementwise_affine=affine)
    if kind == "group":
        return nn.GroupNorm(groups_of(features), features, eps=config.bn_eps, affine=affine)
    return None


def head(sizes: tuple[int, ...], kind: str, norm_at: str, config: TrialConfig, stream: str) -> nn.Sequential:
    """An MLP [B, sizes[0]] -> [B, sizes[-1]]: linear, norm, ReLU, and so on.

    The last layer has no ReLU, and a norm only if `norm_at` is "all". Biases are where `config.head_bias` has
    them. Hidden layers draw their weights from the random streams `stream`/hidden0, `stream`/hidden1 and so
    on, the last from `stream`/output, whatever the depth.
    """
    layers: list[nn.Module] = []
    for index, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        is_last = index == len(sizes) - 2
        has_norm = not is_last or norm_at == "all"
        norm = head_norm(kind, outputs, config, affine=not is_last) if has_norm else None
        # A bias is drawn after the weight, so whether there is one does not change the weight.
        with construction(config.seed, f"{stream}/{'output' if is_last else f'hidden{index}'}"):
            layers.append(nn.Linear(inputs, outputs, bias=_has_bias(config, norm, is_last)))
        layers += [norm] if norm is not None else []
        layers += [] if is_last else [nn.ReLU(inplace=True)]
    return use_ghost_batches(nn.Sequential(*layers), config.ghost_batch)


def _has_bias(config: TrialConfig, norm: nn.Module | None, is_last: bool) -> bool:
    """Whether a linear layer of a head has a bias, `norm` being what comes next."""
    rules = {"auto": not isinstance(norm, nn.BatchNorm1d), "all": True, "none": False, "hidden": not is_last}
    return rules[config.head_bias]


def projection_size(config: TrialConfig, features: int) -> int:
    """D: features of the projection, which are those of the representation where there is no projector."""
    return config.projector_size if config.projector_depth else features


def build_projector(config: TrialConfig, features: int, stream: str = "projector") -> nn.Sequential:
    """Projector: [B, F] -> [B, D], with the weights of random streams `stream`/...; depth 0: the identity."""
    if config.projector_depth == 0:
        return nn.Sequential()
    sizes = (features, *[config.projector_width] * (config.projector_depth - 1), config.projector_size)
    return head(sizes, config.projector_norm, config.projector_norm_at, config, stream)


def build_predictor(config: TrialConfig, features: int) -> nn.Module:
    """Predictor: [B, D] -> [B, D] for an encoder of so many features; the identity for "none"."""
    size = projection_size(config, features)
    if config.predictor == "none":
        return nn.Identity()
    if config.predictor in ("directpred", "directcopy"):
        root = config.predictor == "directpred"
        rho, eps, every = config.direct_rho, config.direct_eps, config.direct_every
        with construction(config.seed, "predictor/output"):
            return nn.Sequential(DirectLinear(size, root=root, rho=rho, eps=eps, every=every))
    depth = 1 if config.predictor == "linear" else config.predictor_depth
    sizes = (size, *[config.predictor_width] * (depth - 1), size)
    predictor = head(sizes, config.predictor_norm, config.predictor_norm_at, config, "predictor")
    if config.predictor_symmetric:
        predictor[0].__class__ = SymmetricLinear
    return predictor.requires_grad_(config.predictor != "frozen")


def build_encoder(config: TrialConfig, stream: str = "encoder") -> tuple[nn.Module, int]:
    """Encoder [B, 3, S, S] -> representation [B, F], with the weights of random streams `stream`/...; and F.

    Each parameter has a stream, named as it is in the encoder: `encoder/layer1.0.conv1.weight`. torchvision's
    constructors draw one parameter after another, each as it chooses to, without saying which. So the encoder
    is built twice: first to learn the order, then with the generator at the start of the right stream before
    each draw.

    Raises:
        ConfigError, OtherPartError, PartError: as `timm_backbone` and `own_encoder`.
    """
    drawn: list[Tensor] = []
    with construction(config.seed, stream), BeforeDraws(drawn.append):
        rehearsal, _ = _encoder(config)
    names = {_storage(parameter): name for name, parameter in rehearsal.named_parameters()}
    # Tensors without a name are those of a layer that was taken out again, such as a classifier.
    order = iter([names.get(_storage(tensor), "removed") for tensor in drawn])

    def start_stream(tensor: Tensor) -> None:
        torch.manual_seed(stream_seed(config.seed, f"{stream}/{next(order)}"))

    with construction(config.seed, stream), BeforeDraws(start_stream):
        encoder, features = _encoder(config)
    return use_ghost_batches(encoder, config.ghost_batch), features


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _encoder(config: TrialConfig) -> tuple[nn.Module, int]:
    if config.encoder == "tiny":
        return _tiny(config), TINY_CHANNELS[-1]
    if config.encoder in RESNETS:
        return _resnet(config)
    if is_timm(config.encoder):
        return timm_backbone(config)
    return own_encoder(config) if is_own(config.encoder) else torchvision_backbone(config)


def _tiny(config: TrialConfig) -> nn.Sequential:
    norm = conv_norm(config)
    layers: list[nn.Module] = []
    inputs = 3
    for outputs, stride in zip(TINY_CHANNELS, TINY_STRIDES, strict=True):
        bias = config.encoder_norm == "none"
        layers.append(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=bias))
        layers += [norm(outputs), nn.ReLU(inplace=True)]
        inputs = outputs
    encoder = nn.Sequential(*layers, PositionMean())
    if config.encoder_norm == "group-ws":
        standardise_weights(encoder)
    return encoder


def _resnet(config: TrialConfig) -> tuple[nn.Module, int]:
    from torchvision import models  # not above: with torch's compiler, it takes longer than torch

    encoder = models.get_model(
        config.encoder,
        weights=None,
        norm_layer=conv_norm(config),
        zero_init_residual=config.zero_init_residual,
    )
    features = encoder.fc.in_features
    encoder.fc, encoder.avgpool = nn.Identity(), PositionMean()
    if small_stem(config):
        # SimCLR, appendix B.9. Padding 1 keeps the image's size.
        encoder.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
        nn.init.kaiming_normal_(encoder.conv1.weight, mode="fan_out", nonlinearity="relu")
        encoder.maxpool = nn.Identity()
    if config.encoder_norm == "group-ws":
        standardise_weights(encoder)
    return encoder, features


def small_stem(config: TrialConfig) -> bool:
    """Whether a ResNet of this configuration has the stem for small images."""
    if config.encoder_stem == "auto":
        return config.image_size <= _SMALL_IMAGE
    return config.encoder_stem == "small"


def standardise_weights(module: nn.Module) -> None:
    """Turns every convolution inside `module` into a weight-standardised one, in place."""
    for child in module.modules():
        if type(child) is nn.Conv2d:
            child.__class__ = StandardisedConv2d


class Branch(nn.Module):
    """Encoder and projector: what online and target network have in common."""

    def __init__(self, encoder: nn.Module, projector: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.projector = projector

    def forward(self, x_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Views -> representation y [B, F] and projection z [B, D], both float32."""
        y_BF = self.encoder(x_BCHW)
        return y_BF.float(), self.projector(y_BF).float()
