"""One study in one directory: the object that opens, executes, records and finishes a sweep."""

import contextlib
import functools
import json
import shutil
import sqlite3
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from byol.errors import plural
from byol.files import remove_partial_files, write_text
from sweeps import files, looks
from sweeps.beside import beside
from sweeps.inputs import Inputs, prepare
from sweeps.loggers import places
from sweeps.loggers.feed import Feed
from sweeps.options import RunOptions, RunOutcome
from sweeps.planning import estimates
from sweeps.progress import Display, standing
from sweeps.record import conditions, directory, same_study
from sweeps.record.ledger import Ledger
from sweeps.record.manifest import DriverRecord, git_state, manifest_text
from sweeps.record.refresh import TableRefresh
from sweeps.record.rows import Fact, TrialState
from sweeps.record.samples import is_settled
from sweeps.record.texts import recorded_manifest, restore
from sweeps.storage.checkpoints import Checkpoints
from sweeps.storage.mirror import Mirror, add_driver
from sweeps.storage.store import Store
from sweeps.study import Study
from sweeps.tracker import Tracker
from sweeps.trainer import Trainer, byol_trainer

if TYPE_CHECKING:  # they import Ray, which takes seconds: only when something is left to run
    from sweeps.engine.driver import Driver
    from sweeps.engine.runtime import Interruption


class Sweep:
    """A sweep of one study in one directory. `sweeps.run.run` and the command `run` use it.

    `open` checks that the directory (and the store) may hold the sweep, and changes nothing there. `execute`
    runs what is missing, and records it. `finish` returns the outcome, with tables and texts up to date.
    """

    ledger: Ledger
    """The record; open only within `execute` and `finish`."""
    inputs: Inputs
    """Data, steps, resources and estimate; set by `execute`."""
    tracker: Tracker
    """Records the events of trials; set by `execute`."""
    display: Display
    """Shows the progress; set by `execute`."""
    feeds: list[Feed]
    """Copy the progress to loggers; set by `execute`."""

    def __init__(
        self,
        study: Study,
        out: Path,
        mirror: Mirror,
        *,
        options: RunOptions,
        trainer: Trainer | None,
        stream: TextIO,
    ) -> None:
        """Use `open` instead: it makes sure that the directory and the mirror fit the study."""
        self.study = study
        self.out = out
        self.mirror = mirror
        self.options = options
        self.stream = stream
        self.trials = {trial.trial_id: trial for trial in study.trials()}
        """The trials of the design by id, in order; empty for a search."""
        self.tables = TableRefresh(out)
        """Writes the tables, and keeps them up to date while trials run."""
        self._given_trainer = trainer
        self._outcome: RunOutcome | None = None

    @classmethod
    @contextlib.contextmanager
    def open(
        cls,
        study: Study,
        out: Path,
        *,
        options: RunOptions | None = None,
        trainer: Trainer | None = None,
        stream: TextIO | None = None,
    ) -> Iterator["Sweep"]:
        """Checks that `out` may hold a sweep of `study`. While it is open, no other driver may use the store.

        Args:
            study: what to run.
            out: the sweep's directory, which need not exist.
            options: how to run it.
            trainer: trains the trials; None means the learner in byol/.
            stream: where progress is shown; None means standard output.

        Raises:
            DirectoryError: `out` holds another study, or another driver is using it.
            StorageError: the store cannot be used, or another driver is using it.
        """
        options = options or RunOptions()
        trial_ids = {trial.trial_id for trial in study.at_most().trials()}
        directory.check(out, study, trial_ids)
        store = Store.at(options.storage) if options.storage else None
        with Mirror(out, store, every=options.mirror_every).opened(study, trial_ids) as mirror:
            yield cls(
                _begun(study, mirror.source),
                out,
                mirror,
                options=options,
                trainer=trainer,
                stream=stream or sys.stdout,
            )

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to run."""
        source = self.mirror.source
        if not directory.has_ledger(source):
            return False
        with directory.open_ledger(source) as ledger:
            if self.study.search and not is_settled(ledger, self.study):
                return False
            if self.study.sequence and not self._is_settled(ledger):
                return False
            rows, pending = ledger.trials(), ledger.pending(retry_failed=self.options.retry_failed)
        running = any(row.state == TrialState.RUNNING for row in rows)
        return not pending and not running and set(self.trials) <= {row.trial_id for row in rows}

    def execute(self) -> None:
        """Runs what is missing, until done or interrupted.

        Raises:
            DirectoryError: another driver is using the directory, or the sweep's trials ran under other code,
                versions or data, and that is not accepted.
            EngineError: Ray cannot be started or reached, or this machine cannot hold a worker.
            RequestError: the data cannot be loaded, or does not fit a trial; a logger is not installed.
            OSError: the disk cannot be written, or the store cannot at the end.
        """
        places.check(self.options.log)
        self._started, self._began = datetime.now(UTC), time.monotonic()
        budget = self.options.time_budget
        self.inputs = prepare(
            self.study, self.out, options=self.options, trainer=self.trainer, source=self.mirror.source
        )
        from sweeps.engine import runtime

        self._announce()
        with runtime.interruptible(budget and self._began + budget) as interruption:
            # Importing torch takes as long as Ray's start, which is mostly waiting.
            controls = beside(self._controls)
            with (
                runtime.connected(
                    self.options.address, self.inputs.resources, self.inputs.packages
                ) as self._available,
                self._recording(),
            ):
                room = runtime.room(self.inputs.resources, self._available)
                self._plan(room, controls.result())
                self.record()
                self._run_displayed(interruption, room)

    def _run_displayed(self, interruption: "Interruption", room: int) -> None:
        """Runs what is missing, shows it, and records it at the end, whatever the end is."""
        self.display = Display(self.stream, columns=shutil.get_terminal_size().columns)
        self._track()
        with (
            self._closing(),
            self.mirror.following(stop=interruption.request, warn=self.display.note),
            self.tables.running(),
        ):
            self._run(self._driver(interruption), room)
        self._outcome = RunOutcome(
            counts=self.ledger.counts(),
            interrupted=interruption.requested,
            out_of_time=interruption.out_of_time,
            ran=True,
        )

    @contextlib.contextmanager
    def _closing(self) -> Iterator[None]:
        """Records the last state at the end; after an error, as far as that still can be done."""
        try:
            yield
        except BaseException:
            with contextlib.suppress(OSError, sqlite3.Error):
                self._close()
            raise
        self._close()

    def _close(self) -> None:
        try:
            self.ledger.interrupt()
            self.record()
        finally:
            for feed in self.feeds:
                feed.close()
            self.display.close()

    def record(self) -> None:
        """Writes tables and manifest as of now. Only within `execute`."""
        self.tables.renew(self.ledger)
        facts = self.ledger.facts()
        manifest = manifest_text(
            recorded_manifest(self.out, facts),
            study=self.study.name,
            precision=facts[Fact.PRECISION],
            data=self.inputs.data.digests,
            driver=DriverRecord(
                command=sys.argv,
                started=self._started,
                wall_seconds=time.monotonic() - self._began,
                resources=self._available,
            ),
            plan=estimates.plan_against_actual(self.ledger.trials(), facts),
        )
        self.ledger.set_fact(Fact.MANIFEST, manifest)
        write_text(self.out / files.MANIFEST, manifest)

    def finish(self) -> RunOutcome:
        """Returns the outcome. Unless `execute` has run, first writes study, labels and tables again.

        Raises:
            DirectoryError: another driver is using the directory.
            OSError: the disk cannot be written, or the store cannot at the end.
        """
        if self._outcome is None:
            with self._recording():
                self._enter({row.trial_id: row.steps_planned for row in self.ledger.trials()}, {})
                self.tables.renew(self.ledger)
                counts = self.ledger.counts()
                print(f"nothing is left to run in {self.out}: {standing(counts)}", file=self.stream)
                self._outcome = RunOutcome(counts=counts, interrupted=False, ran=False)
        return self._outcome

    @functools.cached_property
    def trainer(self) -> Trainer:
        """What trains the trials. The learner in byol/ is created on first use, because it imports torch."""
        return self._given_trainer or byol_trainer()

    def _announce(self) -> None:
        address = self.options.address
        where = f"on the cluster at {address}" if address else "on this machine"
        planned = f"{self.study.trials_text} planned"
        for line in self.inputs.changes.lines:
            print(f"Accepted: {line}", file=self.stream)
        if directory.has_ledger(self.mirror.source):
            print(f"resuming {self.out}: {self._standing()}", file=self.stream)
        print(f"{self.study.name}: {planned}; starting Ray {where}", file=self.stream, flush=True)

    def _standing(self) -> str:
        """What the ledger has before this run changes it, in words."""
        with directory.open_ledger(self.mirror.source) as ledger:
            counts = ledger.counts()
            begun = [row.trial_id for row in ledger.trials() if row.attempt and not row.has_ended]
        kept = filter(self._checkpoints.has_state, begun)
        counts["planned"] = max(counts["planned"], self.study.trial_count)  # it may have grown
        return standing(counts, with_state=len(list(kept)))

    @property
    def _checkpoints(self) -> Checkpoints:
        return Checkpoints(folder=self.out.absolute() / files.CHECKPOINTS, store=self.mirror.store)

    @contextlib.contextmanager
    def _recording(self) -> Iterator[None]:
        """Locks the directory, puts the fetched files there, and opens the ledger.

        At the end the ledger is closed first, then the store gets its last state, then the lock is released.
        """
        with (
            directory.driver_lock(self.out),
            self.mirror.synchronised(),
            Ledger(self.out / files.LEDGER) as self.ledger,
        ):
            remove_partial_files(self.out)
            for line in restore(self.ledger, self.out):
                print(line, file=self.stream, flush=True)
            self.ledger.interrupt()  # trials that a dead driver has left running
            yield

    def _controls(self) -> dict[str, str]:
        """What the trials run under, and what accuracies are compared with, as facts. Imports torch."""
        known = json.loads(self.inputs.facts.get(Fact.BASELINES, "{}"))
        baselines = self.inputs.data.baselines(
            self.inputs.trials, self.trainer, conditions.set_aside(known, self.inputs.changes.data)
        )
        return {
            **conditions.current(),
            Fact.PRECISION: self.inputs.facts.get(Fact.PRECISION) or self.trainer.precision(),
            Fact.BASELINES: json.dumps(baselines),
        }

    def _plan(self, room: int, controls: Mapping[str, str]) -> None:
        """Records the planned trials, what they run under, the controls and the expected times."""
        facts = {**self.inputs.data.facts, **controls}
        facts[Fact.PRECISION] = self.ledger.facts().get(Fact.PRECISION) or controls[Fact.PRECISION]
        if self.inputs.estimate is not None and not self.study.search:
            workers = min(room, self.options.workers or room)
            facts[Fact.PLAN] = estimates.plan_fact(self.inputs.estimate, [*self.trials.values()], workers)
        conditions.keep_digests(self.ledger, self.inputs.changes.data)
        self._enter(self.inputs.steps, facts)

    def _enter(self, steps: Mapping[str, int], facts: Mapping[str, str]) -> None:
        """Enters driver, study, `facts` and trials with their `steps` in the ledger; writes study.yaml.

        One transaction: a directory holds a whole plan or none.
        """
        study, ledger, store = self.study, self.ledger, self.mirror.store
        with ledger.transaction():
            add_driver(ledger)
            ledger.set_fact(Fact.STUDY, study.name)
            ledger.set_fact(Fact.COLLAPSE, same_study.rule_text(study))
            ledger.set_fact(Fact.SEARCH, same_study.search_text(study))
            ledger.set_fact(Fact.SEQUENCE, same_study.sequence_text(study))
            ledger.set_fact(Fact.STUDY_FILE, study.to_yaml())
            if store is not None:
                ledger.set_fact(Fact.STORAGE, store.uri)
            for key, value in facts.items():
                ledger.set_fact(key, value)
            ledger.plan(
                ((trial, steps[trial_id]) for trial_id, trial in self.trials.items()), design=study.kind
            )
        write_text(self.out / files.STUDY, study.to_yaml())

    def _track(self) -> None:
        self.feeds = places.feeds(
            self.options.log,
            self.out,
            study=self.study.name,
            sweep=self.ledger.facts()[Fact.DRIVERS].split()[0],
            warn=self.display.note,
        )
        self.tracker = Tracker(
            self.ledger,
            self.display,
            self.trials.values(),
            rule=self.study.collapse,
            estimate=self.inputs.estimate,
            planned=self.study.trial_count,
            feeds=self.feeds,
        )

    def _driver(self, interruption: "Interruption") -> "Driver":
        from sweeps.engine.driver import Driver, put_data
        from sweeps.engine.worker import Job

        study, options = self.study, self.options
        by_node = options.data_via == "node"
        job = Job(
            common={},
            data={} if by_node else put_data(self.inputs.data.images),
            node_data=self.inputs.data.for_nodes(study, self.trainer, options.data_root) if by_node else None,
            trainer=self.trainer,
            precision=self.ledger.facts()[Fact.PRECISION],
            rule=study.collapse,
            resources=self.inputs.resources,
            checkpoints=self._checkpoints,
            checkpoint_every=options.checkpoint_every,
            code=git_state(),
            conditions={} if options.accept_changes else conditions.of_numbers(),
            run=uuid.uuid4().hex,
            hung_after=options.hung_after,
        )
        return Driver(job=job, tracker=self.tracker, interruption=interruption)

    def _run(self, driver: "Driver", room: int) -> None:
        resources, workers = self.inputs.resources, self.options.workers
        if driver.interruption.stop_all():
            return
        if self.study.search is None:
            self._run_pending(driver, room)
            while self.study.sequence and not driver.interruption.stop_all() and self._begin_replicate():
                self._run_pending(driver, room)
            return
        from sweeps.search.run import SearchRun

        self.ledger.set_fact(Fact.PLANNED, str(self.study.trial_count))
        SearchRun(
            study=self.study,
            search=self.study.search,
            journal=self.out / files.JOURNAL,
            ledger=self.ledger,
            tracker=self.tracker,
            steps=self.inputs.data.steps,
            retry_failed=self.options.retry_failed,
        ).execute(driver, resources=resources, workers=workers or room)

    def _run_pending(self, driver: "Driver", room: int) -> None:
        pending = self.ledger.pending(retry_failed=self.options.retry_failed)
        trials = [self.trials[trial_id] for trial_id in pending]
        if trials:  # of a sequence, all may have run before
            resources, workers = self.inputs.resources, self.options.workers
            driver.run(trials, resources=resources, workers=workers, room=room)

    def _begin_replicate(self) -> bool:
        """Looks at the verdict. Unless it is settled, enters the trials of one more seed."""
        seeds = len(self.study.seeds)
        self.record()
        if looks.settled(self.out):
            self.ledger.set_fact(Fact.SETTLED, str(seeds))
            return False
        self.study = self.study.with_seeds(seeds + 1)
        self.trials = {trial.trial_id: trial for trial in self.study.trials()}
        with self.ledger.transaction():
            self.ledger.set_fact(Fact.STUDY_FILE, self.study.to_yaml())
            for trial_id, trial in self.trials.items():
                self.tracker.add(trial, self.inputs.steps[trial_id], design=self.study.kind)
        write_text(self.out / files.STUDY, self.study.to_yaml())
        self.display.note(f"The verdict is not settled after {plural(seeds, 'seed')}: one more.")
        return True

    def _is_settled(self, ledger: Ledger) -> bool:
        """Whether a sequence ended with the seeds that it has begun."""
        return ledger.facts().get(Fact.SETTLED) == str(len(self.study.seeds))


def _begun(study: Study, source: Path) -> Study:
    """A sequence with the seeds that the ledger in `source` has; any other study as it is."""
    if study.sequence is None or not directory.has_ledger(source):
        return study
    with directory.open_ledger(source) as ledger:
        seeds = 1 + max((row.seed for row in ledger.trials()), default=-1)
    return study.with_seeds(max(seeds, study.sequence.least))
