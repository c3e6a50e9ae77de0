"""Known answers of designs, ids and order."""

import hashlib
import json

import pytest

from byol.config import Scalar, TrialConfig
from byol.presets import from_settings
from sweeps.study.designs import CellError, Design, Factor, Labels, Level, cells, digest, trials

A = Factor(name="lr", levels=tuple(Level(label=lr, settings={"lr": lr}) for lr in (0.1, 0.2, 0.3)))
B = Factor(name="encoder_norm", levels=(
    Level(label="batch", settings={}), Level(label="group", settings={"encoder_norm": "group"}),
))  # fmt: skip
C = Factor(name="symmetric", levels=(
    Level(label=True, settings={"symmetric": True}), Level(label=False, settings={"symmetric": False}),
))  # fmt: skip


def labels(design: Design, *factors: Factor) -> list[tuple[object, ...]]:
    return [tuple(cell.labels.values()) for cell in cells({}, factors, design)]


def test_full_factorial_varies_the_last_factor_fastest() -> None:
    assert labels(Design(), A, B) == [
        (0.1, "batch"), (0.1, "group"), (0.2, "batch"), (0.2, "group"), (0.3, "batch"), (0.3, "group"),
    ]  # fmt: skip


def test_leave_one_out_is_the_reference_and_one_change_at_a_time() -> None:
    assert labels(Design(kind="leave-one-out"), A, B, C) == [
        (0.1, "batch", True),
        (0.2, "batch", True), (0.3, "batch", True), (0.1, "group", True), (0.1, "batch", False),
    ]  # fmt: skip


def test_add_one_in_is_the_reference_the_baseline_and_one_component_at_a_time() -> None:
    assert labels(Design(kind="add-one-in"), A, B, C) == [
        (0.1, "batch", True), (0.3, "group", False),
        (0.1, "group", False), (0.3, "batch", False), (0.3, "group", True),
    ]  # fmt: skip


def test_add_one_in_of_one_factor_has_no_cell_twice() -> None:
    assert labels(Design(kind="add-one-in"), B) == [("batch",), ("group",)]


def test_listed_cells_have_the_first_level_of_factors_they_do_not_name() -> None:
    listed: tuple[Labels, ...] = ({"lr": 0.3}, {"encoder_norm": "group", "lr": 0.2})
    assert labels(Design(kind="listed", listed=listed), A, B) == [(0.3, "batch"), (0.2, "group")]


def test_excluded_combinations_are_left_out() -> None:
    exclude: tuple[Labels, ...] = ({"lr": 0.2}, {"lr": 0.1, "encoder_norm": "group"})
    assert labels(Design(exclude=exclude), A, B) == [(0.1, "batch"), (0.3, "batch"), (0.3, "group")]


def test_trials_come_in_replicate_major_order() -> None:
    two = cells({}, (B,), Design())
    order = [(trial.seed, trial.cell_id) for trial in trials(two, (7, 3))]
    first, second = (cell.cell_id for cell in two)
    assert order == [(7, first), (7, second), (3, first), (3, second)]


def test_the_longest_trials_of_a_replicate_come_first() -> None:
    lengths = Factor(
        name="length",
        levels=tuple(
            Level(label=label, settings=settings)
            for label, settings in {
                "short": {"steps": 10},
                "long": {"steps": 30},
                "wide": {"steps": 10, "batch_size": 1024},
                "large": {"steps": 10, "image_size": 32},
                "epochs": {"steps": 0, "epochs": 2, "train_images": 64},
            }.items()
        ),
    )
    order = [
        (trial.seed, trial.labels["length"]) for trial in trials(cells({}, (lengths,), Design()), (1, 0))
    ]
    names = ["wide", "long", "large", "short", "epochs"]
    assert order == [*((1, name) for name in names), *((0, name) for name in names)]


def test_ids_are_hashes_of_the_canonical_configuration() -> None:
    (cell,) = cells({"lr": 0.25, "preset": "byol"}, (), Design())
    (trial,) = trials((cell,), (5,))
    config = from_settings({"preset": "byol", "lr": 0.25, "seed": 5})
    text = json.dumps(config.to_settings(), sort_keys=True, separators=(",", ":"))
    assert trial.trial_id == hashlib.sha256(text.encode()).hexdigest()[:12]
    without_seed = {key: value for key, value in config.to_settings().items() if key != "seed"}
    assert trial.cell_id == digest(without_seed)
    assert from_settings(trial.settings) == config


def test_ids_do_not_depend_on_how_a_configuration_is_spelt() -> None:
    spellings: list[dict[str, Scalar]] = [
        {"views": "byol"},
        {},
        {"tau_base": 0.99, "view2.solarize_p": 0.2},
        {"tau_final": 1},
    ]
    assert len({cells(settings, (), Design())[0].cell_id for settings in spellings}) == 1


def test_two_cells_of_one_configuration_are_refused() -> None:
    twin = Factor(name="views", levels=(
        Level(label="byol", settings={"views": "byol"}), Level(label="default", settings={}),
    ))  # fmt: skip
    with pytest.raises(CellError, match="views=default: is the same configuration as views=byol"):
        cells({}, (twin,), Design())


PREDICTOR = Factor(name="predictor", levels=tuple(
    Level(label=name, settings={"predictor": name}) for name in ("mlp", "linear", "none")
))  # fmt: skip
NORM = Factor(name="predictor_norm", when={"predictor": ("mlp",)}, levels=tuple(
    Level(label=name, settings={"predictor_norm": name}) for name in ("batch", "none")
))  # fmt: skip
CHAIN = Factor(name="symmetric", when={"predictor_norm": ("none",)}, levels=C.levels)
"""Applies where a conditional factor stands at its second level."""


def test_a_conditional_factor_is_absent_where_its_condition_does_not_hold() -> None:
    four = cells({}, (PREDICTOR, NORM), Design())
    assert [cell.labels for cell in four] == [
        {"predictor": "mlp", "predictor_norm": "batch"},
        {"predictor": "mlp", "predictor_norm": "none"},
        {"predictor": "linear"},
        {"predictor": "none"},
    ]
    reference = TrialConfig().predictor_norm
    norms = [cell.config.predictor_norm for cell in four]
    assert norms == ["batch", "none", reference, reference]


def test_a_condition_on_an_absent_factor_does_not_hold() -> None:
    assert labels(Design(), PREDICTOR, NORM, CHAIN) == [
        ("mlp", "batch"), ("mlp", "none", True), ("mlp", "none", False), ("linear",), ("none",),
    ]  # fmt: skip


def test_all_conditions_must_hold_at_one_of_their_levels() -> None:
    both = Factor(
        name="lr", levels=A.levels[:2], when={"predictor": ("mlp", "linear"), "encoder_norm": ("group",)}
    )
    assert labels(Design(), PREDICTOR, B, both) == [
        ("mlp", "batch"), ("mlp", "group", 0.1), ("mlp", "group", 0.2),
        ("linear", "batch"), ("linear", "group", 0.1), ("linear", "group", 0.2),
        ("none", "batch"), ("none", "group"),
    ]  # fmt: skip


def test_leave_one_out_with_conditional_factors() -> None:
    assert labels(Design(kind="leave-one-out"), PREDICTOR, NORM, B) == [
        ("mlp", "batch", "batch"), ("linear", "batch"), ("none", "batch"),
        ("mlp", "none", "batch"), ("mlp", "batch", "group"),
    ]  # fmt: skip
    # Absent from the reference, the third is never varied.
    assert labels(Design(kind="leave-one-out"), PREDICTOR, NORM, CHAIN) == [
        ("mlp", "batch"), ("linear",), ("none",), ("mlp", "none", True),
    ]  # fmt: skip


def test_add_one_in_with_conditional_factors() -> None:
    assert labels(Design(kind="add-one-in"), PREDICTOR, NORM, B) == [
        ("mlp", "batch", "batch"), ("none", "group"), ("mlp", "none", "group"), ("none", "batch"),
    ]  # fmt: skip


def test_a_listed_cell_leaves_out_what_does_not_apply() -> None:
    listed: tuple[Labels, ...] = ({"predictor": "linear"}, {"predictor_norm": "none"})
    assert labels(Design(kind="listed", listed=listed), PREDICTOR, NORM) == [("linear",), ("mlp", "none")]


def test_an_exclusion_that_names_an_absent_factor_matches_nothing() -> None:
    exclude: tuple[Labels, ...] = (
        {"predictor": "none", "predictor_norm": "batch"},
        {"predictor_norm": "none"},
    )
    assert labels(Design(exclude=exclude), PREDICTOR, NORM) == [("mlp", "batch"), ("linear",), ("none",)]


def test_a_new_conditional_factor_keeps_the_trials_of_cells_without_it() -> None:
    before = cells({}, (PREDICTOR,), Design())
    after = cells({}, (PREDICTOR, NORM), Design())
    ids = [cell.cell_id for cell in after]
    assert [cell.cell_id for cell in before] == [ids[0], ids[2], ids[3]]
    assert {trial.trial_id for trial in trials(before, (0, 1))} < {
        trial.trial_id for trial in trials(after, (0, 1))
    }
