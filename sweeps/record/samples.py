"""What the ledger says about a search: its samples' values, its winner, and whether all samples are drawn."""

import json
from collections.abc import Sequence

from analysis.winner import Candidate
from analysis.winner import winner as pick_winner
from sweeps.record.ledger import Ledger
from sweeps.record.rows import SAMPLE, Fact, TrialRow
from sweeps.study import Study
from sweeps.study.spaces import Search


def is_settled(ledger: Ledger, study: Study) -> bool:
    """Returns whether all samples are drawn, and their winner is planned with all seeds."""
    return ledger.facts().get(Fact.SETTLED) == _settled(study)


def settle(ledger: Ledger, study: Study) -> None:
    """Records that all samples are drawn, and their winner is planned with all seeds."""
    ledger.set_fact(Fact.SETTLED, _settled(study))
    ledger.set_fact(Fact.PLANNED, str(len(ledger.trials())))


def _settled(study: Study) -> str:
    assert study.search
    return json.dumps({"trials": study.search.trials, "seeds": study.seeds})


def objective_values(row: TrialRow, search: Search) -> list[float] | None:
    """Returns a sample's values of the objectives; None if it has no result."""
    candidate = _candidate(row, search)
    return [value for value in candidate.values if value is not None] if candidate.has_result else None


def winner(rows: Sequence[TrialRow], search: Search) -> TrialRow | None:
    """Returns the sample that wins by the rule of `analysis.winner`; None if no sample has a result."""
    samples = [row for row in rows if row.design == SAMPLE]
    best = pick_winner(
        [_candidate(row, search) for row in samples],
        [direction == "maximize" for direction in search.objectives.values()],
    )
    return None if best is None else samples[best]


def _candidate(row: TrialRow, search: Search) -> Candidate:
    return Candidate(
        state=row.state,
        end_reason=row.end_reason,
        collapsed=row.collapsed,
        values=[row.value(name) for name in search.objectives],
    )
