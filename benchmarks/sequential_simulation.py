"""How a sequence of seeds errs, and what it saves: made-up sweeps whose truth is known, seed by seed.

Run it: python -m benchmarks.sequential_simulation [--sweeps N] [--seed S] [--only TEXT]. Each sweep is looked
at after each seed from the least to the most, and ends where a rule passes at the look's level. Beside it
stands the same sweep with all seeds, looked at once. "Right" is the share of all sweeps in which exactly the
true rule is claimed.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.results import SeedSequence
from analysis.verdict.rules import Family, family
from analysis.verdict.search import LEVEL, Search, search
from analysis.verdict.sequence import level_at
from benchmarks.verdict_simulation import (
    Floats,
    Scenario,
    full,
    is_true,
    leave_one_out,
    outcomes,
    truth_scenario,
)

LOOKS = SeedSequence(least=3, most=10)


@dataclass(frozen=True, kw_only=True)
class Result:
    """Shares of the sweeps."""

    claimed: float
    right: float
    seeds: float
    """Seeds that a sweep ran on average."""
    settled_at_once: float
    """Ended at the first look."""
    claimed_fixed: float
    """With all seeds and one look."""
    right_fixed: float


def simulate(scenario: Scenario, looks: SeedSequence, sweeps: int, rng: np.random.Generator) -> Result:
    """Judges `sweeps` made-up sweeps, each as a sequence and with all seeds."""
    rules = family(scenario.codes)
    rows = []
    for _ in range(sweeps):
        collapsed_CS = outcomes(scenario, looks.most, rng)
        ended = _sequence(collapsed_CS, rules, looks)
        fixed = search(collapsed_CS, rules)
        rows.append((*ended, *_judged(scenario, fixed)))
    seeds, claimed, right, claimed_fixed, right_fixed = np.array(
        [(seeds, *_judged(scenario, found), *rest) for seeds, found, *rest in rows], dtype=np.float64
    ).T
    return Result(
        claimed=float(claimed.mean()),
        right=float(right.mean()),
        seeds=float(seeds.mean()),
        settled_at_once=float(((seeds == looks.least) & (claimed == 1)).mean()),
        claimed_fixed=float(claimed_fixed.mean()),
        right_fixed=float(right_fixed.mean()),
    )


def _sequence(collapsed_CS: Floats, rules: Family, looks: SeedSequence) -> tuple[int, Search | None]:
    """With how many seeds a sequence ends, and what was found there."""
    found = None
    for seeds in range(looks.least, looks.most + 1):
        so_far_CS = collapsed_CS[:, :seeds]
        found = search(so_far_CS, rules, level=level_at(so_far_CS, looks))
        if found is not None and found.adjusted_p <= LEVEL:
            return seeds, found
    return looks.most, found


def _judged(scenario: Scenario, found: Search | None) -> tuple[bool, bool]:
    """Whether a rule is claimed, and whether it is the true one."""
    if found is None or found.adjusted_p > LEVEL:
        return False, False
    return True, is_true(scenario, found)


def _scenarios() -> Iterator[Scenario]:
    designs = {"2^3": full(3), "2^4": full(4), "leave-one-out of 4": leave_one_out(4)}
    for design, codes in designs.items():
        for p in (0.05, 0.2, 0.5):
            for by_seed in (False, True):
                name = f"{design}, nothing, {p:g}" + (" by the seed" if by_seed else "")
                yield Scenario(name=name, codes=codes, inside=p, outside=p, by_seed=by_seed)
    for design in ("2^3", "2^4"):
        for truth in ("A", "A or B"):
            for stray in (0.03, 0.1):
                yield truth_scenario(design, designs[design], truth, stray)
        yield truth_scenario(design, designs[design], "A", 0.1, 0.9)
        yield truth_scenario(design, designs[design], "A", 0.1, 0.7)
        yield truth_scenario(design, designs[design], "A", 0.2, 0.5)
    for stray in (0.0, 0.03, 0.1):
        yield truth_scenario("leave-one-out of 4", designs["leave-one-out of 4"], "A", stray)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(description="How a sequence of seeds errs, and what it saves.")
    parser.add_argument("--sweeps", type=int, default=40, help="made-up sweeps a row (default 40)")
    parser.add_argument("--seed", type=int, default=0, help="of the generator (default 0)")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--least", type=int, default=LOOKS.least, help="seeds before the first look")
    parser.add_argument("--most", type=int, default=LOOKS.most, help="seeds before the last look")
    options = parser.parse_args(arguments)
    looks = SeedSequence(least=options.least, most=options.most)
    print(
        f"{looks.least} to {looks.most} seeds, {options.sweeps} sweeps a row, generator seed {options.seed}\n"
    )
    print("| design and truth | claimed | right | trials used | at first look | all seeds: claimed | right |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for index, scenario in enumerate(_scenarios()):
        if options.only not in scenario.name:
            continue
        rng = np.random.default_rng([options.seed, index])
        found = simulate(scenario, looks, options.sweeps, rng)
        used = found.seeds / looks.most
        shares = (
            found.claimed,
            found.right,
            used,
            found.settled_at_once,
            found.claimed_fixed,
            found.right_fixed,
        )
        print(f"| {scenario.name} | {' | '.join(f'{100 * share:.1f}' for share in shares)} |", flush=True)


if __name__ == "__main__":
    main()
