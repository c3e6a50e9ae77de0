"""What the record says of a search: the value of each sample, the winner, and whether all were drawn."""

import json
import math
from collections.abc import Iterable, Sequence

from sweeps.record.ledger import Ledger
from sweeps.record.rows import SAMPLE, EndReason, Fact, TrialRow, TrialState
from sweeps.study import Study
from sweeps.study.spaces import Search


def is_settled(ledger: Ledger, study: Study) -> bool:
    """Whether all samples were drawn, and their winner planned with all seeds."""
    return ledger.facts().get(Fact.SETTLED) == _settled(study)


def settle(ledger: Ledger, study: Study) -> None:
    """Records that all samples were drawn, and their winner planned with all seeds."""
    ledger.set_fact(Fact.SETTLED, _settled(study))
    ledger.set_fact(Fact.PLANNED, str(len(ledger.trials())))


def _settled(study: Study) -> str:
    assert study.search
    return json.dumps({"trials": study.search.trials, "seeds": study.seeds})


def objective_values(row: TrialRow, objectives: Iterable[str]) -> list[float] | None:
    """What a trial came to; None if it diverged, failed, was pruned, or an objective is missing or NaN."""
    if row.state != TrialState.COMPLETE or row.end_reason == EndReason.DIVERGED:
        return None
    values = [math.nan if (value := row.value(name)) is None else value for name in objectives]
    return values if all(map(math.isfinite, values)) else None


def winner(rows: Sequence[TrialRow], search: Search) -> TrialRow | None:
    """The best of a ledger's samples by the first objective, and by the next ones where that is equal.

    With several objectives this is the member of the Pareto front that is best by the first. A collapsed
    sample wins only where all collapsed. None if no sample has values.
    """
    with_values = [
        (row, values)
        for row in rows
        if row.design == SAMPLE and (values := objective_values(row, search.objectives)) is not None
    ]
    eligible = [sample for sample in with_values if sample[0].collapsed is not True] or with_values
    signs = [1 if way == "maximize" else -1 for way in search.objectives.values()]

    def rank(sample: tuple[TrialRow, list[float]]) -> list[float]:
        return [sign * value for sign, value in zip(signs, sample[1], strict=True)]

    return max(eligible, key=rank)[0] if eligible else None
