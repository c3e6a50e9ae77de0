"""Whether class information is kept or lost, which spread does not say.

A collapsed embedding can still tell the classes apart, and one that is spread out can hold something else. A
trial keeps class information if its kNN accuracy, or that of its linear probe, lies above chance by the exact
interval on the test images; what neither can read counts as lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.stats import exact_low

Range = tuple[float, float]
"""Lowest and highest over trials."""


class Fate(StrEnum):
    """What became of the class information in a cell."""

    KEPT = "kept"
    """In every seed."""
    LOST = "lost"
    """In every seed."""
    MIXED = "mixed"
    """Kept in some seeds."""


@dataclass(frozen=True, kw_only=True)
class Information:
    """Class information in some trials."""

    fates: tuple[Fate, ...]
    """Of their cells."""
    trials: int
    """Those with a kNN accuracy, chance and the number of test images."""
    above: int
    """Of these, above chance."""
    unknown: int
    """The others."""
    stopped: int
    """Of those with values, stopped before their planned end, and so measured there."""
    knn: Range
    probe: Range | None
    """None where no trial has a probe."""
    chance: Range
    test_images: Range

    @property
    def fate(self) -> Fate:
        """Of all the trials together."""
        return Fate.KEPT if self.above == self.trials else Fate.MIXED if self.above else Fate.LOST


def information(trials: pd.DataFrame) -> Information | None:
    """What became of the class information in these rows of the table of trials; None if none is known."""
    measured = trials.dropna(subset=["knn_accuracy", "chance", "test_images"])
    if measured.empty:
        return None
    above = _is_above_chance(measured)
    by_cell = pd.Series(above).groupby(measured["cell_id"].to_numpy(), dropna=False, sort=False)
    probes = measured["probe_accuracy"].dropna()
    return Information(
        fates=tuple(_fate(cell.tolist()) for _, cell in by_cell),
        trials=len(measured),
        above=int(above.sum()),
        unknown=len(trials) - len(measured),
        stopped=int((~measured["full_length"]).sum()),
        knn=_range(measured["knn_accuracy"]),
        probe=_range(probes) if len(probes) else None,
        chance=_range(measured["chance"]),
        test_images=_range(measured["test_images"]),
    )


def _fate(above: Sequence[bool]) -> Fate:
    return Fate.KEPT if all(above) else Fate.MIXED if any(above) else Fate.LOST


def _is_above_chance(trials: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether kNN or probe lies above chance. Shape [trials]."""
    chance, n = (trials[name].to_numpy(np.float64) for name in ("chance", "test_images"))
    above = np.zeros(len(trials), dtype=bool)
    for column in ("knn_accuracy", "probe_accuracy"):
        right = np.nan_to_num(np.round(trials[column].to_numpy(np.float64, na_value=np.nan) * n))
        above |= exact_low(right, n) > chance
    return above


def _range(values: pd.Series) -> Range:
    return float(values.min()), float(values.max())
