"""Time of one step against batch size, image size, width of the heads, and number of views.

A step costs a fixed part and a part for each image, pixel, square of the width, or view. What a unit costs,
against the first row, shows where it bends: below 1 the fixed part is spread over more, above 1 something no
longer fits, a cache most likely.
"""

import math
import sys
import time
from itertools import pairwise
from typing import Any

import torch

from benchmarks.ours import configuration, images, learner_of, views_of
from benchmarks.report import Report, Table
from benchmarks.side_by_side import take_turns
from byol.data import ImageData

THREADS = 2
BASE: dict[str, Any] = {"batch_size": 128, "image_size": 32, "projector_width": 512, "view_count": 2}
AXES: dict[str, tuple[str, tuple[int, ...], int]] = {
    "batch size": ("batch_size", (16, 32, 64, 128, 256, 512, 1024), 1),
    "image size": ("image_size", (12, 16, 24, 32, 48, 64, 96), 2),
    "width of the heads": ("projector_width", (128, 256, 512, 1024, 2048, 4096), 1),
    "views": ("view_count", (2, 3, 4, 6, 8), 1),
}
"""Axis -> setting, its values, and the power of it that the work grows with."""


def measure(
    *, long: bool = False, rounds: int = 0, axes: dict[str, tuple[str, tuple[int, ...], int]] = AXES
) -> Report:
    """Milliseconds of views and step, for each value of each axis.

    Args:
        long: more rounds.
        rounds: how often; 0 is 2, or 9 if long.
        axes: what varies, as AXES.
    """
    rounds, steps = rounds or (9 if long else 2), 3
    torch.set_num_threads(THREADS)
    data = images()
    tables = []
    for axis, (setting, values, power) in axes.items():
        print(f"growth: {axis}", file=sys.stderr, flush=True)
        tables.append(_along(data, axis, setting, values, power, rounds=rounds, steps=steps))
    setup = (
        f"Tiny encoder, {THREADS} threads, default precision; what is fixed: batch {BASE['batch_size']}, "
        f"{BASE['image_size']} px, heads {BASE['projector_width']} wide, {BASE['view_count']} views. "
        f"n = {rounds} rounds in turns of {steps} steps; median (least to largest)."
    )
    return Report(title="Growth of a step", setup=setup, tables=tables)


def _along(
    data: ImageData, axis: str, setting: str, values: tuple[int, ...], power: int, *, rounds: int, steps: int
) -> Table:
    """The table of one axis."""
    blocks = {str(value): _Block(data, {**BASE, setting: value}, steps) for value in values}
    figures = take_turns({name: block.run for name, block in blocks.items()}, rounds)
    middle = [figures[str(value)].median for value in values]
    units = [seconds / value**power for seconds, value in zip(middle, values, strict=True)]
    exponents = [""] + [
        f"{math.log(now / before) / math.log(to_value / from_value):.2f}"
        for (before, now), (from_value, to_value) in zip(pairwise(middle), pairwise(values), strict=True)
    ]
    rows = [
        (
            f"{value:,}",
            figures[str(value)].text(1, 1e3),
            f"{blocks[str(value)].share_of_views:.0%}",
            f"{unit / units[0]:.2f}",
            exponent,
        )
        for value, unit, exponent in zip(values, units, exponents, strict=True)
    ]
    unit_name = f"{axis}{'' if power == 1 else f'^{power}'}"
    columns = (
        axis,
        "ms a step",
        "of it views",
        f"per {unit_name}, first row 1",
        "exponent from the row above",
    )
    return Table(title=axis.capitalize(), columns=columns, rows=rows)


class _Block:
    """A learner, and a call that times some steps of it."""

    def __init__(self, data: ImageData, settings: dict[str, Any], steps: int) -> None:
        config = configuration(**settings, predictor_width=settings["projector_width"])
        self._learner, self._views = learner_of(config, data), views_of(config, data)
        self._steps, self._making, self._whole = steps, 0.0, 0.0
        self.run()  # the first steps also import and allocate
        self._making = self._whole = 0.0

    def run(self) -> float:
        """Seconds a step, views included."""
        spent = 0.0
        for _ in range(self._steps):
            start = time.perf_counter()
            views = next(self._views)
            made = time.perf_counter()
            self._learner.step(*views)
            self._making += made - start
            spent += time.perf_counter() - start
        self._whole += spent
        return spent / self._steps

    @property
    def share_of_views(self) -> float:
        """Share of the time that making views took."""
        return self._making / self._whole
