"""Runs a study into a directory, or goes on with one: everything but the command line and Ray itself."""

import dataclasses
import functools
import math
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from byol.errors import ConfigError
from byol.files import write_text
from byol.presets import from_settings
from sweeps import files
from sweeps.engine.node_data import NodeData
from sweeps.errors import DirectoryError, RequestError
from sweeps.inspect import counts
from sweeps.options import Outcome, RunOptions
from sweeps.planning import estimates
from sweeps.progress import Display
from sweeps.record import directory
from sweeps.record.ledger import Ledger
from sweeps.record.manifest import Driver, write_manifest
from sweeps.record.tables import write_tables
from sweeps.search.samples import check_length, corner_samples, is_settled
from sweeps.storage.checkpoints import Checkpoints
from sweeps.storage.mirror import Mirror, sign
from sweeps.storage.store import Store
from sweeps.study import Resources, Study
from sweeps.study.designs import Trial, describe
from sweeps.tracker import Tracker
from sweeps.trainer import DataKey, Images, Trainer, byol_trainer, data_key


def run(
    study: Study,
    out: Path,
    *,
    options: RunOptions | None = None,
    trainer: Trainer | None = None,
    stream: TextIO = sys.stdout,
) -> Outcome:
    """Runs what is missing of `study` in `out`, and writes the tables.

    Args:
        study: what to run.
        out: the sweep's directory; made if it does not exist.
        options: how to run it.
        trainer: what trains; None is the learner of byol/.
        stream: where progress is shown.

    Raises:
        DirectoryError: `out` holds another study, or another driver is at work there.
        EngineError: the machine or cluster cannot hold a trial.
        RequestError: the data cannot be loaded, or does not fit a trial; a logger is not installed.
        StorageError: the store cannot be used, or another driver is at work on it.
        OSError: the disk, or the store at the very end, cannot be written.
    """
    options = options or RunOptions()
    trials = {trial.trial_id: trial for trial in study.trials()}
    directory.check(out, study, set(trials))
    store = Store.at(options.storage) if options.storage else None
    with Mirror(out, store, every=options.mirror_every).held(study, set(trials)) as mirror:
        if not _anything_left(mirror.source, study, trials, retry_failed=options.retry_failed):
            return _write_down(study, out, trials, mirror)
        return _run(study, out, trials, mirror, options, trainer or byol_trainer(), stream)


def _run(
    study: Study,
    out: Path,
    trials: Mapping[str, Trial],
    mirror: Mirror,
    options: RunOptions,
    trainer: Trainer,
    stream: TextIO,
) -> Outcome:
    """Runs what is missing, of which there is some."""
    began, started = time.monotonic(), datetime.now(UTC)
    # A search has no trials yet; the corners of its space must fit the data.
    known = corner_samples(study.reference, study.search) if study.search else [*trials.values()]
    data = _load(study, mirror.source, known, trainer, options.data_root)
    steps = {trial.trial_id: _steps(trial, data[data_key(trial.settings)]) for trial in known}
    if study.search:
        check_length(study, steps[known[0].trial_id])
    resources = _resources(study, options)
    estimate = estimates.of_study(study, study.cells(), out)
    # They import Ray, which takes seconds: only when something is left to run.
    from sweeps.engine import driver, loggers, runtime

    loggers.check(options.log)
    where = f"on the cluster at {options.address}" if options.address else "on this machine"
    print(f"{study.name}: {study.trial_count} trials planned; starting Ray {where}", file=stream, flush=True)

    logged = loggers.make(options.log, out, study.name)
    with (
        runtime.interruptible(options.time_budget and began + options.time_budget) as interruption,
        runtime.connected(options.address, resources) as available,
        directory.held(out),
        mirror.followed(),
        Ledger(out / files.LEDGER) as ledger,
    ):
        ledger.interrupt()  # what a driver that died has left behind
        _enter(ledger, out, study, trials, steps, mirror.store)
        for key, images in data.items():
            ledger.note(_data_name(key), images.digest)
        if estimate is not None and not study.search:
            room = runtime.room(resources, available)
            at_a_time = min(room, options.workers or room)
            ledger.note(estimates.PLAN, estimates.noted(estimate, list(trials.values()), at_a_time))
        record = functools.partial(
            _record,
            ledger,
            out,
            study,
            precision=trainer.precision(),
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
            driver.run_trials,
            tracker=tracker,
            interruption=interruption,
            data=data,
            node_data=_node_data(study, data, trainer, options) if options.data_via == "node" else None,
            trainer=trainer,
            rule=study.collapse,
            checkpoints=Checkpoints(folder=out.absolute() / files.CHECKPOINTS, store=mirror.store),
            checkpoint_every=options.checkpoint_every,
            loggers=logged,
        )
        workers = options.workers or (runtime.room(resources, available) if study.search else None)

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
                    from sweeps.search.run import run_search

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
            counts=counts(ledger),
            interrupted=interruption.asked,
            out_of_time=interruption.out_of_time,
            ran=True,
        )


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
    write_text(out / files.STUDY, study.to_yaml())
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
    with directory.held(out), mirror.followed(), Ledger(out / files.LEDGER) as ledger:
        steps = {row["trial_id"]: row["steps_planned"] for row in ledger.trials()}
        _enter(ledger, out, study, trials, steps, mirror.store)
        write_tables(ledger, out)
        return Outcome(counts=counts(ledger), interrupted=False, ran=False)


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
        out / files.MANIFEST,
        study=study.name,
        precision=precision,
        data={names[key]: images.digest for key, images in data.items()},
        driver=Driver(
            command=sys.argv,
            started=started,
            wall_seconds=time.monotonic() - began,
            resources=resources,
        ),
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
    study: Study, out: Path, trials: Iterable[Trial], trainer: Trainer, root: Path | None
) -> dict[DataKey, Images]:
    """The distinct data sets of the trials, checked against what the sweep was started with."""
    facts: dict[str, str] = {}
    if directory.has_ledger(out):
        with directory.open_ledger(out) as ledger:
            facts = ledger.facts()
    data: dict[DataKey, Images] = {}
    for key in dict.fromkeys(data_key(trial.settings) for trial in trials):
        try:
            images: Images = trainer.load_data(
                key[0], root=root, train_images=key[1], image_size=key[2], on_broken=study.on_broken
            )
        except (ValueError, OSError) as error:
            raise RequestError(" ".join(str(error).split())) from error
        before = facts.get(_data_name(key), images.digest)
        if images.digest != before:
            raise DirectoryError(
                f"{out}: was started with other data: the digest of {key[0]} must be {before}, "
                f"but got {images.digest}"
            )
        data[key] = images
    return data


def _node_data(
    study: Study, data: Mapping[DataKey, Images], trainer: Trainer, options: RunOptions
) -> NodeData:
    return NodeData(
        load_data=trainer.load_data,
        root=(options.data_root or Path("data")).absolute(),
        on_broken=study.on_broken,
        digests={key: images.digest for key, images in data.items()},
    )


def _steps(trial: Trial, images: Images) -> int:
    config, count = from_settings(trial.settings), len(images.train_images)
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
