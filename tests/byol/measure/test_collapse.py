"""Judging a trial: collapse of representation or projection, dimensional collapse and divergence."""

import math

import pytest

from byol.measure.collapse import CollapseRule, judge, onset_step, should_stop

RULE = CollapseRule(representation_threshold=0.1, projection_threshold=0.1, patience=3, rank_threshold=2.0)


def rows(
    stds: list[float], *, projection: float = 0.8, rank: float = 9.0, loss: float = 1.0
) -> list[dict[str, float | None]]:
    return [
        {
            "step": 10.0 * index,
            "loss": None if index == 0 else loss,
            "representation_std": std,
            "projection_std": projection,
            "effective_rank": rank,
        }
        for index, std in enumerate(stds)
    ]


def test_a_healthy_trial() -> None:
    result = judge(rows([0.5, 0.6, 0.7]), RULE)
    assert (result.collapsed, result.projection_collapsed, result.dimensional_collapse) == (
        False,
        False,
        False,
    )
    assert (result.onset_step, result.diverged) == (None, False)


def test_collapse_starts_where_the_last_run_below_the_threshold_starts() -> None:
    result = judge(rows([0.5, 0.05, 0.2, 0.05, 0.01]), RULE)
    assert result.collapsed is True
    assert result.onset_step == 30


def test_a_dip_that_recovers_is_not_collapse() -> None:
    result = judge(rows([0.5, 0.01, 0.01, 0.01, 0.4]), RULE)
    assert (result.collapsed, result.onset_step) == (False, None)


def test_the_projection_can_collapse_while_the_representation_does_not() -> None:
    result = judge(rows([0.5, 0.5], projection=0.01), RULE)
    assert (result.collapsed, result.projection_collapsed) == (False, True)


def test_dimensional_collapse_has_a_healthy_std() -> None:
    assert judge(rows([0.5, 0.5], rank=1.2), RULE).dimensional_collapse is True
    assert judge(rows([0.5, 0.01], rank=1.0), RULE).dimensional_collapse is False


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_divergence_and_not_collapse(loss: float) -> None:
    result = judge(rows([0.5, math.nan], loss=loss), RULE)
    assert (result.diverged, result.collapsed, result.onset_step) == (True, None, None)


def test_the_unknown_loss_of_step_zero_is_not_divergence() -> None:
    assert judge(rows([0.5]), RULE).diverged is False


def test_without_measurements_nothing_is_known() -> None:
    result = judge([], RULE)
    assert (result.collapsed, result.projection_collapsed, result.diverged) == (None, None, False)


def test_a_trial_stops_only_after_patience_measurements() -> None:
    assert not should_stop(rows([0.5, 0.05, 0.05]), RULE)
    assert should_stop(rows([0.5, 0.05, 0.05, 0.05]), RULE)
    assert not should_stop(rows([0.05, 0.05]), RULE)
    assert not should_stop(rows([0.05, 0.05, 0.05, 0.2]), RULE)


def test_onset_of_another_column() -> None:
    assert onset_step(rows([0.5, 0.5], projection=0.01), "projection_std", 0.1) == 0
