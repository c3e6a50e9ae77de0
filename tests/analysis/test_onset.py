"""Survival curves against a textbook calculation and against scipy."""

import numpy as np
import pandas as pd
import pytest

from analysis.onset import Survival, cadence, kaplan_meier, numbers_at_risk, onset_times


def survival_at(curve: Survival, step: float) -> float:
    return float(curve.survival[np.searchsorted(curve.steps, step, side="right") - 1])


def test_kaplan_meier_by_hand() -> None:
    # Five trials: events at 2, 4 and 4, censored at 3 and 5. S: 4/5 at 2; 4/5 * (3 - 2)/3 = 4/15 at 4.
    curve = kaplan_meier([2, 3, 4, 4, 5], [True, False, True, True, False])
    assert [survival_at(curve, step) for step in (0, 1.9, 2, 3.9, 4, 5)] == pytest.approx(
        [1, 1, 0.8, 0.8, 4 / 15, 4 / 15]
    )
    assert curve.median == 4
    assert curve.restricted_mean == pytest.approx(2 * 1 + 2 * 0.8 + 1 * 4 / 15)


def test_without_events_everything_survives() -> None:
    curve = kaplan_meier([10, 10], [False, False])
    assert (curve.restricted_mean, curve.median, curve.events) == (10, None, 0)


def test_collapse_at_the_first_measurement() -> None:
    curve = kaplan_meier([0, 0, 10], [True, True, False])
    assert survival_at(curve, 0) == pytest.approx(1 / 3)
    assert curve.restricted_mean == pytest.approx(10 / 3)


def test_restricted_mean_of_complete_data_is_the_mean() -> None:
    times = np.array([3.0, 5.0, 5.0, 9.0])
    assert kaplan_meier(times, np.ones(4, dtype=bool)).restricted_mean == pytest.approx(times.mean())


def test_numbers_at_risk() -> None:
    assert numbers_at_risk(np.array([2.0, 4.0, 4.0]), np.array([0.0, 2.0, 3.0, 5.0])).tolist() == [3, 3, 2, 0]


def test_stopped_by_a_scheduler_is_not_censoring() -> None:
    trials = pd.DataFrame(
        {
            "outcome": ["collapsed", "survived", "pruned", "diverged"],
            "onset_step": pd.array([30, None, None, None], dtype="Int64"),
            "steps_run": pd.array([100, 100, 20, 10], dtype="Int64"),
        }
    )
    times, events = onset_times(trials)
    assert (times.tolist(), events.tolist()) == ([30, 100], [True, False])


def test_cadence_is_the_usual_gap() -> None:
    metrics = pd.DataFrame({"trial_id": ["a"] * 4 + ["b"], "step": [0, 10, 20, 25, 0]})
    assert cadence(metrics) == 10
    assert cadence(metrics[metrics["step"] == 0]) is None
