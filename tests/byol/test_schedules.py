"""Schedules against tables of exact values."""

import math

import pytest
import torch

from byol.schedules import lr_table, tau_table

ROOT_HALF = math.sqrt(0.5)


@pytest.mark.parametrize(
    ("base", "final", "schedule", "expected"),
    [
        (0.6, 1.0, "cosine", [0.6, 1 - 0.2 * (1 + ROOT_HALF), 0.8, 1 - 0.2 * (1 - ROOT_HALF)]),
        (0.0, 0.8, "cosine", [0.0, 0.8 - 0.4 * (1 + ROOT_HALF), 0.4, 0.8 - 0.4 * (1 - ROOT_HALF)]),
        (0.6, 1.0, "linear", [0.6, 0.7, 0.8, 0.9]),
        (0.6, 1.0, "constant", [0.6, 0.6, 0.6, 0.6]),
        (1.0, 0.0, "linear", [1.0, 0.75, 0.5, 0.25]),
    ],
)
def test_tau_per_step(base: float, final: float, schedule: str, expected: list[float]) -> None:
    tau = tau_table(base=base, final=final, schedule=schedule, per="step", total_steps=4, steps_per_epoch=2)
    assert tau.dtype == torch.float64
    assert tau.tolist() == pytest.approx(expected, abs=1e-15)


def test_cosine_tau_is_the_formula_of_the_paper() -> None:
    steps = 1000
    tau = tau_table(
        base=0.996, final=1.0, schedule="cosine", per="step", total_steps=steps, steps_per_epoch=10
    )
    for k in (0, 1, 17, 500, 999):
        assert tau[k].item() == pytest.approx(
            1 - (1 - 0.996) * (math.cos(math.pi * k / steps) + 1) / 2, abs=1e-15
        )


def test_tau_per_epoch_is_the_epoch_loop_of_the_seed_document() -> None:
    # final - (final - base) (1 + cos(pi e / E)) / 2, set at the start of epoch e out of E = 4
    epochs, steps_per_epoch = 4, 3
    tau = tau_table(
        base=0.9, final=1.0, schedule="cosine", per="epoch", total_steps=12, steps_per_epoch=steps_per_epoch
    )
    e = torch.arange(epochs)
    per_epoch = 1.0 - 0.5 * (1.0 - 0.9) * (1 + torch.cos(torch.pi * e.double() / epochs))
    assert tau.tolist() == pytest.approx(per_epoch.repeat_interleave(steps_per_epoch).tolist(), abs=1e-15)


def test_a_part_epoch_counts_as_an_epoch_for_tau() -> None:
    tau = tau_table(base=0.0, final=1.0, schedule="linear", per="epoch", total_steps=5, steps_per_epoch=2)
    assert tau.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 3, 2 / 3])


def test_unknown_schedule_names_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"tau_schedule must be one of cosine, linear, constant, but got 'cos'"
    ):
        tau_table(base=0.9, final=1.0, schedule="cos", per="step", total_steps=4, steps_per_epoch=2)
    with pytest.raises(ValueError, match=r"tau_per must be one of step, epoch"):
        tau_table(base=0.9, final=1.0, schedule="linear", per="batch", total_steps=4, steps_per_epoch=2)
    with pytest.raises(ValueError, match=r"lr_schedule must be one of cosine, constant"):
        lr_table(lr=1, batch_size=256, schedule="step", total_steps=4, warmup_steps=0)


@pytest.mark.parametrize(
    ("schedule", "warmup", "expected"),
    [
        ("cosine", 0, [2.0, 1 + ROOT_HALF, 1.0, 1 - ROOT_HALF]),
        ("constant", 0, [2.0, 2.0, 2.0, 2.0]),
        ("cosine", 2, [0.0, 1.0, 2.0, 1 + ROOT_HALF, 1.0, 1 - ROOT_HALF]),
        ("constant", 2, [0.0, 1.0, 2.0, 2.0]),
        ("cosine", 3, [0.0, 2 / 3, 4 / 3, 2.0]),
    ],
)
def test_lr_table_scaled_by_the_batch(schedule: str, warmup: int, expected: list[float]) -> None:
    lr = lr_table(lr=0.5, batch_size=1024, schedule=schedule, total_steps=len(expected), warmup_steps=warmup)
    assert lr.dtype == torch.float64
    assert lr.tolist() == pytest.approx(expected, abs=1e-15)


def test_warm_up_as_long_as_the_run_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shorter than the run, but got 4 steps of warm-up in a run of 4"):
        lr_table(lr=1.0, batch_size=256, schedule="cosine", total_steps=4, warmup_steps=4)
