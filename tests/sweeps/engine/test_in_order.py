"""The order in which trials are handed to Ray Tune, and what looking for the next one costs."""

from dataclasses import dataclass
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from sweeps.engine.in_order import FirstWaiting, InOrder


@dataclass
class Looked:
    """A trial that counts how often somebody looks at its status."""

    name: str
    state: str = Trial.PENDING
    looks: int = 0

    @property
    def status(self) -> str:
        self.looks += 1
        return self.state


def test_packs_are_suggested_in_their_order_and_then_no_more() -> None:
    suggested = InOrder([[{"id": "b"}, {"id": "c"}], [{"id": "a"}]])
    assert [suggested.suggest(str(number)) for number in range(3)] == [
        {"pack": [{"id": "b"}, {"id": "c"}]},
        {"pack": [{"id": "a"}]},
        Searcher.FINISHED,
    ]


def test_the_first_that_waits_is_next_and_one_that_starts_again_comes_last() -> None:
    order, controller = FirstWaiting(), None
    first, second = (Looked(name) for name in ("first", "second"))
    assert order.choose_trial_to_run(controller) is None
    for trial in (first, second):
        order.on_trial_add(controller, _as_trial(trial))
    assert order.choose_trial_to_run(controller) is first
    assert order.choose_trial_to_run(controller) is first, "until it runs"
    first.state = Trial.RUNNING
    assert order.choose_trial_to_run(controller) is second
    first.state = Trial.PENDING  # its process has died
    order.on_trial_add(controller, _as_trial(first))
    assert order.choose_trial_to_run(controller) is second
    second.state = Trial.TERMINATED
    assert order.choose_trial_to_run(controller) is first
    first.state = Trial.TERMINATED
    assert order.choose_trial_to_run(controller) is None


def test_trials_that_have_ended_are_not_looked_at_again() -> None:
    order, trials = FirstWaiting(), [Looked(str(number)) for number in range(1000)]
    for trial in trials:
        order.on_trial_add(None, _as_trial(trial))
    for trial in trials:
        for _ in range(5):
            assert order.choose_trial_to_run(None) is trial
        trial.state = Trial.TERMINATED
    assert max(trial.looks for trial in trials) <= 8


def _as_trial(trial: Any) -> Any:
    return trial
