"""The pruner, called as Ray calls it but without Ray."""

import math

import pytest
from ray.tune.schedulers import TrialScheduler

from sweeps.search.pruner import Pruner
from sweeps.study import study_from_text
from tests.sweeps.conftest import SEARCH
from tests.sweeps.record.test_ledger import measurement


class RayTrial:
    """The parts of a Ray trial that a scheduler reads."""

    def __init__(self, name: str) -> None:
        self.trial_id = name
        self.config = {"pack": [{"id": name}]}


def pruner(kind: str) -> Pruner:
    text = SEARCH.replace("  space:", f"  scheduler: {{kind: {kind}, grace_steps: 5}}\n  space:")
    search = study_from_text(text, "f").search
    assert search is not None
    return Pruner(search, 20)


def decisions(scheduler: Pruner, name: str, knn: float | None) -> list[str]:
    """The decision at each measurement, up to the first stop."""
    trial, results = RayTrial(name), []
    scheduler.on_trial_add(None, trial)
    for step in (0, 5, 10, 15, 20):
        results.append(scheduler.on_trial_result(None, trial, {"step": step, "knn_accuracy": knn}))
        if results[-1] == TrialScheduler.STOP:
            break
    return results


@pytest.mark.parametrize("kind", ["asha", "median"])
def test_a_scheduler_stops_what_lags_and_remembers_it(kind: str) -> None:
    scheduler = pruner(kind)
    for name in ("a", "b", "c", "d"):
        assert set(decisions(scheduler, name, 0.7)) == {TrialScheduler.CONTINUE}
    assert decisions(scheduler, "bad", 0.2) == [TrialScheduler.CONTINUE, TrialScheduler.STOP]
    assert set(decisions(scheduler, "unmeasured", None)) == {TrialScheduler.CONTINUE}
    assert set(decisions(scheduler, "nan", math.nan)) == {TrialScheduler.CONTINUE}
    assert scheduler.stopped == {"bad"}


@pytest.mark.parametrize("kind", ["asha", "median"])
def test_a_scheduler_learns_from_earlier_runs(kind: str) -> None:
    past = [measurement(step, knn_accuracy=0.7 if step else None) for step in (0, 5, 10, 15, 20)]
    scheduler = pruner(kind)
    for name in ("a", "b", "c", "d"):
        scheduler.learn(name, past)
    assert scheduler.stopped == set()
    assert decisions(scheduler, "bad", 0.2)[-1] == TrialScheduler.STOP


@pytest.mark.parametrize("kind", ["asha", "median"])
def test_the_result_that_ray_repeats_at_the_end_decides_nothing(kind: str) -> None:
    """The driver takes all numbers but the step out of it, so that none counts twice."""
    scheduler = pruner(kind)
    for name in ("a", "b", "c", "d"):
        decisions(scheduler, name, 0.7)
    bad = RayTrial("bad")
    scheduler.on_trial_add(None, bad)
    assert scheduler.on_trial_result(None, bad, {"step": 10}) == TrialScheduler.CONTINUE
    assert scheduler.stopped == set()


@pytest.mark.parametrize("kind", ["asha", "median"])
def test_what_the_untrained_encoder_was_worth_saves_no_sample(kind: str) -> None:
    """The median rule compares a sample's best value so far: of one that collapses, that of step 0."""
    scheduler = pruner(kind)
    for name in ("a", "b", "c", "d"):
        decisions(scheduler, name, 0.7)
    scheduler.on_trial_add(None, bad := RayTrial("bad"))
    answers = [
        scheduler.on_trial_result(None, bad, {"step": step, "knn_accuracy": knn})
        for step, knn in ((0, 0.7375), (5, 0.2))
    ]
    assert answers == [TrialScheduler.CONTINUE, TrialScheduler.STOP]
