"""Runs trials on Ray Tune. Ray schedules and carries results; the record is the ledger's.

The rules that this file keeps: nothing of Ray's own state is read back; an exception in a trial is a result
(an error row), so that Ray's retries are left for processes and nodes that die; actors are reused, which
asks of a trainer that it keeps no state between trials.
"""

import contextlib
import dataclasses
import math
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ray
from ray import tune
from ray.tune.search import Searcher

from byol.config import Scalar
from sweeps.engine.runtime import Interruption
from sweeps.engine.worker import Failure, Job, run_trial
from sweeps.record.rows import Measurement
from sweeps.study import Resources
from sweeps.study.designs import Trial
from sweeps.tracker import Tracker
from sweeps.trainer import DataKey, Images

if TYPE_CHECKING:  # it imports Optuna, which only a search needs
    from sweeps.search.pruner import Pruner

DEATHS = 3
"""How often a trial is started again after its process or node died."""


@dataclass(frozen=True, kw_only=True)
class Driver:
    """Runs trials, or the samples of a search, until done or interrupted."""

    job: Job
    """What the workers need to know; its `common` and `resources` are set by each run."""
    tracker: Tracker
    """Is told of every start, measurement and end."""
    interruption: Interruption
    """Ends a run early."""
    loggers: Sequence[tune.Callback] = ()
    """Callbacks that are told of the measurements, too."""

    def run(self, trials: Sequence[Trial], *, resources: Resources, workers: int | None) -> None:
        """Runs `trials` in order, and what runs out of memory once more alone.

        Args:
            trials: what to run.
            resources: what one trial occupies.
            workers: maximum concurrent trials; None is as many as there is room for.
        """
        common, differing = _split([trial.settings for trial in trials])
        choices = [
            {"id": trial.trial_id, "settings": settings}
            for trial, settings in zip(trials, differing, strict=True)
        ]
        self._fit(
            dataclasses.replace(self.job, common=common, resources=resources),
            tune.TuneConfig(max_concurrent_trials=workers, **_NAMES),
            param_space={"trial": tune.grid_search(choices)},
        )
        self._retry_alone(resources)

    def search(
        self, searcher: Searcher, scheduler: "Pruner | None", *, resources: Resources, workers: int
    ) -> None:
        """Runs the trials that `searcher` suggests until it has finished, and then as `run` does.

        Args:
            searcher: suggests trials, each with all its settings.
            scheduler: stops trials early; None stops none.
            resources: what one trial occupies.
            workers: maximum concurrent trials, without which Ray would starve a searcher.
        """
        self._fit(
            dataclasses.replace(self.job, common={}, resources=resources),
            tune.TuneConfig(
                search_alg=searcher,
                scheduler=scheduler,
                num_samples=-1,
                max_concurrent_trials=workers,
                **_NAMES,
            ),
            param_space={},
            pruned=scheduler.stopped if scheduler else frozenset(),
        )
        self._retry_alone(resources)

    def _retry_alone(self, resources: Resources) -> None:
        """Runs once more, on whole GPUs, what ran out of memory beside others."""
        trials = self.tracker.to_retry_alone()
        if trials and not self.interruption.stop_all():
            whole = dataclasses.replace(resources, gpu=float(math.ceil(resources.gpu)))
            self.run(trials, resources=whole, workers=1)

    def _fit(
        self,
        job: Job,
        config: tune.TuneConfig,
        *,
        param_space: Mapping[str, Any],
        pruned: Set[str] = frozenset(),
    ) -> None:
        scratch = tempfile.mkdtemp(prefix="sweep-")
        bookkeeper = Bookkeeper(self.tracker, self.interruption, pruned)
        needed = {"cpu": job.resources.cpu, "gpu": job.resources.gpu}
        try:
            tune.Tuner(
                tune.with_resources(tune.with_parameters(run_trial, job=job), needed),
                param_space=param_space,
                tune_config=config,
                run_config=tune.RunConfig(
                    storage_path=scratch,
                    name="trials",
                    verbose=0,
                    callbacks=[bookkeeper, *self.loggers],
                    stop=self.interruption,
                    failure_config=tune.FailureConfig(max_failures=DEATHS),
                ),
            ).fit()
            if bookkeeper.broken is not None:
                raise bookkeeper.broken
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def put_data(images: Mapping[DataKey, Images]) -> dict[DataKey, "ray.ObjectRef"]:
    """Puts data sets into the object store, from where each node fetches them once."""
    return {key: ray.put(data_set) for key, data_set in images.items()}


def _trial_name(trial: Any) -> str:
    return str(trial.config["trial"]["id"])


_NAMES = {
    "reuse_actors": True,
    "trial_name_creator": _trial_name,
    "trial_dirname_creator": _trial_name,
}
"""What all runs tell Tune."""


def _split(
    settings: Sequence[Mapping[str, Scalar]],
) -> tuple[dict[str, Scalar], list[dict[str, Scalar]]]:
    """What all settings share, and what each has beyond that: Ray copies a trial's settings many times."""
    first = settings[0] if settings else {}
    common = {key: value for key, value in first.items() if all(other[key] == value for other in settings)}
    return common, [{key: value for key, value in each.items() if key not in common} for each in settings]


class Bookkeeper(tune.Callback):  # type: ignore[misc]
    """Hands the events of Ray Tune on to the tracker."""

    def __init__(self, tracker: Tracker, interruption: Interruption, pruned: Set[str]) -> None:
        """Tells `tracker`; `pruned` are the trials that a scheduler has stopped so far."""
        self._pruned = pruned
        self._tracker = tracker
        self._interruption = interruption
        self._failed: set[str] = set()
        self.broken: OSError | sqlite3.Error | None = None
        """Why the books can't be kept any more: a full disk, say."""

    def __getstate__(self) -> dict[str, Any]:
        # Ray pickles callbacks for a restore that is never used; the ledger cannot be pickled.
        return {}

    def setup(
        self,
        stop: Any = None,
        num_samples: int | None = None,
        total_num_samples: int | None = None,
        **info: Any,
    ) -> None:
        """Takes the signals back from Ray."""
        self._interruption.install()

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """A trial was given to a worker."""
        with self._books():
            self._tracker.started(_trial_name(trial))

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """A worker reported."""
        name = _trial_name(trial)
        if "error" in result:
            failure = Failure(**{field.name: result[field.name] for field in dataclasses.fields(Failure)})
            self._failed.add(name)
            with self._books():
                self._tracker.failed(
                    name, failure.error, failure.traceback, out_of_memory=failure.out_of_memory
                )
            return
        measurement = Measurement.from_report(result)
        del result["spectra"]  # which Ray would copy for every logger
        with self._books():
            self._tracker.measured(name, measurement)

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """A trial's function returned."""
        name = _trial_name(trial)
        if not self._interruption.asked and name not in self._failed:
            with self._books():
                self._tracker.returned(name, pruned=name in self._pruned)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """A trial's process died once too often."""
        cause = trial.get_error() if hasattr(trial, "get_error") else None
        error = f"the process of the trial died {DEATHS + 1} times: {type(cause).__name__}"
        with self._books():
            self._tracker.failed(_trial_name(trial), error, str(cause))

    def on_step_end(self, iteration: int, trials: Any, **info: Any) -> None:
        """Some time has passed."""
        self._tracker.tick()

    @contextlib.contextmanager
    def _books(self) -> Iterator[None]:
        """Ends the sweep when the books can't be kept. Ray would bury the error in one of its own."""
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            self.broken = self.broken or error
            self._interruption.ask()
