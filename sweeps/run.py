"""Runs a study into a directory, or goes on with one: everything but the command line and Ray itself."""

import dataclasses
import functools
import math
import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TextIO, TypeAlias

from byol.config import ConfigError, TrialConfig, nearest
from sweeps import directory, estimates
from sweeps.designs import Trial, describe
from sweeps.entries import RequestError
from sweeps.learner import DataKey, Images, Learner, byol_learner, data_key
from sweeps.ledger import Ledger, states
from sweeps.manifest import read_manifest, write_manifest
from sweeps.mirror import Mirror, sign
from sweeps.node_data import NodeData
from sweeps.progress import Display
from sweeps.samples import check_length, corner_samples, is_settled
from sweeps.storage import Store
from sweeps.study import Resources, Study
from sweeps.tables import replacing, write_tables, write_text
from sweeps.tracker import Tracker
from sweeps.workspace import Checkpoints

DataVia: TypeAlias = Literal["object-store", "node"]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What may differ between two runs of one study without changing its results."""

    address: str | None = dataclasses.field(default_factory=lambda: os.environ.get("RAY_ADDRESS") or None)
    """A Ray cluster to join, by default that of RAY_ADDRESS; None starts Ray on this machine."""
    cpus_per_trial: float | None = None
    """Instead of the study's."""
    gpus_per_trial: float | None = None
    """Instead of the study's."""
    data_root: Path | None = None
    """Where downloaded data sets are kept."""
    workers: int | None = None
    """Most trials at a time; None is as many as fit."""
    retry_failed: bool = False
    """Whether to run trials again that ended with an error."""
    checkpoint_every: int = 1000
    """Steps between saved states, from which an interrupted trial goes on; 0 saves none."""
    time_budget: float | None = None
    """Seconds after which the run ends as if it had been interrupted."""
    storage: str | None = None
    """A URI or folder for checkpoints and a mirror of the ledger; None keeps both in the directory alone."""
    mirror_every: float = 60.0
    """Seconds between two mirrors of the ledger."""
    data_via: DataVia = "object-store"
    """How data reaches the nodes: through the object store of Ray, or loaded by each node."""
    log: tuple[str, ...] = ()
    """Where measurements go besides the ledger: tensorboard, mlflow, wandb."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run left behind."""

    counts: dict[str, int]
    """As `status` counts them."""
    interrupted: bool
    """Whether it was asked to end early."""
    out_of_time: bool = False
    """Whether it was its time budget that asked."""
    ran: bool
    """Whether there was anything to run."""


def run(
    study: Study,
    out: Path,
    *,
    options: RunOptions = RunOptions(),
    learner: Learner | None = None,
    stream: TextIO = sys.stdout,
) -> Outcome:
    """Runs what is missing of `study` in `out`, and writes the tables.

    Args:
        study: what to run.
        out: the sweep's directory; made if it does not exist.
        options: how to run it.
        learner: what trains; None is the learner of byol/.
        stream: where progress is shown.

    Raises:
        DirectoryError: `out` holds another study, or another driver is at work there.
        EngineError: the machine or cluster cannot hold a trial.
        RequestError: the data cannot be loaded, or does not fit a trial; a logger is not installed.
        StorageError: the store cannot be used, or another driver is at work on it.
        OSError: the disk, or the store at the very end, cannot be written.
    """
    trials = {trial.trial_id: trial for trial in study.trials()}
    directory.check(out, study, set(trials))
    store = Store.at(options.storage) if options.storage else None
    with Mirror(out, store, every=options.mirror_every).held(study, set(trials)) as mirror:
        if not _anything_left(mirror.source, study, trials, retry_failed=options.retry_failed):
            return _write_down(study, out, trials, mirror)
        return _run(study, out, trials, mirror, options, learner or byol_learner(), stream)


def _run(
    study: Study,
    out: Path,
    trials: Mapping[str, Trial],
    mirror: Mirror,
    options: RunOptions,
    learner: Learner,
    stream: TextIO,
) -> Outcome:
    """Runs what is missing, of which there is some."""
    began, started = time.monotonic(), datetime.now(UTC)
    # A search has no trials yet; the corners of its space must fit the data.
    known = corner_samples(study.reference, study.search) if study.search else [*trials.values()]
    data = _load(study, mirror.source, known, learner, options.data_root)
    steps = {trial.trial_id: _steps(trial, data[data_key(trial.settings)]) for trial in known}
    if study.search:
        check_length(study, steps[known[0].trial_id])
    resources = _resources(study, options)
    estimate = estimates.of_study(study, study.cells(), out)
    # They import Ray, which takes seconds: only when something is left to run.
    from sweeps import engine, loggers

    loggers.check(options.log)
    where = f"on the cluster at {options.address}" if options.address else "on this machine"
    print(f"{study.name}: {study.trial_count} trials planned; starting Ray {where}", file=stream, flush=True)

    logged = loggers.make(options.log, out, study.name)
    with (
        engine.interruptible(options.time_budget and began + options.time_budget) as interruption,
        engine.connected(options.address, resources) as available,
        directory.held(out),
        mirror.followed(),
        Ledger(out / directory.LEDGER) as ledger,
    ):
        ledger.interrupt()  # what a driver that died has left behind
        _enter(ledger, out, study, trials, steps, mirror.store)
        for key, images in data.items():
            ledger.note(_data_name(key), images.digest)
        if estimate is not None and not study.search:
            room = engine.room(resources, available)
            at_a_time = min(room, options.workers or room)
            ledger.note(estimates.PLAN, estimates.noted(estimate, list(trials.values()), at_a_time))
        record = functools.partial(
            _record,
            ledger,
            out,
            study,
            precision=learner.precision(),
            data=data,
            started=started,
            began=began,
            resources=available,
        )
        record()
        display = Display(stream, columns=shutil.get_terminal_size().columns)
        tracker = Tracker(
            ledger, display, trials, rule=study.collapse, estimate=estimate, planned=study.trial_count
        )
        run_trials = functools.partial(
            engine.run_trials,
            tracker=tracker,
            interruption=interruption,
            data=data,
            node_data=_node_data(study, data, learner, options) if options.data_via == "node" else None,
            learner=learner,
            rule=study.collapse,
            checkpoints=Checkpoints(folder=out.absolute() / directory.CHECKPOINTS, store=mirror.store),
            checkpoint_every=options.checkpoint_every,
            loggers=logged,
        )
        workers = options.workers or (engine.room(resources, available) if study.search else None)

        def execute(left: Sequence[Trial], **search: Any) -> bool:
            """Runs trials or a search, and alone what ran out of memory. False if it was asked to end."""
            if not interruption.stop_all():
                run_trials(left, resources=resources, workers=workers, **search)
            alone = [tracker.trials[trial_id] for trial_id in tracker.alone_left()]
            if alone and not interruption.stop_all():
                run_trials(alone, resources=_whole_gpus(resources), workers=1)
            return not interruption.stop_all()

        try:
            with mirror.running(stop=interruption.ask, warn=display.note):
                if study.search and not interruption.stop_all():
                    from sweeps.run_search import run_search

                    run_search(
                        study,
                        out,
                        ledger=ledger,
                        tracker=tracker,
                        execute=execute,
                        steps=lambda trial: _steps(trial, data[data_key(trial.settings)]),
                        retry_failed=options.retry_failed,
                    )
                else:
                    execute([trials[trial_id] for trial_id in ledger.left(retry_failed=options.retry_failed)])
        finally:
            display.close()
            ledger.interrupt()
            record()
        return Outcome(
            counts=_counts(ledger),
            interrupted=interruption.asked,
            out_of_time=interruption.out_of_time,
            ran=True,
        )


def status(out: Path) -> dict[str, int]:
    """Counts of the trials in `out`: planned, waiting, running, complete, pruned, failed, collapsed, ...

    Raises:
        DirectoryError: `out` holds no sweep.
    """
    with directory.open_ledger(out) as ledger:
        return _counts(ledger)


def _counts(ledger: Ledger) -> dict[str, int]:
    return states(ledger.trials(), planned=int(ledger.facts().get("planned", 0)))


def against_plan(out: Path) -> dict[str, Any] | None:
    """What was expected of the sweep in `out` beside what happened; None if nothing was known at its start.

    Raises:
        DirectoryError: `out` holds no sweep.
    """
    with directory.open_ledger(out) as ledger:
        plan = estimates.compared(ledger.trials(), ledger.facts())
    driven = read_manifest(out / directory.MANIFEST).get("wall_seconds")
    return plan and {**plan, "driven_wall_seconds": driven}


def refresh_tables(out: Path) -> None:
    """Writes the tables of `out` again from its ledger, also while a driver is at work on it.

    Raises:
        DirectoryError: `out` holds no sweep.
    """
    with directory.open_ledger(out) as ledger:
        write_tables(ledger, out)


def export_encoder(out: Path, trial_id: str, to: Path) -> None:
    """Copies the trained online encoder of a trial to the file `to`, as safetensors.

    Raises:
        RequestError: there is no such trial, it left no encoder, or `to` cannot be written.
        StorageError: the encoder is in a store that cannot be read.
    """
    with directory.open_ledger(out) as ledger:
        trials, facts = {row["trial_id"]: row for row in ledger.trials()}, ledger.facts()
    if trial_id not in trials:
        raise RequestError(f'{out}: holds no trial "{trial_id}"{nearest(trial_id, trials)}')
    store = Store(facts["storage"]) if "storage" in facts else None
    encoder = Checkpoints(folder=out / directory.CHECKPOINTS, store=store).encoder(trial_id)
    if encoder is None:
        state = trials[trial_id]["end_reason"] or trials[trial_id]["state"].lower()
        raise RequestError(f"{out}: trial {trial_id} left no trained encoder (it is {state})")
    try:
        with replacing(to) as file:
            file.write(encoder)
    except OSError as error:
        raise RequestError(f"{to}: cannot be written: {error.strerror}") from None


def _enter(
    ledger: Ledger,
    out: Path,
    study: Study,
    trials: Mapping[str, Trial],
    steps: Mapping[str, int],
    store: Store | None,
) -> None:
    """Writes down what is planned."""
    sign(ledger)
    write_text(out / directory.STUDY, study.to_yaml())
    for key, value in (
        ("study", study.name),
        ("collapse", directory.rule_text(study)),
        ("search", directory.search_text(study)),
        *((("storage", store.uri),) if store else ()),
    ):
        ledger.note(key, value)
    ledger.plan(((trial, steps[trial_id]) for trial_id, trial in trials.items()), design=study.kind)


def _write_down(study: Study, out: Path, trials: Mapping[str, Trial], mirror: Mirror) -> Outcome:
    """Brings labels, texts and tables of a complete sweep up to date."""
    with directory.held(out), mirror.followed(), Ledger(out / directory.LEDGER) as ledger:
        steps = {row["trial_id"]: row["steps_planned"] for row in ledger.trials()}
        _enter(ledger, out, study, trials, steps, mirror.store)
        write_tables(ledger, out)
        return Outcome(counts=_counts(ledger), interrupted=False, ran=False)


def _record(
    ledger: Ledger,
    out: Path,
    study: Study,
    *,
    precision: str,
    data: Mapping[DataKey, Images],
    started: datetime,
    began: float,
    resources: Mapping[str, float],
) -> None:
    """Writes tables and manifest as things stand now."""
    write_tables(ledger, out)
    names = {key: key[0] if len(data) == 1 else _data_name(key) for key in data}
    write_manifest(
        out / directory.MANIFEST,
        study=study.name,
        precision=precision,
        data={names[key]: images.digest for key, images in data.items()},
        command=sys.argv,
        started=started,
        wall_seconds=time.monotonic() - began,
        resources=resources,
        plan=estimates.compared(ledger.trials(), ledger.facts()),
    )


def _anything_left(out: Path, study: Study, trials: Iterable[str], *, retry_failed: bool) -> bool:
    if not directory.has_ledger(out):
        return True
    with directory.open_ledger(out) as ledger:
        if study.search and not is_settled(ledger, study):
            return True
        rows = ledger.trials()
        open_ = {*ledger.left(retry_failed=retry_failed)}
    open_ |= {row["trial_id"] for row in rows if row["state"] == "RUNNING"}
    return bool(open_) or not set(trials) <= {row["trial_id"] for row in rows}


def _data_name(key: DataKey) -> str:
    dataset, train_images, image_size = key
    return f"{dataset}, {train_images or 'all'} training images, {image_size} pixels"


def _load(
    study: Study, out: Path, trials: Iterable[Trial], learner: Learner, root: Path | None
) -> dict[DataKey, Images]:
    """The distinct data sets of the trials, checked against what the sweep was started with."""
    facts: dict[str, str] = {}
    if directory.has_ledger(out):
        with directory.open_ledger(out) as ledger:
            facts = ledger.facts()
    data: dict[DataKey, Images] = {}
    for key in dict.fromkeys(data_key(trial.settings) for trial in trials):
        try:
            images: Images = learner.load_data(
                key[0], root=root, train_images=key[1], image_size=key[2], on_broken=study.on_broken
            )
        except (ValueError, OSError) as error:
            raise RequestError(" ".join(str(error).split())) from error
        before = facts.get(_data_name(key), images.digest)
        if images.digest != before:
            raise directory.DirectoryError(
                f"{out}: was started with other data: the digest of {key[0]} must be {before}, "
                f"but got {images.digest}"
            )
        data[key] = images
    return data


def _node_data(
    study: Study, data: Mapping[DataKey, Images], learner: Learner, options: RunOptions
) -> NodeData:
    return NodeData(
        load_data=learner.load_data,
        root=(options.data_root or Path("data")).absolute(),
        on_broken=study.on_broken,
        digests={key: images.digest for key, images in data.items()},
    )


def _steps(trial: Trial, images: Images) -> int:
    config, count = TrialConfig.from_settings(trial.settings), len(images.train_images)
    try:
        config.warmup_steps(count)  # which refuses one that is longer than the trial
        return config.total_steps(count)
    except ConfigError as error:
        raise RequestError(f"{describe(trial.labels)}: {error}") from None


def _whole_gpus(resources: Resources) -> Resources:
    """What a trial gets that ran out of memory on its share of a GPU."""
    return dataclasses.replace(resources, gpu=float(math.ceil(resources.gpu)))


def _resources(study: Study, options: RunOptions) -> Resources:
    cpu, gpu = options.cpus_per_trial, options.gpus_per_trial
    return Resources(
        cpu=study.resources.cpu if cpu is None else cpu, gpu=study.resources.gpu if gpu is None else gpu
    )
