"""Runs trials on Ray Tune. Ray schedules and carries results; the record is the ledger's.

The rules that this file keeps: nothing of Ray's own state is read back; an exception in a trial is a result
(an error row), so that Ray's retries are left for processes and nodes that die; actors are reused, which
asks of a trainer that it keeps no state between trials.
"""

import contextlib
import logging
import os
import shutil
import signal
import socket
import sqlite3
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

# Ray reads these when it is imported. They must not drown the sweep's own output.
_QUIET = {
    "RAY_DEDUP_LOGS_SKIP_REGEX": "(?s).",  # a node that dies would print a page of its state
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "86400",
}
os.environ.update(_QUIET)

# The trials' processes inherit this. By default glibc gives each large tensor's memory back to the system and
# faults it in again at the next step; keeping it saves a tenth of a trial's time on a CPU.
for _name, _value in {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 29),
    "MALLOC_TOP_PAD_": str(1 << 27),
}.items():
    os.environ.setdefault(_name, _value)

import ray  # noqa: E402
from ray import tune  # noqa: E402
from ray.tune.result import TIMESTEPS_TOTAL  # noqa: E402
from ray.tune.search import Searcher  # noqa: E402

from byol.collapse import CollapseRule  # noqa: E402
from byol.config import Scalar, TrialConfig  # noqa: E402
from sweeps.designs import Trial  # noqa: E402
from sweeps.entries import RequestError  # noqa: E402
from sweeps.learner import DataKey, Images, Learner, data_key  # noqa: E402
from sweeps.ledger import METRICS, Measurement  # noqa: E402
from sweeps.node_data import NodeData  # noqa: E402
from sweeps.stopping import CollapseWatch  # noqa: E402
from sweeps.study import Resources  # noqa: E402
from sweeps.tracker import Tracker  # noqa: E402
from sweeps.workspace import Checkpoints, Workspace  # noqa: E402

if TYPE_CHECKING:  # it imports Optuna, which only a search needs
    from sweeps.search import Pruner

DEATHS = 3
"""How often a trial is started again after its process or node died."""


class EngineError(RequestError):
    """A request that this machine or cluster cannot serve; `str(error)` is one line."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the workers need to know, alike for all trials."""

    common: Mapping[str, Scalar]
    """The settings that all trials share."""
    data: Mapping[DataKey, "ray.ObjectRef"]
    """The data sets, in the object store."""
    node_data: NodeData | None
    """Loads them on each node instead."""
    learner: Learner
    """Trains one trial."""
    rule: CollapseRule
    """When a trial counts as collapsed."""
    resources: Resources
    """What one trial occupies."""
    checkpoints: Checkpoints
    """Where each trial has its own."""
    checkpoint_every: int
    """Steps between saved states; 0 saves none."""


class Interruption(tune.Stopper):  # type: ignore[misc]
    """Stops the sweep gracefully on SIGINT, SIGTERM or SIGUSR1, or when its time is up.

    A second SIGINT stops it at once.
    """

    def __init__(self, deadline: float | None = None) -> None:
        """Not interrupted yet; `deadline` is a time of the monotonic clock."""
        self.asked = False
        self.out_of_time = False
        self._deadline = deadline

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Stops no trial by itself."""
        return False

    def stop_all(self) -> bool:
        """Whether the sweep is to stop."""
        if not self.asked and self._deadline is not None and time.monotonic() >= self._deadline:
            self.asked = self.out_of_time = True
        return self.asked

    def ask(self) -> None:
        """Asks for the end, as the first signal does."""
        self.asked = True

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The signal handler."""
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True

    def install(self) -> None:
        """Becomes the handler. Ray sets handlers of its own when it starts, so this is called again then."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, self.handle)


@contextlib.contextmanager
def interruptible(deadline: float | None = None) -> Iterator[Interruption]:
    """Within it, signals that ask for an end set `asked` on the interruption, and so does the deadline."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    interruption = Interruption(deadline)
    interruption.install()
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def connected(address: str | None, resources: Resources) -> Iterator[dict[str, float]]:
    """Starts Ray on this machine, or joins the cluster at `address` ("auto" finds it); yields what there is.

    Raises:
        EngineError: no cluster answers, or none of its nodes can hold a trial.
    """
    started_here = not ray.is_initialized()
    if started_here:
        _check_reachable(address)
        if address is None:
            os.environ["OMP_NUM_THREADS"] = str(max(1, int(resources.cpu)))
        try:
            ray.init(
                address=address or "local",
                include_dashboard=None if address else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except Exception as error:  # Ray raises bare ones too, such as for a start that took too long
            hint = " (a cluster with tokens wants RAY_AUTH_MODE=token and its token here)" if address else ""
            reason = " ".join(str(error).split())
            raise EngineError(f"Ray at {address or 'this machine'}: {reason}{hint}") from None
    try:
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        available = dict(ray.cluster_resources())
        if address is None:
            _check_fit(resources, available)
        yield available
    finally:
        if started_here:
            ray.shutdown()


def _check_reachable(address: str | None) -> None:
    """Asks before Ray does, which would try for long and say it at length."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise EngineError(f"Ray at {address}: no cluster answers there ({error})") from None


def room(resources: Resources, available: Mapping[str, float]) -> int:
    """How many trials fit at a time, at least 1."""
    fitting = [_fitting(available.get("CPU", 0), resources.cpu)]
    if resources.gpu:
        fitting.append(_fitting(available.get("GPU", 0), resources.gpu))
    return max(1, min(fitting))


def _fitting(there: float, asked: float) -> int:
    """How often `asked` fits; a share below 1 lies within one unit, as Ray places it."""
    return int(there) * int(1 / asked + 1e-9) if asked < 1 else int(there / asked)


def _check_fit(resources: Resources, available: Mapping[str, float]) -> None:
    for key, asked in (("cpu", resources.cpu), ("gpu", resources.gpu)):
        there = available.get(key.upper(), 0)
        if asked > there:
            raise EngineError(
                f"resources.{key}: must be at most the {there:g} of this machine, but got {asked:g}"
            )


def run_trials(
    trials: Sequence[Trial],
    tracker: Tracker,
    interruption: Interruption,
    *,
    data: Mapping[DataKey, Images],
    node_data: NodeData | None,
    learner: Learner,
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
        learner: trains one trial.
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
        learner=learner,
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


def run_trial(config: Mapping[str, Any], *, job: Job) -> None:
    """Runs one trial in a worker and reports every measurement, or the error that ended it."""
    began = time.perf_counter()
    try:
        settings = {**job.common, **config["trial"]["settings"]}
        trial, key = TrialConfig.from_settings(settings), data_key(settings)
        images = job.node_data.get(key) if job.node_data else ray.get(job.data[key])
        with job.checkpoints.workspace(config["trial"]["id"]) as work:
            _train(trial, images, work, job, began)
    except Exception as error:
        # An exception is an outcome of the trial; were it raised, Ray would start the trial again.
        tune.report(
            {
                "error": f"{type(error).__name__}: {error}",
                "traceback": traceback.format_exc(),
                "out_of_memory": type(error).__name__ == "OutOfMemoryError",  # torch's, on any accelerator
            }
        )


def _train(trial: TrialConfig, images: Any, work: Workspace, job: Job, began: float) -> None:
    """Trains a trial in its workspace and reports every measurement."""
    for earlier in work.reported:
        tune.report({**earlier, "wall_seconds": time.perf_counter() - began})
    if work.finished:
        return
    watch = CollapseWatch(job.rule, work.folder)
    job.learner.prepare(job.resources)
    for metrics in job.learner.train(
        trial, images, checkpoint_folder=work.folder, checkpoint_every=job.checkpoint_every
    ):
        work.push()  # what was saved since the last measurement
        row = {name: getattr(metrics, name) for name in METRICS}
        row["probe_accuracy"] = getattr(metrics, "probe_accuracy", None)
        spectra = {
            level: getattr(metrics, f"{level}_spectrum").astype("<f4").tobytes()
            for level in ("representation", "projection")
        }
        seconds = time.perf_counter() - began
        about = {"wall_seconds": seconds, "device": _device(), TIMESTEPS_TOTAL: int(metrics.step)}
        result = {**row, **about, "spectra": spectra}
        work.note(result)
        tune.report(result)
        if watch.ends(row):
            break
    watch.close()


def _device() -> str:
    """The accelerator that this worker was given, or cpu."""
    import sys

    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name(0))
    return "cpu"


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
