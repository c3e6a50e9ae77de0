"""How often intervals and tests of effects are right, in simulated sweeps and by exact enumeration.

Nothing trains. Run it: python -m benchmarks.effects_simulation [SWEEPS]; 1,000 sweeps a row take minutes.
"""

import itertools
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy import special

from analysis.effects import as_family, interactions, main_effects
from analysis.paired import paired_rates
from analysis.stats import Floats, Interval, wilson

CODES = tuple(itertools.product(range(2), repeat=4))
LEVELS = (2, 2, 2, 2)
SEED = 20261124

Truth: TypeAlias = Callable[[np.random.Generator, int], Floats]
"""Random generator, number of seeds -> values by cell of CODES and seed, from 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Claims:
    """In which share of sweeps something is claimed of the effects of a family."""

    alone: float
    """The 95 % interval of one effect alone leaves out 0, for any of them."""
    at_once: float
    """A simultaneous interval does."""
    p: float
    """An adjusted p is below .05."""
    shown: float
    """Any counts as shown, which sentences about interactions rest on."""


def claims(truth: Truth, n_seeds: int, sweeps: int, *, crossed: bool = False, seed: int = SEED) -> Claims:
    """Simulates sweeps of a 2^4 factorial and counts the claims about its main effects or interactions."""
    rng, make = np.random.default_rng(seed), interactions if crossed else main_effects
    counts = np.zeros(4)
    for _ in range(sweeps):
        family = as_family(make(truth(rng, n_seeds), CODES, LEVELS))
        counts += [
            any(_excludes(effect.mean.interval, 0) for effect in family if effect.mean),
            any(_excludes(effect.simultaneous, 0) for effect in family),
            any(effect.adjusted_p is not None and effect.adjusted_p < 0.05 for effect in family),
            any(effect.is_shown for effect in family),
        ]
    alone, at_once, p, shown = (counts / sweeps).tolist()
    return Claims(alone=alone, at_once=at_once, p=p, shown=shown)


def coverage_of_all(truth: Truth, expected: Floats, n_seeds: int, sweeps: int) -> float:
    """In which share of sweeps all simultaneous intervals of the main effects that are printed hold.

    Args:
        truth: makes the values.
        expected: the true main effects. Shape [factors].
        n_seeds, sweeps: how many.
    """
    rng = np.random.default_rng(SEED)
    held = 0
    for _ in range(sweeps):
        family = as_family(main_effects(truth(rng, n_seeds), CODES, LEVELS))
        held += not any(_excludes(e.simultaneous, value) for e, value in zip(family, expected, strict=True))
    return held / sweeps


def _excludes(interval: Interval | None, value: float) -> bool:
    return interval is not None and not interval.low <= value <= interval.high


def accuracies(draw: str = "normal", *, by_level: float = 0.0, effect: float = 0.0) -> Truth:
    """kNN accuracies of sd .01, seeds of sd .02.

    Args:
        draw: "normal", "heavy" (t with 3 degrees of freedom) or "skewed" (lognormal).
        by_level: sd of what each seed adds to all cells at a level of the first factor: an effect in every
            seed, of no direction over seeds.
        effect: of the first factor.
    """

    def make(rng: np.random.Generator, n_seeds: int) -> Floats:
        noise = {
            "normal": lambda: rng.standard_normal((16, n_seeds)),
            "heavy": lambda: rng.standard_t(3, (16, n_seeds)) / math.sqrt(3),
            "skewed": lambda: (rng.lognormal(0, 1, (16, n_seeds)) - math.exp(0.5)) / 2.16,
        }[draw]()
        first = np.array(CODES)[:, 0]
        levels = by_level * rng.standard_normal((2, n_seeds))[first]
        values = 0.5 + 0.01 * noise + 0.02 * rng.standard_normal(n_seeds) + levels + effect * first[:, None]
        return np.asarray(values)

    return make


def collapses(rates_C: Floats, *, by_seed: bool = False) -> Truth:
    """Collapse with a rate by cell; decided for all cells of a seed at once if `by_seed`, but for 10 %."""

    def make(rng: np.random.Generator, n_seeds: int) -> Floats:
        draws = rng.random((16, n_seeds))
        if by_seed:
            draws = np.where(rng.random((16, n_seeds)) < 0.9, rng.random(n_seeds), draws)
        return np.asarray(draws < rates_C[:, None], dtype=np.float64)

    return make


def additive(base: float, first: float, second: float) -> Floats:
    """Rates by cell in which two factors add up."""
    codes = np.array(CODES)
    return np.asarray(base + first * codes[:, 0] + second * codes[:, 1])


def least_coverage(interval: Callable[[int, int, int], Interval], n: int, steps: int = 60) -> float:
    """The least coverage of an interval for the difference of two paired rates, over all pairs of rates.

    By enumerating all outcomes of n pairs at each point of a grid of rates: nothing is simulated.

    Args:
        interval: of (only first, only second, neither or both) pairs.
        n: pairs.
        steps: of the grid, which is finer at its ends.
    """
    outcomes = np.array([(b, c) for b in range(n + 1) for c in range(n + 1 - b)])
    intervals = [interval(b, c, n - b - c) for b, c in outcomes.tolist()]
    low, high = (np.array([getattr(i, end) for i in intervals]) for end in ("low", "high"))
    grid = np.unique([*np.linspace(0, 1, steps + 1), 0.001, 0.005, 0.01, 0.99, 0.995, 0.999])
    p, q = (side.ravel() for side in np.meshgrid(grid, grid))
    p, q = p[p + q <= 1], q[p + q <= 1]
    counts = np.column_stack([outcomes, n - outcomes.sum(axis=1)])
    log = special.gammaln(n + 1) - special.gammaln(counts + 1).sum(axis=1)
    for count, share in zip(counts.T, (p, q, np.maximum(0, 1 - p - q)), strict=True):
        log = log + special.xlogy(count, share[:, None])
    covered = (low - 1e-9 <= (q - p)[:, None]) & ((q - p)[:, None] <= high + 1e-9)
    return float((np.exp(log) * covered).sum(axis=1).min())


def paired(only_first: int, only_second: int, others: int) -> Interval:
    """The interval of the reports."""
    a = [1] * only_first + [0] * only_second + [0] * others
    b = [0] * only_first + [1] * only_second + [0] * others
    rates = paired_rates(a, b)
    assert rates is not None
    return rates.interval


def independent(only_first: int, only_second: int, others: int) -> Interval:
    """Newcombe's interval for independent rates (1998, method 10), which does not know of the pairs.

    The other pairs are taken to be pairs of zeros.
    """
    n = only_first + only_second + others
    first, second = wilson(only_first, n), wilson(only_second, n)
    assert first.interval is not None
    assert second.interval is not None
    p, q = first.estimate, second.estimate
    below = math.hypot(q - second.interval.low, first.interval.high - p)
    above = math.hypot(second.interval.high - q, p - first.interval.low)
    return Interval(low=q - p - below, high=q - p + above)


def main(sweeps: int = 1_000) -> None:
    """Prints all figures."""
    before = time.perf_counter()
    for n in (3, 5, 10, 20):
        print(
            f"{n:>2} pairs: least coverage {least_coverage(paired, n):.3f}, as if independent "
            f"{least_coverage(independent, n):.3f}"
        )
    nothing = {
        "kNN, normal": accuracies(),
        "kNN, heavy tails": accuracies("heavy"),
        "kNN, skewed": accuracies("skewed"),
        "kNN, first factor at random by seed": accuracies(by_level=0.01),
        **{f"collapse {p}": collapses(np.full(16, p)) for p in (0.05, 0.2, 0.5)},
        **{f"collapse {p}, by seed": collapses(np.full(16, p), by_seed=True) for p in (0.05, 0.2, 0.5)},
    }
    print(f"claims without any effect, main effects of 2^4, {sweeps} sweeps")
    for (name, truth), n_seeds in itertools.product(nothing.items(), (3, 5)):
        print(f"  {name}, {n_seeds} seeds: {claims(truth, n_seeds, sweeps)}")
    print("interactions claimed without any, and where two main effects add up")
    for n_seeds in (3, 5):
        print(f"  kNN, {n_seeds} seeds: {claims(accuracies(), n_seeds, sweeps, crossed=True)}")
    for rates, n_seeds in itertools.product(((0.1, 0.4, 0.4), (0.05, 0.6, 0.05)), (3, 5)):
        truth = collapses(additive(*rates))
        print(f"  {rates}, {n_seeds} seeds: {claims(truth, n_seeds, sweeps, crossed=True)}")
    print("found: kNN effect of 1 sd; collapse 70 % against 10 %")
    for n_seeds in (3, 5):
        print(f"  kNN, {n_seeds} seeds: {claims(accuracies(effect=0.01), n_seeds, sweeps)}")
        print(f"  collapse, {n_seeds} seeds: {claims(collapses(additive(0.1, 0.6, 0)), n_seeds, sweeps)}")
    print("all simultaneous intervals hold")
    for (base, first), n_seeds in itertools.product(((0.1, 0.6), (0.03, 0.94), (0.2, 0.2)), (3, 5)):
        truth, expected = collapses(additive(base, first, 0)), np.array([first, 0, 0, 0])
        print(
            f"  {base} and {first}, {n_seeds} seeds: {coverage_of_all(truth, expected, n_seeds, sweeps):.3f}"
        )
    print(f"{time.perf_counter() - before:.0f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
