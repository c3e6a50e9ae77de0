"""How often the verdict is right, on few made-up sweeps; benchmarks/verdict_simulation.py has many."""

import numpy as np
import pytest

from benchmarks.verdict_simulation import Scenario, scenarios, simulate

SWEEPS = 40
NAMED = {scenario.name: scenario for scenario in scenarios()}


def named(*names: str) -> list[Scenario]:
    return [NAMED[name] for name in names]


NOTHING = named(
    "2^3, nothing, 0.5", "2^4, nothing, 0.2", "2^4, nothing, 0.5 by the seed", "2^(5-1), nothing, 0.2"
)


@pytest.mark.parametrize("seeds", [3, 5])
def test_without_an_effect_hardly_anything_is_claimed(seeds: int) -> None:
    """160 sweeps: at a true rate of 5 %, more than 16 claims have a probability of 1 %."""
    claimed = [simulate(scenario, seeds, SWEEPS, np.random.default_rng(1)).claimed for scenario in NOTHING]
    assert sum(claimed) * SWEEPS <= 16


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("2^4: A, 10 %", 0.95),
        ("2^4: A or B, 3 %", 0.95),
        ("2^4: A and B, 10 %", 0.95),
        ("2^(5-1): A or B, 3 %", 0.95),
        ("leave-one-out of 6: A, 3 %", 0.75),  # 90 % of many sweeps
        ("3 x 2 x 2: first or second level of A, 3 %", 0.95),
        ("B only with A: B's other level collapses, 3 %", 0.9),
        ("2^4: not A, 3 %", 0.95),
        ("2^4: A, or not B, 3 %", 0.95),
        ("2^4: not A, or B and C, 3 %", 0.95),
        ("add-one-in of 5: not A, 3 %", 0.95),
    ],
)
def test_what_is_true_is_named_and_its_interval_covers(name: str, least: float) -> None:
    result = simulate(NAMED[name], 3, SWEEPS, np.random.default_rng(2))
    assert result.right >= least
    assert result.covered >= 0.9
