"""Runs trials on Ray Tune. Ray schedules packs of trials and carries results; the ledger is the record.

To Ray Tune a pack is one trial, named after the first of its own. Three rules: Ray's own state is never read
back. An exception in a trial is a result (an error row), so that Ray's retries are for processes and nodes
that die. Actors are reused, so a trainer must keep no state between trials.
"""

import contextlib
import dataclasses
import math
import re
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ray
from ray import tune
from ray.tune.search import Searcher

from byol.config import Scalar
from byol.errors import plural, shortened
from sweeps.engine.heartbeat import Watch, kill
from sweeps.engine.in_order import FirstWaiting, InOrder
from sweeps.engine.runtime import Interruption
from sweeps.engine.stopping import Stopping
from sweeps.engine.worker import Failure, Job, run_pack
from sweeps.errors import WorkersError
from sweeps.record.rows import Measurement
from sweeps.study import Resources
from sweeps.study.designs import Trial
from sweeps.tracker import Tracker
from sweeps.trainer import DataKey, Images

if TYPE_CHECKING:  # a layer above this one
    from sweeps.search.pruner import Pruner

MAX_RESTARTS = 3
"""How often a pack is started again after its process or node has died."""
_REASON_SECONDS = 30
"""How long a task may take that shows why workers do not start."""
_AT_ONCE_SECONDS = 60
"""Processes of a trial that have all died within so long may have been started on a node that is dead."""
_NOTICE_SECONDS = 30
"""Longer than Ray takes to notice that a node is dead, which was some 15 s with its defaults."""

_OF_RAY = frozenset({"step", "done", "trial_id", "node_ip", "pid"})
"""Of a result, what Ray Tune gets to keep.

It keeps the last result of every trial, with statistics of each number in it; it prints a line about a result
without any. The last result goes to the scheduler once more when the trial ends, and must not count again.
"""


@dataclass(frozen=True, kw_only=True)
class Driver:
    """Runs trials, or the samples of a search, to their end or until interrupted. `Sweep` creates it."""

    job: Job
    """What the workers need; each run sets its `common` and `resources`."""
    tracker: Tracker
    """Records every start, measurement and end."""
    interruption: Interruption
    """Ends a run early."""

    def run(
        self, trials: Sequence[Trial], *, resources: Resources, workers: int | None, room: int = 1
    ) -> None:
        """Runs `trials`, alone in their order; then alone those that could not go on in their packs, or whose
        processes died at once; then one by one, on whole GPUs, those that ran out of memory.

        Args:
            trials: the trials to run.
            resources: what one pack occupies, and its most trials.
            workers: maximum concurrent packs; None means as many as fit.
            room: how many fit now. A cluster may grow.
        """
        common, differing = _split([trial.settings for trial in trials])
        choices = {
            trial.trial_id: {"id": trial.trial_id, "settings": settings}
            for trial, settings in zip(trials, differing, strict=True)
        }
        dealt = packs(trials, most=resources.pack, workers=workers or room)
        self.tracker.in_packs(max(map(len, dealt), default=1))
        self._fit(
            dataclasses.replace(self.job, common=common, resources=resources),
            InOrder([[choices[trial.trial_id] for trial in pack] for pack in dealt]),
            workers=workers,
            planned=[trial.trial_id for trial in trials],
        )
        self._try_again(resources, workers)
        self._retry_alone(resources)

    def search(
        self, searcher: Searcher, scheduler: "Pruner | None", *, resources: Resources, workers: int
    ) -> None:
        """Runs the trials that `searcher` suggests, then retries alone those that ran out of memory.

        Args:
            searcher: suggests trials, each with all its settings.
            scheduler: stops trials early; None stops none.
            resources: what one trial occupies.
            workers: maximum concurrent trials: the more run at once, the less each sample knows.
        """
        self._fit(
            dataclasses.replace(self.job, common={}, resources=resources),
            searcher,
            workers=workers,
            scheduler=scheduler,
        )
        self._try_again(resources, workers)
        self._retry_alone(resources)

    def _try_again(self, resources: Resources, workers: int | None) -> None:
        """Runs the trials alone whose packs could not go on, or whose processes died at once.

        Those wait until Ray can have noticed that a node is dead.
        """
        trials = self.tracker.to_try_again()
        for _ in range(_NOTICE_SECONDS if self.tracker.died_at_once() else 0):
            if self.interruption.stop_all():
                return
            time.sleep(1)
        if trials and not self.interruption.stop_all():
            alone = dataclasses.replace(resources, pack=1)
            self.run(trials, resources=alone, workers=workers)

    def _retry_alone(self, resources: Resources) -> None:
        """Runs the trials that ran out of memory beside others, one at a time and on whole GPUs."""
        trials = self.tracker.to_retry_alone()
        if trials and not self.interruption.stop_all():
            whole_gpus = dataclasses.replace(resources, gpu=float(math.ceil(resources.gpu)), pack=1)
            self.run(trials, resources=whole_gpus, workers=1)

    def _fit(
        self,
        job: Job,
        searcher: Searcher,
        *,
        workers: int | None,
        scheduler: "Pruner | None" = None,
        planned: Sequence[str] = (),
    ) -> None:
        scratch = tempfile.mkdtemp(prefix="sweep-")
        pruned = scheduler.stopped if scheduler else frozenset()
        watch = Watch(job.run, job.hung_after)
        bookkeeper = Bookkeeper(
            self.tracker, self.interruption, pruned, lambda: _reason(job, self.interruption), watch
        )
        needed = {"cpu": job.resources.cpu, "gpu": job.resources.gpu}
        stopping = Stopping(self.interruption, self.tracker, job.run, saves=job.checkpoint_every != 0)
        try:
            tuner = tune.Tuner(
                tune.with_resources(tune.with_parameters(run_pack, job=job), needed),
                tune_config=tune.TuneConfig(
                    search_alg=searcher,
                    scheduler=scheduler or FirstWaiting(),
                    num_samples=-1,
                    max_concurrent_trials=workers,
                    reuse_actors=True,
                    trial_name_creator=_pack_name,
                    trial_dirname_creator=_pack_name,
                ),
                run_config=tune.RunConfig(
                    storage_path=scratch,
                    name="trials",
                    verbose=0,
                    callbacks=[bookkeeper],
                    stop=stopping,
                    failure_config=tune.FailureConfig(max_failures=MAX_RESTARTS),
                ),
            )
            with stopping.in_run():
                tuner.fit()
            if bookkeeper.error is not None:
                raise bookkeeper.error
            waiting = bookkeeper.waiting(planned)
            if waiting:
                reason = _reason(job, self.interruption) or "Ray does not say why"
                raise WorkersError(f"never started: {waiting} of {plural(len(planned), 'trial')}: {reason}")
        finally:
            watch.close()
            shutil.rmtree(scratch, ignore_errors=True)


def put_data(images: Mapping[DataKey, Images]) -> dict[DataKey, "ray.ObjectRef"]:
    """Puts data sets into Ray's object store, from which each node fetches them once."""
    return {key: ray.put(data_set) for key, data_set in images.items()}


def _reason(job: Job, interruption: Interruption) -> str:
    """Why no worker can start, as a task says that gets the same job; "" if one can, or none says.

    Ray hides the reason for which a trial's process dies.
    """
    try:
        answer = ray.remote(num_cpus=0)(_receive).remote(job)
        for _ in range(_REASON_SECONDS):
            if ray.wait([answer], timeout=1)[0]:
                ray.get(answer)
                return ""
            if interruption.stop_all():
                break
        with contextlib.suppress(Exception):
            ray.cancel(answer, force=True)
    except Exception as error:  # whatever it is, it is the reason
        lines = [line.strip() for line in str(error).splitlines()]
        named = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
        return shortened((named or lines or [""])[-1] or type(error).__name__, 500)
    return ""


def _receive(job: Job) -> None:
    """Does nothing: to get here, a worker has imported all that a trial needs."""


def packs(trials: Sequence[Trial], *, most: int, workers: int) -> list[list[Trial]]:
    """Deals trials out to packs; alone, they keep their order.

    The trials of a cell, which take equally long, go to different packs. Unless there are fewer trials, the
    number of packs is a multiple of that of the workers. So all end at about the same time.

    Args:
        trials: the trials.
        most: the most trials of a pack.
        workers: how many packs run at the same time.
    """
    if most == 1:
        return [[trial] for trial in trials]
    cells: dict[str, list[Trial]] = {}
    for trial in trials:
        cells.setdefault(trial.cell_id, []).append(trial)
    by_cell = [trial for cell in cells.values() for trial in cell]
    rounds = math.ceil(len(trials) / (most * workers))
    count = min(workers * rounds, len(trials))
    return [by_cell[place::count] for place in range(count)]


def _members(pack: Any) -> list[str]:
    """The trials of a pack, given Ray's trial."""
    return [str(trial["id"]) for trial in pack.config["pack"]]


def _pack_name(pack: Any) -> str:
    return _members(pack)[0]


def _split(
    settings: Sequence[Mapping[str, Scalar]],
) -> tuple[dict[str, Scalar], list[dict[str, Scalar]]]:
    """Separates what all settings share from what differs: Ray copies a trial's settings many times."""
    first = settings[0] if settings else {}
    # Of one type, too: to a part of the user's own, 1, 1.0 and true are different arguments.
    typed = [{key: (type(value), value) for key, value in each.items()} for each in settings]
    common = {
        key: value for key, value in first.items() if all(other.get(key) == typed[0][key] for other in typed)
    }
    return common, [{key: value for key, value in each.items() if key not in common} for each in settings]


class Bookkeeper(tune.Callback):  # type: ignore[misc]
    """Passes the events of Ray Tune to the tracker. Ray Tune calls it."""

    def __init__(
        self,
        tracker: Tracker,
        interruption: Interruption,
        pruned: Set[str],
        reason: Callable[[], str] = lambda: "",
        watch: Watch | None = None,
    ) -> None:
        """Reports to `tracker`. `pruned` grows by the trials that a scheduler stops; `reason` finds out why
        workers do not start; `watch` finds trials that hang.
        """
        self._watch = watch
        self._hung: Counter[str] = Counter()
        """Pack -> how often its process hung."""
        self._died: dict[str, float] = {}
        """Pack -> the time of the monotonic clock at which it was started again for the first time."""
        self._reason = reason
        self._pruned = pruned
        self._tracker = tracker
        self._interruption = interruption
        self._started: set[str] = set()
        self._has_measured = False
        self._over: set[str] = set()
        """The trials that have ended: a pack that starts again may report them once more."""
        self.error: OSError | sqlite3.Error | WorkersError | None = None
        """Why the sweep must end: nothing can be recorded any more, as on a full disk; no worker starts."""

    def __getstate__(self) -> dict[str, Any]:
        # Ray pickles callbacks for a restore that never happens; the ledger cannot be pickled.
        return {}

    def setup(
        self,
        stop: Any = None,
        num_samples: int | None = None,
        total_num_samples: int | None = None,
        **info: Any,
    ) -> None:
        """Installs the signal handlers again: Ray has replaced them."""
        self._interruption.install()

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Records that a worker has started a pack; while the sweep ends, too, for it saves what it does."""
        self._start(trial)

    def _start(self, pack: Any) -> None:
        if _pack_name(pack) in self._started:
            self._died.setdefault(_pack_name(pack), time.monotonic())
        for name in self._not_over(pack):
            self._started.add(name)
            with self._recording():
                self._tracker.started(name)

    def _not_over(self, pack: Any) -> list[str]:
        return [name for name in _members(pack) if name not in self._over]

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Records a measurement of a trial, its end, or the error that ended it."""
        name = result["of"]
        if name in self._over:
            return
        if "returned" in result:
            self._return(name)
            return
        if "error" in result:
            failure = Failure(**{field.name: result[field.name] for field in dataclasses.fields(Failure)})
            self._over.add(name)
            if failure.ends_sweep:  # the trial is left as running, which is to say interrupted
                node = result.get("hostname", "a node")
                told = f"{failure.error} (in a trial on {node}); the sweep has ended"
                self._end(WorkersError(f"{told}: run the same command again to resume"))
                return
            with self._recording():
                if failure.out_of_memory and len(_members(trial)) > 1:
                    self._tracker.lost(name, failure.error, failure.traceback, in_pack=True)
                    return
                self._tracker.failed(
                    name, failure.error, failure.traceback, out_of_memory=failure.out_of_memory
                )
            return
        self._has_measured = True
        measurement = Measurement.from_report(result)
        for key in result.keys() - _OF_RAY:
            del result[key]  # Ray Tune lets callbacks change a result in place
        with self._recording():
            self._tracker.measured(name, measurement)

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Records the end of a trial that is alone. Those of a larger pack have each told their own."""
        if self._interruption.at_once:
            return
        for name in self._not_over(trial):
            if len(_members(trial)) == 1:
                self._return(name)
            else:
                with self._recording():
                    self._tracker.lost(name, "its pack ended, and did not tell how it did", "", in_pack=True)

    def _return(self, name: str) -> None:
        self._over.add(name)
        with self._recording():
            self._tracker.returned(name, pruned=name in self._pruned)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Records that a pack's process has died too often, or ends the sweep if none can do anything."""
        name = _pack_name(trial)
        reason = "" if self._has_measured else self._reason()
        if reason:
            self._end(WorkersError(f"no worker can start a trial: {reason}"))
            return
        if name not in self._started:  # what ends must have started
            self._start(trial)
        cause = trial.get_error() if hasattr(trial, "get_error") else None
        trials = len(_members(trial))
        whose = "the trial" if trials == 1 else f"its pack of {trials} trials"
        died = f"the process of {whose} died {MAX_RESTARTS + 1} times"
        if self._hung[name]:
            died += f", {self._hung[name]} of them killed because it hung"
        # Until Ray notices that a node is dead it starts processes there: all tries are over at once.
        now = time.monotonic()
        at_once = now - self._died.get(name, now) < _AT_ONCE_SECONDS
        with self._recording():
            for member in self._not_over(trial):
                if trials > 1 or at_once:
                    self._tracker.lost(member, died, str(cause or ""), in_pack=trials > 1)
                else:
                    self._tracker.failed(member, died, str(cause or ""))

    def on_step_end(self, iteration: int, trials: Any, **info: Any) -> None:
        """Kills the processes of packs that hang, which Ray then starts again; updates the display."""
        if self._watch and self._watch.is_due and not self._interruption.requested:
            running = {
                _pack_name(trial): trial for trial in trials if trial.temporary_state.ray_actor is not None
            }
            actors = {name: pack.temporary_state.ray_actor for name, pack in running.items()}
            for name in self._watch.hung(actors):
                self._hung[name] += 1
                self._tracker.hung(self._not_over(running[name]) or [name])
                kill(actors[name])
        self._tracker.tick()

    def waiting(self, planned: Sequence[str]) -> int:
        """How many trials have never started, though nothing has interrupted the run."""
        return 0 if self._interruption.requested else len(set(planned) - self._started)

    @contextlib.contextmanager
    def _recording(self) -> Iterator[None]:
        """Ends the sweep if the ledger cannot be written. Ray would hide the error in one of its own."""
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            self._end(error)

    def _end(self, error: OSError | sqlite3.Error | WorkersError) -> None:
        """Ends the sweep, with the first error that did."""
        self.error = self.error or error
        self._interruption.request()
