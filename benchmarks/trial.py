"""One trial on the CPU: this learner beside the loop of most tutorials and lightly's, and beside itself on
tensors that lie ready.

All have the same encoder, batch, image size and augmentations, and take turns in one process. The peers have
their better number of loader processes, of those measured.
"""

import itertools
import sys
from collections.abc import Callable

import torch

from benchmarks import peers
from benchmarks.ours import COLOURED, configuration, images, learner_of, trained_rate, views_of
from benchmarks.report import Report, Table
from benchmarks.side_by_side import Figures, seconds, take_turns
from byol.config import TrialConfig
from byol.data import ImageData
from byol.precision import resolved

BATCH = 256
THREADS = 2
LOADERS = (0, 2)
"""Loader processes of the peers."""


def measure(*, long: bool = False, batch: int = BATCH, steps: int = 10, peer_steps: int = 3) -> Report:
    """Images a second of all sides, and the ratios.

    Args:
        long: more rounds, of three times the steps.
        batch: batch size.
        steps: this learner's steps a round.
        peer_steps: the peers' steps a round.
    """
    rounds, stretch = (9, 3) if long else (4, 1)
    steps, peer_steps = steps * stretch, peer_steps * stretch
    torch.set_num_threads(THREADS)
    gray, default = images(), resolved("auto", "cpu")
    sides: dict[str, Callable[[], float]] = {}
    for data, colour in ((gray, ""), (images(dataset=COLOURED), ", colour")):
        for precision in dict.fromkeys((default, "fp32")):
            config = configuration(
                image_size=32, batch_size=batch, precision=precision, eval_every=steps, eval_images=8
            )
            sides[f"ours, {precision}{colour}"] = trained_rate(config, data)
            sides[f"ready tensors, {precision}{colour}"] = _ready_rate(config, data, steps)
    sides |= _peers(config, gray, peer_steps)
    for side in sides.values():
        side()
    figures = take_turns(sides, rounds, lambda line: print(line, file=sys.stderr, flush=True))
    setup = (
        f"Tiny encoder, gray images at 32 px, and colour ones where it says so, batch {batch}, "
        f"{THREADS} threads, augmentations of BYOL; "
        f"n = {rounds} rounds in turns of {steps} steps, the peers' of {peer_steps}. Median (least to "
        f"largest). The default precision here is {default}; the peers have fp32 alone. `ready tensors`: "
        "`Learner.step` alone on views that lie ready."
    )
    return Report(
        title="One trial on the CPU", setup=setup, tables=[_rates(figures), _ratios(figures, default)]
    )


def _ready_rate(config: TrialConfig, data: ImageData, steps: int) -> Callable[[], float]:
    learner = learner_of(config, data)
    ready = list(itertools.islice(views_of(config, data), 4))

    def rate() -> float:
        def run() -> None:
            for index in range(steps):
                learner.step(*ready[index % len(ready)])

        return steps * config.batch_size / seconds(run)

    return rate


def _peers(config: TrialConfig, data: ImageData, steps: int) -> dict[str, Callable[[], float]]:
    """Both peers with each number of loader processes; without lightly where it is not installed."""
    loops: dict[str, tuple[peers.Views, peers.Step]] = {
        "tutorial loop": (peers.tutorial_views(config, data), peers.Tutorial(config))
    }
    try:
        loops["lightly"] = peers.lightly_loop(config, data)
    except ModuleNotFoundError:
        print("trial: lightly is not installed (`make bench` installs it)", file=sys.stderr)

    def side(name: str, processes: int) -> Callable[[], float]:
        views, step = loops[name]
        return lambda: peers.images_per_second(
            views, step, batch_size=config.batch_size, steps=steps, processes=processes
        )

    return {
        f"{name}, {processes} loader processes": side(name, processes)
        for name in loops
        for processes in LOADERS
    }


def _better(figures: dict[str, Figures], start: str) -> Figures | None:
    sides = [side for name, side in figures.items() if name.startswith(start)]
    return max(sides, key=lambda side: side.median, default=None)


def _rates(figures: dict[str, Figures]) -> Table:
    rows = [(name, side.text()) for name, side in figures.items()]
    return Table(columns=("side", "images a second"), rows=rows)


def _ratios(figures: dict[str, Figures], default: str) -> Table:
    tutorial, lightly = _better(figures, "tutorial"), _better(figures, "lightly")
    assert tutorial is not None
    rows = []
    for precision in dict.fromkeys((default, "fp32")):
        ours, ready = figures[f"ours, {precision}"], figures[f"ready tensors, {precision}"]
        beside_lightly = ours.over(lightly) if lightly else "not measured"
        colour = figures[f"ours, {precision}, colour"].over(figures[f"ready tensors, {precision}, colour"])
        rows.append((f"ours, {precision}", ours.over(tutorial), beside_lightly, ours.over(ready), colour))
    columns = (
        "side",
        "times the tutorial loop",
        "times lightly",
        "of the rate on ready tensors",
        "in colour",
    )
    note = (
        "Ratios of medians (range of the rounds' own ratios), each to the better number of loader processes."
    )
    return Table(title="Ratios", columns=columns, rows=rows, note=note)
