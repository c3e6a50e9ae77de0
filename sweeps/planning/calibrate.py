"""Measures how long a trial of each shape takes, by training a few steps of it."""

import dataclasses
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from byol.config import TrialConfig
from byol.errors import plural
from byol.files import write_text
from sweeps.errors import RequestError, one_line
from sweeps.planning.estimates import CALIBRATION, Estimate, of_calibration, shapes
from sweeps.record.manifest import hardware, versions
from sweeps.study import Study
from sweeps.study.designs import Cell, describe
from sweeps.trainer import DataKey, Images, Trainer, data_key

EVERY = 3
"""Steps between two measurements of a calibration."""
INTERVALS = 5
"""Intervals of a calibration; the first warms up."""


@dataclass(frozen=True, kw_only=True)
class ShapeCost:
    """How long a trial of one shape takes, in seconds."""

    seconds_per_trial: float
    """A whole trial, without the start of its process."""
    start: float
    """Building the networks."""
    step: float
    """One optimiser step, the median."""
    measurement: float
    """One measurement, the median."""
    knn: float
    """What a measurement with kNN, and with the linear probe if there is one, takes beyond that."""
    steps: int
    """Steps of a whole trial."""
    cell: str
    """A cell of this shape, in words."""


def calibrate(study: Study, trainer: Trainer, *, data_root: Path | None) -> Iterator[tuple[str, ShapeCost]]:
    """Trains a few steps of each shape of the study's cells, in this process; yields shape and cost.

    Raises:
        ValueError: a part of the user's own fails, or the data cannot be loaded, or does not fit a cell.
    """
    if not study.cells():
        raise ValueError(
            f"{study.name}: --calibrate needs a study with a design; a search draws its cells as it runs"
        )
    trainer.prepare(study.resources)
    by_shape = shapes(study.cells())
    for cells in by_shape.values():
        trainer.check(cells[0].config)
    data: dict[DataKey, Images] = {}
    warm = False
    for shape, cells in by_shape.items():
        config = cells[0].config
        key = data_key(config.to_settings())
        if key not in data:
            data[key] = trainer.load_data(
                key[0],
                root=data_root,
                train_images=config.train_images,
                image_size=config.image_size,
                on_broken=study.on_broken,
            )
        if not warm:  # what a process does once, such as imports, is not part of a trial
            _measure(cells[0], trainer, data[key])
            warm = True
        yield shape, _measure(cells[0], trainer, data[key])


def calibrated(
    study: Study, trainer: Trainer, *, data_root: Path | None, out: Path | None, show: Callable[[str], None]
) -> Estimate:
    """What `calibrate` makes the study's trials take.

    Args:
        study: a study with a design.
        trainer: what trains.
        data_root: where downloaded data sets are kept.
        out: where the calibration is kept for `run`; None keeps it nowhere.
        show: is called with a line for each shape, once it is measured.

    Raises:
        RequestError: a part of the user's own fails, or the data cannot be loaded, or does not fit a cell.
    """
    costs = {}
    try:
        for key, cost in calibrate(study, trainer, data_root=data_root):
            costs[key] = cost
            show(line(cost))
    except ValueError as error:
        raise RequestError(one_line(error)) from None
    calibration = document(costs)
    if out:
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / CALIBRATION, json.dumps(calibration, indent=2) + "\n")
    return of_calibration(study.cells(), calibration)


def document(costs: dict[str, ShapeCost]) -> dict[str, Any]:
    """The calibration as plain data, with the machine and the date."""
    machine = hardware({})
    return {
        "made": datetime.now(UTC).date().isoformat(),
        "hardware": f"{machine['cpu']}, {machine['cores']} cores",
        "versions": versions(),
        "intervals": INTERVALS,
        "steps_per_interval": EVERY,
        "shapes": {key: dataclasses.asdict(cost) for key, cost in costs.items()},
    }


def _measure(cell: Cell, trainer: Trainer, images: Images) -> ShapeCost:
    config = cell.config
    short = dataclasses.replace(
        config, steps=EVERY * INTERVALS, epochs=0, warmup_epochs=0, eval_every=EVERY, knn_every=0
    )
    times, steps = [time.perf_counter()], []
    turns = trainer.train(short, images, checkpoint_folder=None, checkpoint_every=0)
    for metrics in (turn for turn in turns if turn is not None):
        times.append(time.perf_counter())
        if metrics.samples_per_second:
            steps.append(config.batch_size / metrics.samples_per_second)
    step = statistics.median(steps[1:])
    intervals = [after - before for before, after in itertools.pairwise(times[1:])]
    measurement = max(0.0, statistics.median(intervals[1:-1]) - EVERY * step)
    knn = max(0.0, intervals[-1] - EVERY * step - measurement)
    start = max(0.0, times[1] - times[0] - measurement)
    total = config.total_steps(len(images.train_images))
    return ShapeCost(
        seconds_per_trial=start + total * step + _measuring(config, total, measurement, knn),
        start=start,
        step=step,
        measurement=measurement,
        knn=knn,
        steps=total,
        cell=describe(cell.labels),
    )


def _measuring(config: TrialConfig, total: int, measurement: float, knn: float) -> float:
    """Seconds of all measurements of a trial of `total` steps."""
    measured = 1 + -(-total // config.eval_every)
    with_knn = -(-total // config.knn_every) if config.knn_every else 1
    return measured * measurement + with_knn * knn


def line(cost: ShapeCost) -> str:
    """The cost of one shape, for people."""
    return (
        f"{cost.seconds_per_trial:8.1f} s a trial: "
        f"{plural(cost.steps, 'step')} of {1000 * cost.step:.1f} ms, "
        f"{1000 * cost.measurement:.0f} ms a measurement, {cost.knn:.1f} s kNN, {cost.start:.1f} s to start; "
        f"such as {cost.cell}"
    )
