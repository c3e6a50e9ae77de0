"""A search's samples: as trials, their values, and which of them wins. Knows neither ray nor optuna."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from sweeps.record.ledger import Ledger
from sweeps.record.rows import SAMPLE
from sweeps.study import Study
from sweeps.study.designs import Trial
from sweeps.study.samples import check_length as check_length
from sweeps.study.samples import corner_samples as corner_samples
from sweeps.study.samples import fresh_trials as fresh_trials
from sweeps.study.samples import sample as sample
from sweeps.study.spaces import Search


def stored_trial(row: Mapping[str, Any]) -> Trial:
    """The trial of a row of the ledger."""
    return Trial(
        trial_id=row["trial_id"],
        cell_id=row["cell_id"],
        seed=row["seed"],
        labels=json.loads(row["labels"]),
        settings=json.loads(row["settings"]),
    )


def is_settled(ledger: Ledger, study: Study) -> bool:
    """Whether all samples were drawn, and their winner planned with all seeds."""
    return ledger.facts().get("settled") == _settled(study)


def settle(ledger: Ledger, study: Study) -> None:
    """Notes that all samples were drawn, and their winner planned with all seeds."""
    ledger.note("settled", _settled(study))
    ledger.note("planned", str(len(ledger.trials())))


def _settled(study: Study) -> str:
    assert study.search
    return json.dumps({"trials": study.search.trials, "seeds": study.seeds})


def is_over(row: Mapping[str, Any]) -> bool:
    """Whether a trial has ended, other than by an interruption."""
    return row["state"] not in ("WAITING", "RUNNING") and row["end_reason"] != "interrupted"


def objective_values(row: Mapping[str, Any], objectives: Iterable[str]) -> list[float] | None:
    """What a trial came to; None if it diverged, failed, was pruned, or an objective is missing or NaN."""
    if row["state"] != "COMPLETE" or row["end_reason"] == "diverged":
        return None
    values = [math.nan if row[name] is None else float(row[name]) for name in objectives]
    return values if all(map(math.isfinite, values)) else None


def winner(rows: Iterable[Mapping[str, Any]], search: Search) -> Mapping[str, Any] | None:
    """The best of a ledger's samples by the first objective, and by the next ones where that is equal.

    With several objectives this is the member of the Pareto front that is best by the first. A collapsed
    sample wins only where all collapsed. None if no sample has values.
    """
    known = [
        (row, values)
        for row in rows
        if row["design"] == SAMPLE and (values := objective_values(row, search.objectives)) is not None
    ]
    eligible = [one for one in known if one[0]["collapsed"] != 1] or known
    signs = [1 if way == "maximize" else -1 for way in search.objectives.values()]

    def rank(one: tuple[Mapping[str, Any], list[float]]) -> list[float]:
        return [sign * value for sign, value in zip(signs, one[1], strict=True)]

    return max(eligible, key=rank)[0] if eligible else None
