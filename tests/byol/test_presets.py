"""The CIFAR-10 presets against their sources: lightly 1.5.26 and solo-learn (commit 9187ea3), written out.

lightly: docs/source/getting_started/benchmarks/cifar10_benchmark.py with the defaults of
lightly/transforms/byol_transform.py. solo-learn: scripts/pretrain/cifar/byol.yaml with
augmentations/asymmetric.yaml, solo/methods/byol.py and solo/losses/byol.py.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from byol.config import TrialConfig, ViewConfig
from byol.learner import Learner
from byol.presets import from_settings

PRESETS = ("byol-cifar10-lightly", "byol-cifar10-solo")

SOURCE_VIEWS: dict[str, tuple[dict[str, float], dict[str, float]]] = {
    "byol-cifar10-lightly": (
        # BYOLView1Transform(input_size=32, gaussian_blur=0.0)
        {
            "min_scale": 0.08,
            "hf_prob": 0.5,
            "cj_prob": 0.8,
            "cj_bright": 0.4,
            "cj_contrast": 0.4,
            "cj_sat": 0.2,
        }
        | {"cj_hue": 0.1, "random_gray_scale": 0.2, "gaussian_blur": 0.0, "solarization_prob": 0.0},
        # BYOLView2Transform(input_size=32, gaussian_blur=0.0)
        {
            "min_scale": 0.08,
            "hf_prob": 0.5,
            "cj_prob": 0.8,
            "cj_bright": 0.4,
            "cj_contrast": 0.4,
            "cj_sat": 0.2,
        }
        | {"cj_hue": 0.1, "random_gray_scale": 0.2, "gaussian_blur": 0.0, "solarization_prob": 0.2},
    ),
    "byol-cifar10-solo": (
        {
            "crop_min_scale": 0.08,
            "horizontal_flip": 0.5,
            "color_jitter": 0.8,
            "brightness": 0.4,
            "contrast": 0.4,
        }
        | {"saturation": 0.2, "hue": 0.1, "grayscale": 0.2, "gaussian_blur": 0.0, "solarization": 0.0},
        {
            "crop_min_scale": 0.08,
            "horizontal_flip": 0.5,
            "color_jitter": 0.8,
            "brightness": 0.4,
            "contrast": 0.4,
        }
        | {"saturation": 0.2, "hue": 0.1, "grayscale": 0.2, "gaussian_blur": 0.0, "solarization": 0.2},
    ),
}
"""Each view's settings, in the words of the source and in one order: those of `view_settings`."""


def view_settings(view: ViewConfig) -> list[float]:
    jitter = [view.jitter_p, view.brightness, view.contrast, view.saturation, view.hue]
    return [view.crop_scale_min, view.flip_p, *jitter, view.grayscale_p, view.blur_p, view.solarize_p]


@pytest.mark.parametrize("preset", PRESETS)
def test_views_are_those_of_the_source(preset: str) -> None:
    config = from_settings({"preset": preset})
    for view, source in zip((config.view1, config.view2), SOURCE_VIEWS[preset], strict=True):
        assert view_settings(view) == list(source.values())
        assert view.crop_scale_max == 1
        assert (view.crop_ratio_min, view.crop_ratio_max) == (3 / 4, 4 / 3)  # torchvision's default
        assert view.solarize_threshold * 255 <= 128 < view.solarize_threshold * 255 + 1  # on whole levels


def lightly_loss(p0: Tensor, p1: Tensor, z0: Tensor, z1: Tensor) -> Tensor:
    """`training_step`: half of both `NegativeCosineSimilarity`."""

    def negative_cosine(x0: Tensor, x1: Tensor) -> Tensor:
        return -functional.cosine_similarity(x0, x1, 1, 1e-8).mean()

    return 0.5 * (negative_cosine(p0, z1) + negative_cosine(p1, z0))


def solo_learn_loss(p0: Tensor, p1: Tensor, z0: Tensor, z1: Tensor) -> Tensor:
    """`training_step`: the sum of `byol_loss_func` over both directions."""

    def byol_loss(p: Tensor, z: Tensor) -> Tensor:
        return 2 - 2 * functional.cosine_similarity(p, z.detach(), dim=-1).mean()

    return byol_loss(p1, z0) + byol_loss(p0, z1)


@pytest.mark.parametrize(
    ("preset", "source_loss"), [(PRESETS[0], lightly_loss), (PRESETS[1], solo_learn_loss)]
)
def test_the_gradient_is_that_of_the_source(preset: str, source_loss: Callable[..., Tensor]) -> None:
    """Scale included: under SGD it decides, with the learning rate, how far a step goes."""
    learner = small_learner(preset)
    view1, view2 = torch.randn(2, 8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    z0, z1 = (learner.online(view)[1] for view in (view1, view2))
    with torch.no_grad():
        t0, t1 = (learner.target(view)[1] for view in (view1, view2))
    expected = source_loss(learner.predictor(z0), learner.predictor(z1), t0, t1)
    parameters = [*learner.online.parameters(), *learner.predictor.parameters()]
    gradients = [torch.autograd.grad(loss, parameters) for loss in (expected, learner.loss(view1, view2))]
    assert any(gradient.norm() > 1e-2 for gradient in gradients[0])
    for source, ours in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, source, rtol=1e-3, atol=1e-5)


def small_learner(preset: str) -> Learner:
    sizes = {"encoder": "tiny", "encoder_stem": "auto", "image_size": 16, "projector_width": 16}
    sizes |= {"projector_size": 8, "predictor_width": 16, "steps": 20, "warmup_epochs": 0, "batch_size": 8}
    return Learner(from_settings({"preset": preset, **sizes}), train_images=64, device=torch.device("cpu"))


def test_optimisers_are_those_of_the_sources() -> None:
    lightly, solo = (from_settings({"preset": preset}) for preset in PRESETS)
    names = ("optimizer", "batch_size", "momentum", "weight_decay", "warmup_epochs", "epochs")
    # SGD(lr=6e-2 * lr_factor, momentum=0.9, weight_decay=5e-4), lr_factor 1 at batch size 128
    assert lightly.lr * lightly.batch_size / 256 == pytest.approx(6e-2)
    assert values(lightly, *names) == ["sgd", 128, 0.9, 5e-4, 0.0, 200.0]
    # batch_size: 256, lr: 1.0 (times batch_size / 256), weight_decay: 1e-5, and its defaults
    assert solo.lr * solo.batch_size / 256 == pytest.approx(1.0)
    assert values(solo, *names) == ["lars", 256, 0.9, 1e-5, 10.0, 1000.0]
    # kwargs: clip_lr: True, eta: 0.02, exclude_bias_n_norm: True
    assert values(solo, "lars_clip", "lars_eta", "exclude_bias_and_norm") == [True, 0.02, True]


def values(config: TrialConfig, *names: str) -> list[Any]:
    return [getattr(config, name) for name in names]
