"""Share of a trial's training time that its measurements take, at the cadence of the quickstart.

Blocks of training steps and every kind of measurement take turns in one run, on one thread, and the shares
are of the medians. A quickstart trial has one measurement at the start and one at the end, both with kNN, the
last with LiDAR, and some between them. The linear probe, which it does not ask for, is timed beside them if
the run is long.
"""

from collections.abc import Callable, Iterator

import torch

from benchmarks.ours import views_of
from benchmarks.report import Report, Table
from benchmarks.side_by_side import seconds, take_turns
from byol.config import TrialConfig
from byol.data import ImageData, load_data
from byol.learner import Learner
from byol.measure.measurer import Measurer
from byol.presets import from_settings
from sweeps.study import load_study

STEPS = 50
"""Training steps of a round."""


def measure(*, long: bool = False, rounds: int = 0) -> Report:
    """Seconds of steps and measurements, and what a trial's measurements take of its training.

    Args:
        long: more rounds, and the linear probe.
        rounds: how often; 0 is 3, or 9 if long.
    """
    rounds = rounds or (9 if long else 3)
    torch.set_num_threads(1)
    reference = load_study("collapse-quickstart").trials()[0].settings
    config, data = from_settings(reference), load_data(str(reference["dataset"]))
    assert isinstance(data, ImageData)
    figures = take_turns(_acts(config, data, probe=long), rounds)
    middle = {name: figure.median for name, figure in figures.items()}
    training = middle["training steps"] / STEPS * config.steps
    between = config.steps // config.eval_every - 1
    whole = middle["at the start"] + between * middle["measurement"] + middle["at the end"]
    rows = [
        (name, figure.text(1, 1e3), f"{figure.median / training:.2%}")
        for name, figure in figures.items()
        if name != "training steps"
    ]
    rows.append((f"all {between + 2} of a trial", f"{1e3 * whole:,.0f}", f"{whole / training:.1%}"))
    step = figures["training steps"].text(2, 1e3 / STEPS)
    setup = (
        f"Reference of collapse-quickstart: tiny encoder, {config.image_size} px, batch {config.batch_size}, "
        f"{config.steps:,} steps, {config.precision}, one thread. n = {rounds} rounds in turns of {STEPS} "
        "training steps and each kind of measurement; median (least to largest). A training step takes "
        f"{step} ms, so that training takes {training:.1f} s."
    )
    columns = ("measurement", "ms", "of the trial's training")
    return Report(title="Measurements", setup=setup, tables=[Table(columns=columns, rows=rows)])


def _acts(config: TrialConfig, data: ImageData, *, probe: bool) -> dict[str, Callable[[], float]]:
    """What is timed, by its name."""
    learner = Learner(config, train_images=len(data.train_images), device=torch.device("cpu"))
    measurer = Measurer(config, data, learner)
    steps = _steps_of(config, data, learner)

    def measured(step: int) -> Callable[[], float]:
        return lambda: seconds(lambda: measurer.measure(step=step, loss=0.0, samples_per_second=None))

    acts: dict[str, Callable[[], float]] = {
        "training steps": lambda: seconds(lambda: next(steps)),
        "measurement": measured(config.eval_every),
        "at the start": measured(0),
        "at the end": measured(config.steps),
    }
    if probe:
        acts["linear probe"] = lambda: seconds(lambda: measurer._probe(*measurer._features()))
    next(steps)  # the first also import and allocate
    measurer.measure(step=0, loss=0.0, samples_per_second=None)
    return acts


def _steps_of(config: TrialConfig, data: ImageData, learner: Learner) -> Iterator[None]:
    """STEPS training steps at each `next`."""
    for step, views in enumerate(views_of(config, data), 1):
        learner.step(*views)
        if step % STEPS == 0:
            yield
