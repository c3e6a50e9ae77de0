"""One trial on the CPU: this learner beside the loop of most tutorials and lightly's, and beside itself on
tensors that lie ready.

All have the same encoder, batch, image size and augmentations, and take turns in one process. The peers have
their better number of loader processes, of those measured. Against itself the learner takes turns after every
step: what tensors that lie ready save is less than what the machine's speed changes within a few seconds.
"""

import itertools
import statistics
import sys
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

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
    shares: dict[str, _Share] = {}
    for data, colour in ((gray, ""), (images(dataset=COLOURED), ", colour")):
        for precision in dict.fromkeys((default, "fp32")):
            config = configuration(
                image_size=32, batch_size=batch, precision=precision, eval_every=steps, eval_images=8
            )
            sides[f"ours, {precision}{colour}"] = trained_rate(config, data)
            shares[f"ours, {precision}{colour}"] = _Share(config, data)
    sides |= _peers(config, gray, peer_steps)
    for side in sides.values():
        side()
    figures = take_turns(sides, rounds, lambda line: print(line, file=sys.stderr, flush=True))
    setup = (
        f"Tiny encoder, gray images at 32 px, and colour ones where it says so, batch {batch}, "
        f"{THREADS} threads, augmentations of BYOL; n = {rounds} rounds in turns of {steps} steps, "
        f"the peers' of {peer_steps}. Median (least to largest). The default precision here is {default}; "
        "the peers have fp32 alone."
    )
    return Report(
        title="One trial on the CPU",
        setup=setup,
        tables=[_rates(figures), _ratios(figures, default), _shares(shares, rounds, steps)],
    )


class _Share:
    """Steps that make their views, in turns with steps on views that lie ready."""

    def __init__(self, config: TrialConfig, data: ImageData) -> None:
        self._learner = learner_of(config, data)
        self._made = views_of(config, data)
        self._ready = itertools.cycle([*itertools.islice(self._made, 4)])

    def row(self, rounds: int, pairs: int) -> tuple[str, ...]:
        """Milliseconds of both, and their ratio, of so many rounds of pairs of steps after one to warm up."""
        measured = [[*self._pairs(pairs)] for _ in range(rounds + 1)][1:]
        whole, ready = (
            Figures(tuple(statistics.median(pair[side] for pair in pairs) for pairs in measured))
            for side in (0, 1)
        )
        return whole.text(1, 1e3), ready.text(1, 1e3), ready.over(whole)

    def _pairs(self, pairs: int) -> Iterator[tuple[float, float]]:
        for _ in range(pairs):
            yield self._seconds(self._made), self._seconds(self._ready)

    def _seconds(self, views: Iterator[tuple[Tensor, ...]]) -> float:
        return seconds(lambda: self._learner.step(*next(views)))


def _shares(shares: dict[str, _Share], rounds: int, pairs: int) -> Table:
    rows = []
    for name, share in shares.items():
        print(f"trial: {name}, beside ready tensors", file=sys.stderr, flush=True)
        rows.append((name, *share.row(rounds, pairs)))
    columns = ("side", "ms a step with its views", "on ready tensors", "of the rate on ready tensors")
    note = (
        f"`Learner.step`, in turns after every step; n = {rounds} rounds of {pairs} pairs. The median of the "
        "rounds' medians, and their range."
    )
    return Table(title="Beside itself on views that lie ready", columns=columns, rows=rows, note=note)


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
        ours = figures[f"ours, {precision}"]
        beside_lightly = ours.over(lightly) if lightly else "not measured"
        rows.append((f"ours, {precision}", ours.over(tutorial), beside_lightly))
    columns = ("side", "times the tutorial loop", "times lightly")
    note = (
        "Ratios of medians (range of the rounds' own ratios), each to the better number of loader processes."
    )
    return Table(title="Ratios", columns=columns, rows=rows, note=note)
