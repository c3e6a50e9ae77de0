"""The configuration: its rules, its messages, and that every preset is a valid point in it."""

import ast
import dataclasses
import inspect
import itertools
from pathlib import Path

import pytest

from byol.config import FIELD_NAMES, NAMED_SETS, Scalar, TrialConfig, ViewConfig
from byol.errors import ConfigError
from byol.presets import PRESETS, VIEWS, from_settings
from sweeps.study.designs import digest


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tau_bas": 1}, 'tau_bas: is not a setting (did you mean "tau_base"?), but got 1'),
        ({"view2.solarise_p": 1}, 'is not a setting (did you mean "view2.solarize_p"?)'),
        ({"tau_base": 1.5}, "tau_base: must be between 0 and 1, but got 1.5"),
        ({"tau_base": float("nan")}, "must be between 0 and 1"),
        ({"view2.solarize_p": 3}, "view2.solarize_p: must be between 0 and 1, but got 3"),
        ({"batch_size": 1}, "batch_size: must be at least 2, but got 1"),
        ({"steps": 1.5}, "steps: must be a whole number, but got 1.5"),
        ({"lr": "1e-3"}, "must be a number (without quotes)"),
        ({"lr": True}, "lr: must be a number, but got True"),
        ({"epochs": float("inf")}, "epochs: must be finite and at least 0, but got inf"),
        ({"lr": -1}, "lr: must be at least 0, but got -1"),
        ({"symmetric": 1}, "symmetric: must be true or false, but got 1"),
        ({"view_count": 1}, "view_count: must be between 2 and 64, but got 1"),
        ({"target_views": "mena"}, 'target_views: must be one of each, mean (did you mean "mean"?)'),
        ({"view1.crop_sampler": "cut"}, "view1.crop_sampler: must be one of reject, clip"),
        ({"regression_weight": 0}, "regression_weight: 0 requires another term of the loss"),
        (
            {"regression_weight": 0, "cross_correlation_weight": 1},
            'predictor: must be "none" if nothing is predicted (regression_weight and negatives_weight 0)',
        ),
        ({"sigreg_slices": 0}, "sigreg_slices: must be between 1 and 65536, but got 0"),
        ({"lars_clip": 1}, "lars_clip: must be true or false, but got 1"),
        ({"predictor": "mpl"}, '(did you mean "mlp"?)'),
        ({"predictor": None}, 'in YAML, quote "none"'),
        ({"encoder_norm": False}, 'in YAML, quote "none"'),
        ({"dataset": 3}, "dataset: must be a name, but got 3"),
        ({"dataset": "cifar-100"}, "(did you mean \"cifar100\"?), but got 'cifar-100'"),
        ({"dataset": "foldr:photos"}, 'folder:PATH or parquet:PATH (did you mean "folder"?), but got'),
        ({"dataset": "folder:"}, "dataset: must be one of fashion-mnist-8k, "),
        ({"steps": 0, "epochs": 0}, "exactly one of steps and epochs must be set"),
        ({"steps": 5, "epochs": 1}, "exactly one of steps and epochs must be set"),
        ({"ghost_batch": 3}, "ghost_batch: must divide the 128 images that go through the networks together"),
        ({"ghost_batch": 1}, "equal groups of at least two images, or be 0, but got 1"),
        ({"ghost_batch": 64, "accumulate": 4}, "must divide the 32 images"),
        ({"predictor_symmetric": True}, 'must be false for predictor mlp (only "linear"'),
        ({"predictor": "directpred", "predictor_symmetric": True}, "must be false for predictor directpred"),
        ({"predictor": "direct-pred"}, '(did you mean "directpred"?)'),
        (
            {"encoder_weight_decay": -0.5},
            "must be at least 0 (-1 is the value of weight_decay), but got -0.5",
        ),
        ({"projector_tau_base": -2}, "must be between 0 and 1 (-1 is the value of tau_base), but got -2"),
        ({"weight_decay": -1}, "weight_decay: must be at least 0, but got -1"),
        (
            {"zero_init_residual": True},
            "must be false for encoder tiny with encoder_norm batch (only resnet18",
        ),
        (
            {"encoder": "resnet18", "encoder_norm": "none", "zero_init_residual": True},
            "must be false for encoder resnet18 with encoder_norm none",
        ),
        (
            {"stop_gradient": False, "tau_base": 0, "tau_schedule": "constant", "target_every": 2},
            "requires the online network as target",
        ),
        ({"target_statistics": "own"}, "must be one of batch, averaged, copied"),
        ({"head_bias": False}, 'in YAML, quote "none", "no" and "off"'),
        ({"projector_depth": 6}, "projector_depth: must be between 0 and 5"),
        ({"stop_gradient": False}, "requires the online network as target"),
        ({"negatives_weight": 1, "loss_norm": "none"}, 'requires loss_norm "l2"'),
        ({"eval_every": 10, "knn_every": 15}, "must be a multiple of eval_every = 10"),
        ({"view1.crop_scale_min": 0.5, "view1.crop_scale_max": 0.2}, "must not exceed crop_scale_max = 0.2"),
        ({"encoder": "vit_b_16"}, 'must be "native" for encoder vit_b_16'),
        ({"encoder_norm": "native"}, "for encoder tiny"),
        ({"encoder": "vit_b_16", "encoder_norm": "native", "image_size": 40}, "must be a multiple of 16"),
        (
            {"stop_gradient": False, "tau_base": 0, "tau_schedule": "constant", "target_init": "fresh"},
            "target_init copy",
        ),
        ({"encoder_stem": "small"}, 'must be "auto" for encoder tiny'),
        ({"preset": "byoll"}, '(did you mean "byol"?)'),
        ({"views": "crop_only"}, '(did you mean "crop-only"?)'),
    ],
)
def test_a_wrong_setting_is_refused_with_its_rule(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        from_settings(settings)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_error_carries_its_parts() -> None:
    with pytest.raises(ConfigError) as raised:
        from_settings({"preset": "byol", "view2.flip_p": "1e-1"})
    error = raised.value
    assert (error.key, error.value, error.rule) == ("view2.flip_p", "1e-1", "must be a number")
    assert error.hint == " (without quotes)"
    assert error.problem == f"{error.rule}{error.hint}, but got '1e-1'"
    assert str(error) == f"{error.key}: {error.problem}"


@pytest.mark.parametrize("dataset", [*NAMED_SETS, "folder:photos", "parquet:~/a:b"])
def test_the_names_of_data_sets(dataset: str) -> None:
    assert from_settings({"dataset": dataset}).dataset == dataset


def test_settings_round_trip() -> None:
    config = from_settings({"preset": "simsiam", "view2.solarize_p": 0.3, "seed": 5})
    assert from_settings(config.to_settings()) == config
    assert set(config.to_settings()) == set(FIELD_NAMES) - NEWER_FIELDS


NEWER_FIELDS = {
    "accumulate",
    "covariance_weight",
    "cross_correlation_lambda",
    "cross_correlation_weight",
    "dataset_code",
    "direct_eps",
    "direct_every",
    "direct_rho",
    "encoder_code",
    "encoder_weight_decay",
    "ghost_batch",
    "head_bias",
    "lars_clip",
    "metrics",
    "metrics_code",
    "objective",
    "objective_code",
    "predictor_symmetric",
    "predictor_weight_decay",
    "projector_tau_base",
    "projector_weight_decay",
    "regression_weight",
    "sigreg_slices",
    "sigreg_weight",
    "target_every",
    "target_statistics",
    "target_views",
    "variance_weight",
    "view1.crop_sampler",
    "view2.crop_sampler",
    "view_count",
    "zero_init_residual",
}
"""Fields that version 0.2.0 did not have."""


def test_a_field_newer_than_an_id_is_left_out_at_its_default_and_stored_otherwise() -> None:
    assert "lars_clip" not in TrialConfig(lars_clip=False).to_settings()
    assert "accumulate" not in TrialConfig(accumulate=1).to_settings()
    assert TrialConfig(accumulate=2).to_settings()["accumulate"] == 2
    crops = from_settings({"view2.crop_sampler": "clip"})
    assert crops.to_settings()["view2.crop_sampler"] == "clip"
    assert "view1.crop_sampler" not in crops.to_settings()
    assert from_settings(crops.to_settings()) == crops
    clipped = from_settings({"preset": "byol-cifar10-solo"})
    assert clipped.to_settings()["lars_clip"] is True
    assert from_settings(clipped.to_settings()) == clipped
    assert not from_settings(TrialConfig().to_settings()).lars_clip


QUICKSTART: dict[str, Scalar] = {
    "preset": "byol",
    "dataset": "fashion-mnist-8k",
    "image_size": 20,
    "projector_width": 512,
    "projector_size": 128,
    "predictor_width": 512,
    "view1.crop_scale_min": 0.3,
    "view2.crop_scale_min": 0.3,
    "batch_size": 128,
    "steps": 40,
    "lr": 0.3,
    "eval_every": 5,
    "eval_images": 500,
    "knn_every": 0,
    "tau_base": 0.99,
    "tau_schedule": "cosine",
}
"""The reference of the study collapse-quickstart of version 0.2.0."""


@pytest.mark.parametrize(
    ("settings", "trial_id"),
    [
        ({}, "4ebd72763ed9"),
        ({"seed": 3, "tau_base": 0.9, "steps": 400, "image_size": 20}, "599f07736aa0"),
        ({"encoder": "resnet18", "optimizer": "lars"}, "eacc090981ba"),
        ({"views": "cifar"}, "0ed614f399ce"),
        ({"preset": "byol"}, "cbd06e503431"),
        ({"preset": "byol-imagenet-100"}, "021e32e51628"),
        ({"preset": "byol-imagenet-300"}, "14600477c069"),
        ({"preset": "byol-imagenet-1000"}, "92c3a7409b9c"),
        ({"preset": "byol-no-batch-statistics"}, "03fe6c2a98ff"),
        ({"preset": "simsiam"}, "691736beefc6"),
        ({"preset": "simclr"}, "e93cc2dc6b35"),
        ({"preset": "tutorial"}, "9994fe81edce"),
        ({"preset": "simsiam-cifar10"}, "35cd192cd792"),
        ({**QUICKSTART}, "bce22bdc334b"),
        ({**QUICKSTART, "seed": 1}, "91281a73646f"),
        (
            {
                **QUICKSTART,
                "encoder_norm": "group",
                "projector_norm": "none",
                "predictor_norm": "none",
                "predictor": "none",
                "tau_base": 0,
                "tau_schedule": "constant",
            },
            "c34bef36117e",
        ),
    ],
)
def test_ids_are_those_of_version_0_2_0(settings: dict[str, Scalar], trial_id: str) -> None:
    """A sweep begun with it goes on, instead of running all of its trials again."""
    assert digest(from_settings(settings).to_settings()) == trial_id


def test_whole_floats_and_ints_are_the_same_configuration() -> None:
    assert from_settings({"lr": 1, "steps": 40.0}) == TrialConfig(lr=1.0, steps=40)
    assert isinstance(from_settings({"lr": 1}).lr, float)


def test_explicit_keys_beat_views_and_views_beat_the_preset() -> None:
    config = from_settings({"preset": "byol", "views": "crop-only", "view2.flip_p": 0.25, "tau_base": 0.5})
    assert (config.view1.flip_p, config.view2.flip_p, config.view1.jitter_p) == (0.0, 0.25, 0.0)
    assert (config.tau_base, config.projector_width) == (0.5, 4096)


def test_saying_one_length_replaces_the_other() -> None:
    assert from_settings({"preset": "byol-cifar10-lightly", "steps": 7}).epochs == 0
    assert from_settings({"epochs": 2}).steps == 0


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_valid(preset: str) -> None:
    from_settings({"preset": preset})


def test_view_bundles_hold_the_published_asymmetry() -> None:
    config = from_settings({"views": "byol"})
    assert config == TrialConfig()
    assert (config.view1.blur_p, config.view2.blur_p) == (1.0, 0.1)
    assert (config.view1.solarize_p, config.view2.solarize_p) == (0.0, 0.2)
    for name in VIEWS:
        from_settings({"views": name})
    symmetric = from_settings({"views": "symmetric"})
    assert symmetric.view1 == symmetric.view2


def test_the_online_network_is_the_target_only_where_tau_stays_zero() -> None:
    assert TrialConfig(tau_base=0, tau_schedule="constant").target_is_online
    assert TrialConfig(tau_base=0, tau_final=0).target_is_online
    assert not TrialConfig(tau_base=0, tau_final=1).target_is_online
    assert not TrialConfig(tau_base=0, tau_final=0, target_init="fresh").target_is_online
    online = TrialConfig(tau_base=0, tau_schedule="constant")
    assert dataclasses.replace(online, projector_tau_base=0).target_is_online
    for apart in ({"projector_tau_base": 0.5}, {"target_every": 2}, {"target_statistics": "averaged"}):
        assert not dataclasses.replace(online, **apart).target_is_online


def test_a_part_of_the_network_takes_the_common_value_unless_it_has_its_own() -> None:
    config = TrialConfig(weight_decay=0.1, projector_weight_decay=0.0, predictor_weight_decay=0.3)
    decays = [config.weight_decay_of(role) for role in ("encoder", "projector", "predictor")]
    assert decays == [0.1, 0.0, 0.3]
    assert from_settings({"predictor_weight_decay": -1}).to_settings() == TrialConfig().to_settings()


def test_lengths() -> None:
    assert TrialConfig(steps=0, epochs=2.5, batch_size=100).total_steps(1050) == 25
    assert TrialConfig(steps=30, warmup_epochs=2, batch_size=100).warmup_steps(1050) == 20
    with pytest.raises(ConfigError, match="must not exceed the 50 training images"):
        TrialConfig(batch_size=64).steps_per_epoch(50)
    with pytest.raises(ConfigError, match="must be shorter than the trial"):
        TrialConfig(steps=20, warmup_epochs=2, batch_size=100).warmup_steps(1050)


def test_views_alternate_between_the_two_settings() -> None:
    config = TrialConfig(view_count=5)
    assert config.view_settings == (config.view1, config.view2, config.view1, config.view2, config.view1)
    assert TrialConfig().view_settings == (config.view1, config.view2)


@pytest.mark.parametrize("cls", [TrialConfig, ViewConfig])
def test_every_field_has_a_docstring(cls: type) -> None:
    tree = ast.parse(Path(inspect.getfile(cls)).read_text())
    body = next(
        node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == cls.__name__
    )
    for field, after in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign):
            documented = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            assert documented, f"{ast.unparse(field.target)} has no docstring"
