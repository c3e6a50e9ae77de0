"""Runs trials on Ray Tune. Ray schedules and carries results; the record is the ledger's.

The rules that this file keeps: nothing of Ray's own state is read back; an exception in a trial is a result
(an error row), so that Ray's retries are left for processes and nodes that die; actors are reused, which
asks of a trainer that it keeps no state between trials.
"""

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

import ray
from ray import tune
from ray.tune.search import Searcher

from byol.config import Scalar
from byol.measure.collapse import CollapseRule
from sweeps.engine.node_data import NodeData
from sweeps.engine.runtime import Interruption
from sweeps.engine.worker import Job, run_trial
from sweeps.record.rows import METRICS, Measurement
from sweeps.storage.checkpoints import Checkpoints
from sweeps.study import Resources
from sweeps.study.designs import Trial
from sweeps.tracker import Tracker
from sweeps.trainer import DataKey, Images, Trainer

if TYPE_CHECKING:  # it imports Optuna, which only a search needs
    from sweeps.search.pruner import Pruner

DEATHS = 3
"""How often a trial is started again after its process or node died."""


def run_trials(
    trials: Sequence[Trial],
    tracker: Tracker,
    interruption: Interruption,
    *,
    data: Mapping[DataKey, Images],
    node_data: NodeData | None,
    trainer: Trainer,
    rule: CollapseRule,
    resources: Resources,
    workers: int | None,
    checkpoints: Checkpoints,
    checkpoint_every: int,
    loggers: Sequence[tune.Callback] = (),
    searcher: Searcher | None = None,
    scheduler: "Pruner | None" = None,
) -> None:
    """Runs `trials` in order, as many at a time as there is room for, until done or interrupted.

    Args:
        trials: what to run; empty for a search.
        tracker: is told of every start, measurement and end.
        interruption: ends the run early.
        data: data sets by their key, which reach the nodes through the object store.
        node_data: instead of that, how each node loads them.
        trainer: trains one trial.
        rule: when a trial counts as collapsed, and whether that ends it.
        resources: what one trial occupies.
        workers: most trials at a time; None is as many as fit.
        checkpoints: where trials leave their checkpoints.
        checkpoint_every: steps between saved states; 0 saves none.
        loggers: callbacks that are told of the measurements, too.
        searcher: suggests the trials of a search, until it has finished; needs `workers`.
        scheduler: stops trials of a search early.
    """
    assert searcher is None or workers, "Ray starves a searcher without a limit"
    common, differing = _split([trial.settings for trial in trials])
    job = Job(
        common=common,
        data={} if node_data else {key: ray.put(images) for key, images in data.items()},
        node_data=node_data,
        trainer=trainer,
        rule=rule,
        resources=resources,
        checkpoints=checkpoints,
        checkpoint_every=checkpoint_every,
    )
    choices = [
        {"id": trial.trial_id, "settings": settings}
        for trial, settings in zip(trials, differing, strict=True)
    ]
    scratch = tempfile.mkdtemp(prefix="sweep-")
    bookkeeper = Bookkeeper(tracker, interruption, scheduler.stopped if scheduler else set())
    try:
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(run_trial, job=job), {"cpu": resources.cpu, "gpu": resources.gpu}
            ),
            param_space={} if searcher else {"trial": tune.grid_search(choices)},
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=scheduler,
                num_samples=-1 if searcher else 1,
                reuse_actors=True,
                max_concurrent_trials=workers,
                trial_name_creator=_trial_name,
                trial_dirname_creator=_trial_name,
            ),
            run_config=tune.RunConfig(
                storage_path=scratch,
                name="trials",
                verbose=0,
                callbacks=[bookkeeper, *loggers],
                stop=interruption,
                failure_config=tune.FailureConfig(max_failures=DEATHS),
            ),
        )
        tuner.fit()
        if bookkeeper.broken is not None:
            raise bookkeeper.broken
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _trial_name(trial: Any) -> str:
    return str(trial.config["trial"]["id"])


def _split(
    settings: Sequence[Mapping[str, Scalar]],
) -> tuple[dict[str, Scalar], list[dict[str, Scalar]]]:
    """What all settings share, and what each has beyond that: Ray copies a trial's settings many times."""
    first = settings[0] if settings else {}
    common = {key: value for key, value in first.items() if all(one[key] == value for one in settings)}
    return common, [{key: value for key, value in one.items() if key not in common} for one in settings]


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
            self._failed.add(name)
            with self._books():
                self._tracker.failed(
                    name, result["error"], result["traceback"], out_of_memory=result["out_of_memory"]
                )
            return
        columns = (*METRICS, "probe_accuracy")
        measurement = Measurement(
            row={key: result[key] for key in columns},
            spectra=result.pop("spectra"),
            wall_seconds=result["wall_seconds"],
            device=result["device"],
        )
        with self._books():
            self._tracker.measured(name, measurement)

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """A trial's function returned."""
        if not self._interruption.asked and _trial_name(trial) not in self._failed:
            name = _trial_name(trial)
            with self._books():
                self._tracker.returned(name, pruned=name in self._pruned)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """A trial's process died once too often."""
        text = trial.get_error() if hasattr(trial, "get_error") else None
        error = f"the process of the trial died {DEATHS + 1} times: {type(text).__name__}"
        with self._books():
            self._tracker.failed(_trial_name(trial), error, str(text))

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
            self._interruption.asked = True
