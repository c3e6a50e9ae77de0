"""Measures several sides in turns, so that what else the machine does meets them alike.

On a shared machine a figure alone says little. Within one run the sides take turns, and what is quoted is the
ratio of their medians, with the least and the largest ratio within one turn.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Figures:
    """What one side gave in each round: at least one number."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.values)

    def text(self, digits: int = 0, scale: float = 1) -> str:
        """The median and the range, `scale` times each: `1,040 (1,010 to 1,364)`.

        >>> Figures((1010, 1364, 1040)).text()
        '1,040 (1,010 to 1,364)'
        """
        middle, low, high = (
            f"{scale * value:,.{digits}f}" for value in (self.median, min(self.values), max(self.values))
        )
        return f"{middle} ({low} to {high})" if len(self.values) > 1 else middle

    def over(self, other: "Figures", digits: int = 2) -> str:
        """The ratio of the medians, and the range of the rounds' own ratios: `4.30 (3.98 to 4.61)`.

        >>> Figures((4, 6, 5)).over(Figures((2, 2, 1)))
        '2.50 (2.00 to 5.00)'
        """
        ratios = [mine / its for mine, its in zip(self.values, other.values, strict=True)]
        middle, low, high = (
            f"{ratio:.{digits}f}" for ratio in (self.median / other.median, min(ratios), max(ratios))
        )
        return f"{middle} ({low} to {high})" if len(ratios) > 1 else middle


def take_turns(
    sides: Mapping[str, Callable[[], float]],
    rounds: int,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Figures]:
    """Calls every side once a round, in each second round in reverse order.

    Args:
        sides: name -> a call that measures once.
        rounds: how often.
        progress: is told what has just been measured.
    """
    values: dict[str, list[float]] = {name: [] for name in sides}
    for index in range(rounds):
        order = list(sides) if index % 2 == 0 else list(sides)[::-1]
        for name in order:
            values[name].append(sides[name]())
            progress(f"round {index + 1} of {rounds}: {name} {values[name][-1]:.4g}")
    return {name: Figures(tuple(measured)) for name, measured in values.items()}


def seconds(act: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start
