"""How often the verdict is right: made-up sweeps whose truth is known, judged as the report judges them.

Run it: python -m benchmarks.verdict_simulation [--sweeps N] [--seed S]. Each row is a design, a truth and a
number of seeds. A stray is a collapse inside the true rule; "both ways" means that as many trials outside
survive. "Right" is the share of all sweeps in which exactly the true rule is claimed; "hedged" of all in
which it is, and others are named that fit hardly less well. "Covered" is the share of intervals of the best
rule, claimed or not, that hold the true difference between the cells outside and inside; "covered, claimed"
looks at claims only.
"""

import argparse
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from analysis.verdict.interval import reduction
from analysis.verdict.rules import Component, Family, family
from analysis.verdict.search import LEVEL, Search, search

Floats = npt.NDArray[np.float64]
Truth = tuple[tuple[int, ...], ...]
Code = tuple[int, ...]

A, A_OR_B, A_AND_B, A_OR_BC = ((0,),), ((0,), (1,)), ((0, 1),), ((0,), (1, 2))
NOT_A, A_OR_NOT_B, A_AND_NOT_B = ((~0,),), ((0,), (~1,)), ((0, ~1),)
NOT_A_OR_BC, A_OR_B_AND_NOT_C = ((~0,), (1, 2)), ((0,), (1, ~2))


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A design and what is true of it."""

    name: str
    codes: Sequence[Code]
    inside: float
    """Rate of collapse where the truth holds."""
    outside: float
    holds: Callable[[Code], bool] = field(default=lambda code: True)
    truth: Truth | None = None
    """Factors by alternative, inverted (~) where the change protects; None if nothing matters."""
    by_seed: bool = False
    """Whether the seed decides, for all cells outside (or, without a truth, for all)."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """Shares of the sweeps; NaN where there are none to take a share of."""

    claimed: float
    right: float
    hedged: float
    covered: float
    covered_claimed: float
    width: float
    """Mean width of the intervals, a share."""


def simulate(scenario: Scenario, seeds: int, sweeps: int, rng: np.random.Generator) -> Result:
    """Judges `sweeps` made-up sweeps of a scenario."""
    rules = family(scenario.codes)
    rates_C = rates(scenario)
    rows = [_judge(scenario, rules, outcomes(scenario, seeds, rng), rates_C) for _ in range(sweeps)]
    claimed, right, hedged, covered, width = np.array(rows, dtype=np.float64).T
    known = ~np.isnan(covered)
    return Result(
        claimed=float(claimed.mean()),
        right=float(right.mean()),
        hedged=float(hedged.mean()),
        covered=_mean(covered[known]),
        covered_claimed=_mean(covered[known & (claimed == 1)]),
        width=_mean(width[known]),
    )


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else math.nan


def rates(scenario: Scenario) -> Floats:
    """The true rate of collapse by cell."""
    return np.array(
        [scenario.inside if scenario.holds(code) else scenario.outside for code in scenario.codes]
    )


def outcomes(scenario: Scenario, seeds: int, rng: np.random.Generator) -> Floats:
    """A made-up sweep: 1 where a cell collapsed with a seed. Shape [cells, seeds]"""
    rates_C = rates(scenario)
    draws_CS = rng.random((len(rates_C), seeds))
    if scenario.by_seed:
        decided_C = np.array([scenario.truth is None or not scenario.holds(code) for code in scenario.codes])
        draws_CS[decided_C] = draws_CS[decided_C][:1]
    return (draws_CS < rates_C[:, None]).astype(np.float64)


def _judge(
    scenario: Scenario, rules: Family, collapsed_CS: Floats, rates_C: Floats
) -> tuple[float, float, float, float, float]:
    """Whether a sweep is claimed, right, hedged and covered, and the interval's width."""
    found = search(collapsed_CS, rules)
    if found is None:
        return 0.0, 0.0, 0.0, math.nan, math.nan
    claimed = found.adjusted_p <= LEVEL
    right = claimed and is_true(scenario, found)
    interval = reduction(collapsed_CS, found.inside_C, found.z)
    difference = rates_C[~found.inside_C].mean() - rates_C[found.inside_C].mean()
    covered = interval.low - 1e-9 <= difference <= interval.high + 1e-9
    width = interval.high - interval.low
    return float(claimed), float(right), float(right and bool(found.ties)), float(covered), width


def is_true(scenario: Scenario, found: Search) -> bool:
    """Whether the best rule is the true one, and no other says the same."""
    named = {frozenset(map(_polar, components)) for components in found.rule.alternatives}
    return scenario.truth is not None and named == set(map(frozenset, scenario.truth)) and not found.equals


def _polar(component: Component) -> int:
    return ~component.factor if component.is_remedy else component.factor


def full(factors: int) -> list[Code]:
    """A two-level full factorial."""
    return list(itertools.product(range(2), repeat=factors))


def leave_one_out(factors: int) -> list[Code]:
    """The reference, and each factor changed alone."""
    return [tuple(int(place == index) for index in range(factors)) for place in range(-1, factors)]


def add_one_in(factors: int) -> list[Code]:
    """The reference, the baseline, and the baseline with each factor at its first level."""
    added = [tuple(int(place != index) for index in range(factors)) for place in range(-1, factors)]
    return [(0,) * factors, *added]


def half_fraction() -> list[Code]:
    """2^(5-1) of resolution V, with the reference."""
    return [(*code, sum(code) % 2) for code in full(4)]


def _without_effect() -> Iterator[Scenario]:
    for factors in (3, 4, 5, 6):
        for p in (0.05, 0.2, 0.5):
            yield Scenario(name=f"2^{factors}, nothing, {p:g}", codes=full(factors), inside=p, outside=p)
    for p in (0.05, 0.2, 0.5):
        name = f"2^4, nothing, {p:g} by the seed"
        yield Scenario(name=name, codes=full(4), inside=p, outside=p, by_seed=True)
    for p in (0.05, 0.2, 0.5):
        for name, codes in (
            ("leave-one-out of 6", leave_one_out(6)),
            ("add-one-in of 5", add_one_in(5)),
            ("2^(5-1)", half_fraction()),
        ):
            yield Scenario(name=f"{name}, nothing, {p:g}", codes=codes, inside=p, outside=p)


_TRUTHS: dict[str, tuple[Truth, Callable[[Code], bool]]] = {
    "A": (A, lambda code: code[0] == 0),
    "A or B": (A_OR_B, lambda code: 0 in code[:2]),
    "A and B": (A_AND_B, lambda code: code[:2] == (0, 0)),
    "A, or B and C": (A_OR_BC, lambda code: code[0] == 0 or code[1:3] == (0, 0)),
    "not A": (NOT_A, lambda code: code[0] == 1),
    "A, or not B": (A_OR_NOT_B, lambda code: code[0] == 0 or code[1] == 1),
    "A and not B": (A_AND_NOT_B, lambda code: code[:2] == (0, 1)),
    "not A, or B and C": (NOT_A_OR_BC, lambda code: code[0] == 1 or code[1:3] == (0, 0)),
    "A, or B and not C": (A_OR_B_AND_NOT_C, lambda code: code[0] == 0 or code[1:3] == (0, 1)),
}


def truth_scenario(
    design: str, codes: Sequence[Code], truth: str, stray: float, outside: float = 1.0
) -> Scenario:
    """A scenario in which one of the truths holds.

    Args:
        design: its name.
        codes: its cells.
        truth: its name in _TRUTHS.
        stray: rate of collapse inside.
        outside: rate of collapse outside.
    """
    factors, holds = _TRUTHS[truth]
    name = f"{design}: {truth}, {stray:.0%}".replace("%", " %")
    if outside < 1:
        name += (
            " both ways" if math.isclose(outside, 1 - stray) else f" against {outside:.0%}".replace("%", " %")
        )
    return Scenario(name=name, codes=codes, inside=stray, outside=outside, holds=holds, truth=factors)


def _with_effect() -> Iterator[Scenario]:
    for factors in (3, 4, 5, 6):
        for truth in ("A", "A or B", "A and B"):
            for stray in (0.03, 0.1):
                yield truth_scenario(f"2^{factors}", full(factors), truth, stray)
    for truth in ("A", "A or B", "A and B"):
        yield truth_scenario("2^4", full(4), truth, 0.1, 0.9)
    yield truth_scenario("2^4", full(4), "A, or B and C", 0.03)
    yield truth_scenario("2^4", full(4), "A", 0.1, 0.7)
    for stray, outside in ((0.0, 1.0), (0.03, 1.0), (0.03, 0.97)):
        yield truth_scenario("leave-one-out of 6", leave_one_out(6), "A", stray, outside)
    yield truth_scenario("add-one-in of 5", add_one_in(5), "A", 0.03)
    yield truth_scenario("2^(5-1)", half_fraction(), "A or B", 0.03)
    yield truth_scenario("2^(5-1)", half_fraction(), "A and B", 0.03)


def _with_remedies() -> Iterator[Scenario]:
    for factors in (3, 4, 5, 6):
        for truth in ("not A", "A, or not B", "A and not B", "not A, or B and C"):
            yield truth_scenario(f"2^{factors}", full(factors), truth, 0.03)
    for truth in ("not A", "A, or not B", "not A, or B and C"):
        yield truth_scenario("2^4", full(4), truth, 0.1)
    yield truth_scenario("2^4", full(4), "A, or B and not C", 0.03)
    yield truth_scenario("leave-one-out of 6", leave_one_out(6), "not A", 0.03)
    yield truth_scenario("add-one-in of 5", add_one_in(5), "not A", 0.03)
    yield truth_scenario("2^(5-1)", half_fraction(), "A, or not B", 0.03)


def _levels_and_conditions() -> Iterator[Scenario]:
    three = list(itertools.product(range(3), range(2), range(2)))
    yield Scenario(
        name="3 x 2 x 2: first or second level of A, 3 %",
        codes=three, inside=0.03, outside=1, holds=lambda code: code[0] < 2, truth=A,
    )  # fmt: skip
    conditional = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1), (1, -1, 0), (1, -1, 1)]
    yield Scenario(
        name="B only with A: A and B, 3 %",
        codes=conditional, inside=0.03, outside=1, holds=lambda code: code[:2] == (0, 0), truth=((1,),),
    )  # fmt: skip
    yield Scenario(
        name="B only with A: B's other level collapses, 3 %",
        codes=conditional, inside=0.03, outside=1, holds=lambda code: code[1] != 1, truth=((1,),),
    )  # fmt: skip
    yield Scenario(
        name="2^4: A, 3 %; without A in 70 % of seeds",
        codes=full(4), inside=0.03, outside=0.7, holds=lambda code: code[0] == 0, truth=A, by_seed=True,
    )  # fmt: skip


def scenarios() -> list[Scenario]:
    """All scenarios."""
    return [*_without_effect(), *_with_effect(), *_with_remedies(), *_levels_and_conditions()]


def main(sweeps: int = 40, seed: int = 0, only: str = "", seed_counts: Sequence[int] = (3, 5)) -> None:
    """Prints a table in Markdown, of the rows whose name contains `only`."""
    print(f"{sweeps} sweeps a row, generator seed {seed}; shares in %\n")
    print("| design and truth | seeds | claimed | right | hedged | covered | covered, claimed | mean width |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for index, scenario in enumerate(scenarios()):
        for seeds in seed_counts if only in scenario.name else ():
            found = simulate(scenario, seeds, sweeps, np.random.default_rng([seed, index, seeds]))
            shares = (
                found.claimed,
                found.right,
                found.hedged,
                found.covered,
                found.covered_claimed,
                found.width,
            )
            cells = " | ".join("–" if math.isnan(share) else f"{100 * share:.1f}" for share in shares)
            print(f"| {scenario.name} | {seeds} | {cells} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="How often the verdict is right.")
    parser.add_argument("--sweeps", type=int, default=40, help="made-up sweeps a row (default 40)")
    parser.add_argument("--seed", type=int, default=0, help="of the generator (default 0)")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--seeds", type=int, nargs="+", default=(3, 5), help="seeds of a sweep (default 3 5)")
    arguments = parser.parse_args()
    main(arguments.sweeps, arguments.seed, arguments.only, arguments.seeds)
