"""Ray's schedulers, restricted to stopping samples of a search early."""

import math
from collections.abc import Sequence
from typing import Any

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from sweeps.record.rows import MetricsRow
from sweeps.study.spaces import Search


class Pruner(FIFOScheduler):  # type: ignore[misc]
    """Stops samples early by a rule of Ray's, and remembers which. Ray Tune calls it.

    A measurement that is missing or not finite decides nothing, nor does step 0: the median rule would take
    the untrained encoder's value for a sample's best. No trial is paused, and one at its last step ends by
    itself.
    """

    def __init__(self, search: Search, steps: int) -> None:
        """Stops samples that lag by the first objective.

        Args:
            search: names the kind of scheduler.
            steps: optimiser steps of each sample.
        """
        super().__init__()
        metric, direction = next(iter(search.objectives.items()))
        scheduler = search.scheduler
        common = {
            "time_attr": "step",
            "metric": metric,
            "mode": direction[:3],
            "grace_period": scheduler.grace_steps,
        }
        self._inner = (
            ASHAScheduler(**common, max_t=steps, reduction_factor=scheduler.reduction)
            if scheduler.kind == "asha"
            else MedianStoppingRule(**common, min_time_slice=math.inf)
        )
        self._metric = metric
        self._steps = steps
        self.stopped: set[str] = set()
        """Ids of the trials that it has stopped."""

    def learn(self, trial_id: str, rows: Sequence[MetricsRow]) -> None:
        """Learns from a sample of an earlier run, given its measurements in order of step."""
        past_trial = _PastTrial(trial_id)
        self.on_trial_add(None, past_trial)
        for row in rows:
            if self.on_trial_result(None, past_trial, dict(vars(row))) == TrialScheduler.STOP:
                break
        self.stopped.discard(trial_id)

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Adds a trial to those that are compared."""
        self._inner.on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Returns whether a trial continues after a measurement."""
        value = result.get(self._metric)
        if value is None or not math.isfinite(value) or result["step"] == 0:
            return str(TrialScheduler.CONTINUE)
        decision = self._inner.on_trial_result(tune_controller, trial, result)
        if decision != TrialScheduler.STOP or result["step"] >= self._steps:
            return str(TrialScheduler.CONTINUE)
        self.stopped.add(trial.config["pack"][0]["id"])
        return str(TrialScheduler.STOP)


class _PastTrial:
    """The parts of a Ray trial that a scheduler reads."""

    def __init__(self, trial_id: str) -> None:
        self.trial_id = trial_id
        self.config = {"pack": [{"id": trial_id}]}
