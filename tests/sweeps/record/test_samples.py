"""The choice of a search's winner, and its trials with fresh seeds."""

import dataclasses
import math
from typing import Any

import pytest

from sweeps.record.rows import EndReason, TrialRow, TrialState
from sweeps.record.samples import winner
from sweeps.study import study_from_text
from sweeps.study.samples import fresh_trials, sample
from tests.sweeps.conftest import SEARCH, TWO_OBJECTIVES


def rows(*samples: dict[str, Any]) -> list[TrialRow]:
    base: dict[str, Any] = {
        **dict.fromkeys(field.name for field in dataclasses.fields(TrialRow)),
        "design": "search",
        "state": TrialState.COMPLETE,
        "end_reason": EndReason.FINISHED,
        "collapsed": False,
        "wall_seconds": 1.0,
    }
    return [TrialRow(**{**base, "number": number, **sample}) for number, sample in enumerate(samples)]


@pytest.mark.parametrize(
    ("text", "samples", "best"),
    [
        (SEARCH, [{"knn_accuracy": 0.5}, {"knn_accuracy": 0.7}, {"knn_accuracy": 0.6}], 1),
        (SEARCH, [{"knn_accuracy": 0.5}, {"knn_accuracy": 0.7, "collapsed": True}], 0),
        (SEARCH, [{"knn_accuracy": 0.1, "collapsed": True}, {"knn_accuracy": 0.2, "collapsed": True}], 1),
        (SEARCH, [{"knn_accuracy": 0.5}, {"knn_accuracy": 0.7, "state": "PRUNED"}], 0),
        (SEARCH, [{"knn_accuracy": 0.5}, {"knn_accuracy": 0.7, "end_reason": "diverged"}], 0),
        (SEARCH, [{"knn_accuracy": 0.5}, {"knn_accuracy": math.nan}, {"knn_accuracy": None}], 0),
        (SEARCH, [{"knn_accuracy": 0.5}, {"knn_accuracy": 0.7, "design": "winner"}], 0),
        (TWO_OBJECTIVES,
         [{"knn_accuracy": 0.7, "wall_seconds": 3.0}, {"knn_accuracy": 0.7, "wall_seconds": 2.0}], 1),
        (TWO_OBJECTIVES,
         [{"knn_accuracy": 0.6, "wall_seconds": 1.0}, {"knn_accuracy": 0.7, "wall_seconds": 9.0}], 1),
        (SEARCH.replace("  space:", "  objectives: {wall_seconds: minimize}\n  space:"),
         [{"wall_seconds": 3.0}, {"wall_seconds": 2.0}], 1),
    ],
)  # fmt: skip
def test_the_winner(text: str, samples: list[dict[str, Any]], best: int) -> None:
    search = study_from_text(text, "f").search
    assert search is not None
    winner_row = winner(rows(*samples), search)
    assert winner_row is not None
    assert winner_row.number == best


def test_without_a_value_no_sample_wins() -> None:
    search = study_from_text(SEARCH, "f").search
    assert search is not None
    assert winner(rows({"knn_accuracy": None}, {"knn_accuracy": 0.7, "state": "FAIL"}), search) is None


def test_the_winner_runs_with_other_seeds_and_the_rest_unchanged() -> None:
    study = study_from_text(SEARCH, "f")
    assert study.search is not None
    best = sample(study.reference, study.search, {"lr": 0.5})
    fresh = fresh_trials(best, (3, 4))
    assert [trial.seed for trial in fresh] == [3, 4]
    for trial in fresh:
        assert trial.cell_id == best.cell_id
        assert trial.labels == {"lr": 0.5}
        assert {key for key in trial.settings if trial.settings[key] != best.settings[key]} == {"seed"}
