"""The rule of a search's winner, case by case."""

import math
import subprocess
import sys
from typing import Any

import pytest

from analysis.winner import Candidate, eligible, winner


def sample(*values: float | None, **changes: Any) -> Candidate:
    """A sample that finished without collapse."""
    fields = {"state": "COMPLETE", "end_reason": "finished", "collapsed": False, **changes}
    return Candidate(values=values, **fields)


def test_more_or_less_is_better() -> None:
    samples = [sample(0.2), sample(0.9), sample(0.4)]
    assert winner(samples, [True]) == 1
    assert winner(samples, [False]) == 0


def test_the_earliest_of_equals_wins() -> None:
    assert winner([sample(0.1), sample(0.9), sample(0.9)], [True]) == 1
    assert winner([sample(0.9, 5.0), sample(0.9, 5.0)], [True, False]) == 0


def test_the_next_objective_decides_between_equals() -> None:
    assert winner([sample(0.9, 5.0), sample(0.9, 4.0), sample(0.8, 1.0)], [True, False]) == 1


@pytest.mark.parametrize(
    "loser",
    [
        sample(None),
        sample(math.nan),
        sample(math.inf),
        sample(0.9, state="PRUNED", end_reason="pruned"),
        sample(0.9, end_reason="diverged"),
        sample(0.9, state="FAIL", end_reason="error"),
        sample(0.9, state="FAIL", end_reason="interrupted"),
        sample(0.9, state="RUNNING", end_reason=None),
        sample(0.9, state="WAITING", end_reason=None),
    ],
    ids=lambda loser: f"{loser.values[0]}-{loser.state}-{loser.end_reason}",
)
def test_a_sample_without_a_result_cannot_win(loser: Candidate) -> None:
    assert winner([loser, sample(0.1)], [True]) == 1
    assert winner([loser], [True]) is None
    assert not loser.has_result


def test_every_objective_must_be_known() -> None:
    half = sample(0.9, None)
    assert half.ended_normally
    assert winner([half, sample(0.1, 1.0)], [True, True]) == 1


def test_a_collapsed_sample_wins_only_where_all_collapsed() -> None:
    collapsed, stopped = sample(0.9, collapsed=True), sample(0.8, collapsed=True, end_reason="collapsed")
    assert winner([collapsed, sample(0.1)], [True]) == 1
    assert winner([stopped, collapsed], [True]) == 1
    assert eligible([stopped, collapsed]) == [0, 1]
    assert winner([collapsed, sample(None)], [True]) == 0  # the other one has no result


def test_an_unknown_collapse_does_not_count_as_one() -> None:
    assert winner([sample(0.9, collapsed=None), sample(0.1)], [True]) == 0


def test_nobody_wins_among_none() -> None:
    assert winner([], [True]) is None


def test_the_rule_needs_the_standard_library_only() -> None:
    probe = "import sys, analysis.winner; print({'pandas', 'numpy', 'scipy', 'plotly'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
