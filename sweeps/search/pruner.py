"""Stops samples of a search early."""

import math
from collections.abc import Iterable
from typing import Any

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from sweeps.record.rows import Row
from sweeps.study.spaces import Search


class Pruner(FIFOScheduler):  # type: ignore[misc]
    """A scheduler of Ray's that stops samples early, guarded; and a list of those that it stopped.

    A measurement that is missing or not finite decides nothing, nobody is paused, and a trial that has
    reached its last step is left to end by itself.
    """

    def __init__(self, search: Search, steps: int) -> None:
        """Stops what lags by the first objective.

        Args:
            search: has the kind of scheduler.
            steps: optimiser steps of each sample.
        """
        super().__init__()
        metric, way = next(iter(search.objectives.items()))
        own = search.scheduler
        common = {"time_attr": "step", "metric": metric, "mode": way[:3], "grace_period": own.grace_steps}
        self._inner = (
            ASHAScheduler(**common, max_t=steps, reduction_factor=own.reduction)
            if own.kind == "asha"
            else MedianStoppingRule(**common, min_time_slice=math.inf)
        )
        self._metric = metric
        self._steps = steps
        self.stopped: set[str] = set()

    def learn(self, trial_id: str, rows: Iterable[Row]) -> None:
        """Shows it a sample of an earlier run, by its measurements in order of step."""
        past = _Past(trial_id)
        self.on_trial_add(None, past)
        for row in rows:
            if self.on_trial_result(None, past, dict(row)) == TrialScheduler.STOP:
                break
        self.stopped.discard(trial_id)

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """A trial may start."""
        self._inner.on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Whether a trial goes on after a measurement."""
        if not is_finite(result.get(self._metric)):
            return str(TrialScheduler.CONTINUE)
        decision = self._inner.on_trial_result(tune_controller, trial, result)
        if decision != TrialScheduler.STOP or result["step"] >= self._steps:
            return str(TrialScheduler.CONTINUE)
        self.stopped.add(trial.config["trial"]["id"])
        return str(TrialScheduler.STOP)


class _Past:
    """As much of a Ray trial as a scheduler asks for."""

    def __init__(self, trial_id: str) -> None:
        self.trial_id = trial_id
        self.config = {"trial": {"id": trial_id}}


def is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
