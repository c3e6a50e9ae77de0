"""Networks: what is normalised where, which weights a seed gives, and which features an encoder has."""

import hashlib
import itertools
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision import models

from byol import networks
from byol.config import BACKBONES, Scalar, TrialConfig
from byol.networks import (
    TINY_CHANNELS,
    PositionMean,
    StandardisedConv2d,
    build_encoder,
    build_predictor,
    build_projector,
    groups_of,
    standardise_weights,
)
from byol.presets import from_settings
from byol.seeding import BeforeDraws, construction


def layers(module: nn.Module) -> list[type[nn.Module]]:
    return [type(child) for child in module.modules() if not list(child.children())]


def test_byols_heads_as_published() -> None:
    config = from_settings({"preset": "byol"})
    projector = build_projector(config, 2048)
    assert layers(projector) == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
    sizes = [(layer.in_features, layer.out_features) for layer in projector if isinstance(layer, nn.Linear)]
    assert sizes == [(2048, 4096), (4096, 256)]
    assert layers(build_predictor(config, TINY_CHANNELS[-1])) == [
        nn.Linear,
        nn.BatchNorm1d,
        nn.ReLU,
        nn.Linear,
    ]


def test_simsiams_heads_as_published() -> None:
    config = from_settings({"preset": "simsiam"})
    projector = build_projector(config, 512)
    hidden = [nn.Linear, nn.BatchNorm1d, nn.ReLU]
    assert layers(projector) == [*hidden, *hidden, nn.Linear, nn.BatchNorm1d]
    last = projector[-1]
    assert isinstance(last, nn.BatchNorm1d)
    assert not last.affine
    assert all(layer.bias is None for layer in projector if isinstance(layer, nn.Linear))
    predictor = build_predictor(config, TINY_CHANNELS[-1])
    assert layers(predictor) == [*hidden, nn.Linear]
    assert isinstance(predictor, nn.Sequential)
    assert isinstance(predictor[0], nn.Linear)
    assert (predictor[0].in_features, predictor[0].out_features) == (2048, 512)


@pytest.mark.parametrize(
    ("kind", "norm"),
    [("batch", nn.BatchNorm1d), ("layer", nn.LayerNorm), ("group", nn.GroupNorm), ("none", None)],
)
def test_a_heads_normalisation_is_exchanged_and_nothing_else(kind: str, norm: type[nn.Module] | None) -> None:
    projector = build_projector(TrialConfig(projector_norm=kind), 64)
    assert layers(projector) == [nn.Linear, *([norm] if norm else []), nn.ReLU, nn.Linear]


def test_predictors() -> None:
    assert layers(build_predictor(TrialConfig(predictor="none"), TINY_CHANNELS[-1])) == [nn.Identity]
    assert layers(build_predictor(TrialConfig(predictor="linear"), TINY_CHANNELS[-1])) == [nn.Linear]
    frozen = build_predictor(TrialConfig(predictor="frozen"), TINY_CHANNELS[-1])
    trained = build_predictor(TrialConfig(predictor="mlp"), TINY_CHANNELS[-1])
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    for a, b in zip(frozen.parameters(), trained.parameters(), strict=True):
        assert torch.equal(a, b)


def test_directly_set_predictors_start_from_the_weights_of_a_linear_one() -> None:
    linear = build_predictor(TrialConfig(predictor="linear", predictor_symmetric=True), 64)
    for kind in ("directpred", "directcopy"):
        direct = build_predictor(TrialConfig(predictor=kind, head_bias="all"), 64)
        assert [name for name, _ in direct.named_parameters()] == ["0.weight"]
        assert torch.equal(next(direct.parameters()), next(linear.parameters()))


BIASES = {
    # biases of the linear layers of a projector and a predictor of two layers each
    ("auto", "batch"): [False, True],
    ("auto", "none"): [True, True],
    ("all", "batch"): [True, True],
    ("none", "none"): [False, False],
    ("hidden", "batch"): [True, False],
}


@pytest.mark.parametrize(("bias", "norm"), BIASES)
def test_where_heads_have_biases(bias: str, norm: str) -> None:
    config = TrialConfig(head_bias=bias, projector_norm=norm, predictor_norm=norm)
    for head in (build_projector(config, 64), build_predictor(config, 64)):
        linear_layers = [layer for layer in head.modules() if isinstance(layer, nn.Linear)]
        assert [layer.bias is not None for layer in linear_layers] == BIASES[bias, norm]


def test_a_bias_before_batch_norm_is_cancelled_and_another_is_not() -> None:
    """Why `auto` leaves it out: the output is the same with it and without."""
    x = torch.randn(16, 64, generator=torch.Generator().manual_seed(1))
    norms = {
        "batch": {"projector_norm": "batch", "projector_norm_at": "all"},
        "none": {"projector_norm": "none"},
    }
    for norm, settings in norms.items():
        with_bias, without = (
            build_projector(from_settings({**settings, "head_bias": bias}), 64) for bias in ("all", "none")
        )
        assert torch.allclose(with_bias(x), without(x), atol=1e-4) == (norm == "batch")


def test_without_a_projector_the_projection_is_the_representation() -> None:
    config = TrialConfig(projector_depth=0, projector_norm_at="all", projector_size=3)
    x = torch.randn(4, 64)
    assert torch.equal(build_projector(config, 64)(x), x)
    sizes = {p.shape for p in build_predictor(config, 64).parameters() if p.ndim == 2}
    assert sizes == {(512, 64), (64, 512)}


@pytest.mark.parametrize("encoder", ["resnet18", "resnet50"])
def test_zero_initialised_residual_branches_are_torchvisions(encoder: str) -> None:
    """Scale 0 where torchvision has it and 1 elsewhere; weights stay; each block starts as its shortcut."""
    settings: dict[str, Scalar] = {"encoder": encoder, "image_size": 96}
    ones, _ = build_encoder(from_settings(settings))
    zeros, _ = build_encoder(from_settings({**settings, "zero_init_residual": True}))
    theirs = models.get_model(encoder, weights=None, zero_init_residual=True)
    theirs.fc = nn.Identity()
    state, plain = zeros.state_dict(), ones.state_dict()
    for name, tensor in theirs.state_dict().items():
        expected = tensor if tensor.ndim == 1 else plain[name]
        assert torch.equal(state[name], expected), name
    block = zeros.get_submodule("layer1.1").eval()
    x = torch.rand(2, 64 if encoder == "resnet18" else 256, 8, 8)
    assert torch.equal(block(x), x)
    group, _ = build_encoder(from_settings({**settings, "encoder_norm": "group", "zero_init_residual": True}))
    assert sum((p == 0).all().item() for n, p in group.named_parameters() if n.endswith("weight")) == len(
        [m for m in group.modules() if type(m).__name__ in ("BasicBlock", "Bottleneck")]
    )


@pytest.mark.parametrize("encoder", ["tiny", "resnet18"])
@pytest.mark.parametrize(
    ("kind", "norm"),
    [("batch", nn.BatchNorm2d), ("group", nn.GroupNorm), ("layer", nn.GroupNorm), ("none", nn.Identity)],
)
def test_an_encoder_without_batch_norm_has_none_anywhere(
    encoder: str, kind: str, norm: type[nn.Module]
) -> None:
    module, _ = build_encoder(TrialConfig(encoder=encoder, encoder_norm=kind, image_size=32))
    module_layers = layers(module)
    assert norm in module_layers
    assert (nn.BatchNorm2d in module_layers) == (kind == "batch")


def test_layer_norm_of_an_encoder_is_over_all_channels() -> None:
    module, _ = build_encoder(TrialConfig(encoder_norm="layer"))
    assert {child.num_groups for child in module.modules() if isinstance(child, nn.GroupNorm)} == {1}


@pytest.mark.parametrize(
    ("channels", "groups"), [(16, 4), (64, 16), (128, 32), (512, 32), (6, 1), (1, 1), (100, 25)]
)
def test_groups_divide_the_channels(channels: int, groups: int) -> None:
    assert groups_of(channels) == groups


def test_standardised_weights_have_mean_zero_and_variance_one() -> None:
    module, _ = build_encoder(TrialConfig(encoder_norm="group-ws"))
    convolutions = [child for child in module.modules() if isinstance(child, nn.Conv2d)]
    assert {type(child) for child in convolutions} == {StandardisedConv2d}
    for convolution in convolutions:
        assert isinstance(convolution, StandardisedConv2d)
        weight = convolution.standardised_weight()
        torch.testing.assert_close(weight.mean(dim=(1, 2, 3)), torch.zeros(len(weight)), atol=1e-6, rtol=0)
        torch.testing.assert_close(weight.var(dim=(1, 2, 3), correction=0), torch.ones(len(weight)))


def test_a_standardised_convolution_ignores_scale_and_offset_of_its_weights() -> None:
    plain = nn.Conv2d(3, 5, 3)
    images = torch.rand(2, 3, 8, 8)
    standardise_weights(holder := nn.Sequential(plain))
    before = holder(images)
    with torch.no_grad():
        plain.weight.mul_(3).add_(0.7)
    torch.testing.assert_close(holder(images), before, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(functional.conv2d(images, plain.weight, plain.bias), before)


def test_the_small_stem_keeps_the_images_size() -> None:
    small, features = build_encoder(TrialConfig(encoder="resnet18", image_size=32))
    assert features == 512
    assert small.conv1.stride == (1, 1)
    assert isinstance(small.maxpool, nn.Identity)
    large, _ = build_encoder(TrialConfig(encoder="resnet18", image_size=96))
    assert large.conv1.stride == (2, 2)


def test_a_resnets_weights_load_into_torchvision() -> None:
    encoder, _ = build_encoder(TrialConfig(encoder="resnet18", image_size=96))
    plain = models.resnet18(weights=None)
    plain.fc = nn.Identity()
    plain.load_state_dict(encoder.state_dict())
    images = torch.rand(2, 3, 96, 96)
    torch.testing.assert_close(plain.eval()(images), encoder.eval()(images))


FEATURES = {
    "convnext_tiny": 768,
    "densenet121": 1024,
    "efficientnet_b0": 1280,
    "mobilenet_v3_large": 1280,
    "mobilenet_v3_small": 1024,
    "regnet_y_400mf": 440,
    "resnet101": 2048,
    "resnext50_32x4d": 2048,
    "shufflenet_v2_x1_0": 1024,
    "swin_t": 768,
    "vit_b_16": 768,
    "wide_resnet50_2": 2048,
}
"""Published sizes of the representation."""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbones_features_are_the_input_of_its_last_linear_layer(name: str) -> None:
    encoder, features = build_encoder(TrialConfig(encoder=name, encoder_norm="native", image_size=32))
    assert features == FEATURES[name]
    images = torch.rand(2, 3, 32, 32, device="meta")
    assert encoder.to("meta").eval()(images).shape == (2, features)


def test_a_seed_fixes_weights_and_the_global_generator_does_not_change() -> None:
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first, _ = build_encoder(TrialConfig(seed=7))
    torch.manual_seed(2)
    again, _ = build_encoder(TrialConfig(seed=7))
    other, _ = build_encoder(TrialConfig(seed=8))
    torch.manual_seed(1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(next(first.parameters()), next(other.parameters()))


SMALL = {"projector_width": 16, "projector_size": 16, "predictor_width": 16, "image_size": 16}
LAYER_SETTINGS: dict[str, list[Scalar]] = {
    "encoder_norm": ["batch", "group", "group-ws", "layer", "none"],
    "projector_norm": ["batch", "layer", "group", "none"],
    "projector_norm_at": ["hidden", "all"],
    "projector_depth": [0, 1, 2, 3, 5],
    "projector_width": [16, 8],
    "projector_size": [16, 8],
    "predictor_norm": ["batch", "layer", "group", "none"],
    "predictor_norm_at": ["hidden", "all"],
    "predictor": ["mlp", "linear", "none", "frozen", "directpred", "directcopy"],
    "head_bias": ["auto", "all", "none", "hidden"],
    "ghost_batch": [0, 16],
    "predictor_depth": [1, 2, 3, 5],
    "predictor_width": [16, 8],
    "tau_base": [0.99, 0.0],
    "image_size": [16, 32],
}
"""Every setting that adds, removes or reshapes a layer of the smallest networks, with its levels."""


def hashes(config: TrialConfig) -> dict[str, str]:
    """Role, place and shape of each tensor of online network, predictor and fresh target -> its hash.

    The shape is that of the layer's weight: it also decides in which bounds the bias is drawn.
    The place of a layer in a head is "output", or its number from the input; one in an encoder is its name.
    """
    roles: dict[str, nn.Module] = {
        "encoder": build_encoder(config)[0],
        "projector": build_projector(config, TINY_CHANNELS[-1]),
        "predictor": build_predictor(config, TINY_CHANNELS[-1]),
        "target-encoder": build_encoder(config, "target-encoder")[0],
        "target-projector": build_projector(config, TINY_CHANNELS[-1], "target-projector"),
    }
    result = {}
    for role, module in roles.items():
        linear_layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
        places = {layer: str(index) for index, layer in enumerate(linear_layers[:-1])}
        for name, layer in module.named_modules():
            place = places.get(layer, "output") if isinstance(layer, nn.Linear) else name
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                for kind, tensor in layer.named_parameters():
                    digest = hashlib.sha256(tensor.detach().numpy().tobytes()).hexdigest()
                    result[f"{role} {place} {kind} {tuple(layer.weight.shape)}"] = digest
    return result


def test_a_setting_that_changes_layers_changes_no_weight_of_another_layer() -> None:
    """Between any two levels of any two settings: tensors of one role, place and shape are equal."""
    configs = [
        from_settings({**SMALL, "seed": 3, name: level})
        for name, levels in LAYER_SETTINGS.items()
        for level in levels
    ]
    tensors = [hashes(config) for config in configs]
    for first, second in itertools.combinations(tensors, 2):
        common = first.keys() & second.keys()
        assert {key: first[key] for key in common} == {key: second[key] for key in common}
        assert len(common) >= 8  # the convolutions of both encoders


def test_no_two_layers_and_no_two_seeds_have_the_same_weights() -> None:
    deep = {
        **SMALL,
        "projector_depth": 5,
        "predictor_depth": 5,
        "encoder_norm": "none",
        "projector_norm": "none",
    }
    digests = [*hashes(from_settings(deep)).values(), *hashes(from_settings({**deep, "seed": 1})).values()]
    assert len(digests) == len(set(digests)) > 50


@pytest.mark.timeout(60)
def test_a_torchvision_encoder_has_a_random_stream_for_each_module() -> None:
    """So its weights depend neither on the stem nor on the normalisation nor on the depth."""
    small: dict[str, Scalar] = {"encoder": "resnet18", "image_size": 32}
    variants: list[dict[str, Scalar]] = [
        small,
        {**small, "encoder_stem": "imagenet"},
        {**small, "encoder_norm": "none"},
        {**small, "encoder_norm": "group-ws"},
        {**small, "encoder": "resnet34"},
    ]
    tensors = [dict(build_encoder(from_settings(settings))[0].named_parameters()) for settings in variants]
    for first, second in itertools.combinations(tensors, 2):
        common = [key for key in first.keys() & second.keys() if first[key].shape == second[key].shape]
        assert len(common) > 15
        assert all(torch.equal(first[key], second[key]) for key in common)


def test_a_vision_transformers_weights_do_not_depend_on_the_number_of_patches() -> None:
    small, large = (
        dict(
            build_encoder(TrialConfig(encoder="vit_b_16", encoder_norm="native", image_size=size))[
                0
            ].named_parameters()
        )
        for size in (32, 64)
    )
    name = "encoder.pos_embedding"
    assert small.pop(name).shape != large.pop(name).shape
    assert all(torch.equal(small[key], large[key]) for key in small)


def test_torchvisions_initialisation_is_kept() -> None:
    """He's, by the fan-out, for the convolutions of a ResNet."""
    encoder, _ = build_encoder(TrialConfig(encoder="resnet18", image_size=96))
    for layer in encoder.modules():
        if isinstance(layer, nn.Conv2d):
            fan_out = layer.out_channels * layer.kernel_size[0] * layer.kernel_size[1]
            assert layer.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.03)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_the_mean_over_positions_is_torchs_pooling_and_keeps_the_layout(layout: torch.memory_format) -> None:
    x = torch.randn(3, 8, 4, 5, generator=torch.Generator().manual_seed(0)).to(memory_format=layout)
    results: list[tuple[Tensor | None, ...]] = []
    gradients: list[Tensor] = []
    for pool in (PositionMean(), nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())):
        leaf = x.clone().requires_grad_()
        kept = leaf.relu()
        kept.register_hook(lambda gradient: gradients.append(gradient))
        pooled = pool(kept)
        pooled.square().sum().backward()
        results += [(pooled, leaf.grad)]
    for ours, torchs in zip(*results, strict=True):
        assert torch.equal(ours, torchs)
    assert gradients[0].is_contiguous(memory_format=layout)


class Dispatched(TorchDispatchMode):
    """Records the tensors that torch fills with random numbers, at the lowest level."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sizes: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.nondeterministic_seeded in func.tags:
            self.sizes.append(args[0].numel())
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["tiny", "resnet18", "mobilenet_v3_small", "shufflenet_v2_x1_0"])
def test_every_draw_is_seen(name: str) -> None:
    """As many tensors of the same sizes as torch's dispatcher sees, in the same order."""
    norm = {} if name in ("tiny", "resnet18") else {"encoder_norm": "native"}
    config = from_settings({"encoder": name, "image_size": 32, **norm})
    seen: list[int] = []
    with (
        construction(0, "encoder"),
        Dispatched() as dispatched,
        BeforeDraws(lambda tensor: seen.append(tensor.numel())),
    ):
        networks._encoder(config)
    assert seen == dispatched.sizes
    assert len(seen) > 3


@pytest.mark.timeout(60)  # imports torch in a process of its own
def test_an_encoder_and_a_step_need_no_compiler() -> None:
    """torch._dynamo and what it imports take longer than the rest of torch."""
    code = """
import sys
import torch
import sweeps.engine.worker
from byol.learner import Learner
from byol.presets import from_settings
for optimizer in ("sgd", "lars", "adamw"):
    settings = {"image_size": 12, "batch_size": 4, "steps": 2, "optimizer": optimizer}
    learner = Learner(from_settings(settings), train_images=8, device=torch.device("cpu"))
    learner.step(torch.rand(4, 3, 12, 12), torch.rand(4, 3, 12, 12))
    learner.load_state(learner.state())
print({"torch._dynamo", "sympy", "torchvision"} & set(sys.modules))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "set()\n"
