"""No step waits for the device, whatever the settings: it reads no value back and takes none from the host.

The learner is on torch's meta device, whose tensors have no values: reading one fails. Operations for which
the host of a GPU would wait are refused by name, and so is every tensor that lies elsewhere. torch's fused
optimisers know no meta device, so the optimiser is LARS here; test_learner.py has all three, on the CPU.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from byol.config import TrialConfig
from byol.learner import Learner
from byol.presets import from_settings

pytestmark = pytest.mark.timeout(60)  # the meta device imports torch's compiler
META = torch.device("meta")
SMALL = {
    "projector_width": 16,
    "projector_size": 8,
    "predictor_width": 16,
    "batch_size": 8,
    "image_size": 16,
    "steps": 10,
    "optimizer": "lars",
}
TERMS = ("variance_weight", "covariance_weight", "cross_correlation_weight", "sigreg_weight")
ONLINE_TARGET: dict[str, Any] = {"tau_base": 0.0, "tau_schedule": "constant"}

SETTINGS: dict[str, dict[str, Any]] = {
    "the default": {},
    "every term, many views": {
        **dict.fromkeys(TERMS, 0.5),
        "negatives_weight": 0.5,
        "negatives_temperature": 0.2,
        "cross_correlation_lambda": 0.1,
        "view_count": 3,
        "target_views": "mean",
        "sigreg_slices": 16,
        "regression_weight": 0.5,
        "momentum": 0.8,
        "weight_decay": 0.1,
        "accumulate": 2,
        "loss_scale": 0.5,
        "encoder_weight_decay": 0.2,
        "projector_weight_decay": 0.0,
        "predictor_weight_decay": 0.1,
    },
    "an objective of one's own": {"objective": "tests.own_package:distance", "variance_weight": 0.1},
    "no pairs": {
        "regression_weight": 0.0,
        "predictor": "none",
        "sigreg_weight": 1.0,
        "lr_schedule": "constant",
    },
    "LARS, clipped": {
        "lars_clip": True,
        "lars_eta": 0.02,
        "exclude_bias_and_norm": True,
        "warmup_epochs": 0.5,
        "lr": 1.0,
        "predictor_lr_scale": 10.0,
        "predictor_lr_decay": False,
        "encoder_norm": "group",
        "projector_norm": "group",
        "predictor_norm": "group",
        "head_bias": "all",
    },
    "LARS, not clipped": {"head_bias": "hidden", "loss_norm": "layer"},
    "ghost batches in a ResNet": {
        "encoder": "resnet18",
        "zero_init_residual": True,
        "ghost_batch": 4,
        "loss_norm": "batch",
        "projector_norm_at": "all",
        "predictor_norm_at": "all",
        "bn_momentum": 0.2,
        "bn_eps": 1e-3,
    },
    "no batch statistics": {
        "encoder_norm": "group-ws",
        "projector_norm": "layer",
        "predictor_norm": "layer",
        "tau_schedule": "linear",
        "tau_final": 0.9,
        "tau_per": "epoch",
        "head_bias": "none",
    },
    "no normalisation at all": {
        "encoder_norm": "layer",
        "projector_norm": "none",
        "predictor_norm": "none",
        "loss_norm": "none",
        "projector_depth": 0,
        "predictor_depth": 3,
    },
    "a linear predictor, symmetric": {"predictor": "linear", "predictor_symmetric": True},
    "a frozen predictor, one direction": {"predictor": "frozen", "symmetric": False, "encoder_norm": "none"},
    "DirectPred": {"predictor": "directpred", "direct_rho": 0.5, "direct_eps": 0.1},
    "DirectCopy": {"predictor": "directcopy", "direct_every": 2},
    "the online network as target": ONLINE_TARGET,
    "no stop-gradient": {**ONLINE_TARGET, "stop_gradient": False, "predictor": "none"},
    "another target, averaged": {
        "target_init": "fresh",
        "target_every": 2,
        "target_statistics": "averaged",
        "projector_tau_base": 0.5,
        "tau_base": 0.9,
    },
    "copied statistics": {"target_statistics": "copied"},
}
"""What is special -> what is not at its default."""

NOT_OF_THE_STEP = {
    *("dataset", "train_images", "precision", "seed", "view1", "view2", "epochs", "optimizer"),
    *("eval_every", "eval_images", "knn_every", "knn_k", "knn_temperature", "probe", "encoder_stem"),
    *("metrics", "metrics_code", "dataset_settings", "dataset_code", "objective_settings"),
    *("encoder_settings", "encoder_code"),
}
"""Settings that no step reads: data, views (test_views.py), measurements, arguments of parts. Precision is
autocast's; for the optimiser see above; the stems of a ResNet have the same layers."""


class NoWaiting(TorchDispatchMode):
    """Fails on what the host would have to wait for, and on tensors that are not on the device."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket._qualified_op_name.removeprefix("aten::")
        reads = (
            "_local_scalar_dense",
            "nonzero",
            "is_nonzero",
            "masked_select",
            "equal",
            "_unique2",
            "lift_fresh",
        )
        assert name not in reads, f"{name} waits"
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, kwargs, result)):
            assert not isinstance(leaf, Tensor) or leaf.device == META, f"{name} has a tensor of the host"
        return result


@pytest.fixture(autouse=True)
def _no_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    """The meta device has no autocast."""

    @contextlib.contextmanager
    def nothing(*arguments: Any, **named: Any) -> Iterator[None]:
        yield

    monkeypatch.setattr(torch, "autocast", nothing)


def on_meta(**changes: Any) -> tuple[Learner, list[Tensor]]:
    """A learner without values, and views of its kind."""
    config = from_settings({**SMALL, **changes})
    learner = Learner(config, train_images=64, device=META)
    return learner, [torch.empty(8, 3, 16, 16, device=META) for _ in range(config.view_count)]


@pytest.mark.parametrize("special", SETTINGS)
def test_no_step_waits_for_the_device(special: str) -> None:
    learner, views = on_meta(**SETTINGS[special])
    learner.step(*views)  # the first makes the optimiser's state
    with NoWaiting():
        learner.step(*views)


def test_every_setting_that_a_step_reads_is_among_those() -> None:
    configs = [from_settings({**SMALL, **changes}) for changes in SETTINGS.values()]
    missing = []
    for field in dataclasses.fields(TrialConfig):
        if field.name in NOT_OF_THE_STEP:
            continue
        used = {getattr(config, field.name) for config in configs}
        needed = set(field.metadata.get("options", ()))
        if field.name == "encoder":  # one of torchvision's stands for the others
            needed = {"tiny", "resnet18"}
        if field.name == "encoder_norm":
            needed -= {"native"}  # that of the others
        if field.type is bool:
            needed = {True, False}
        if not needed <= used or (not needed and len(used) < 2 and field.name not in SMALL):
            missing.append(f"{field.name}: {sorted(map(str, needed - used))}")
    assert missing == []


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: x[x > 0.5],
        lambda x: bool(x.max() > 1),
        lambda x: x.tolist(),
        lambda x: x + torch.zeros(4),
        lambda x: x.copy_(torch.zeros(4)),
        lambda x: x + torch.tensor([1.0, 2.0, 3.0, 4.0], device=META),
    ],
)
def test_the_check_for_waiting_can_fail(wait: Any) -> None:
    x = torch.empty(4, device=META)
    with pytest.raises((AssertionError, NotImplementedError, RuntimeError)), NoWaiting():
        wait(x)
