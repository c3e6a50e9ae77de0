"""Which of a search's samples wins. Needs the standard library only.

The engine, which runs the winner with fresh seeds, and the report, which names it, both use this rule.

A sample has a result if it ran to its end and all its objectives are known and finite. Samples that failed,
diverged, were pruned or were interrupted have none, whatever their last values. Among the samples with a
result, those whose representation did not collapse are eligible; if all of them collapsed, all are. The best
eligible sample by the first objective wins, by the next objectives where that is equal, and the earliest of
equals.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.states import EndReason, TrialState

_WITHOUT_RESULT = (EndReason.DIVERGED, EndReason.ERROR, EndReason.INTERRUPTED, EndReason.PRUNED)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What the rule needs to know of a sample."""

    state: str
    """As in the tables, see analysis/states.py."""
    end_reason: str | None
    collapsed: bool | None
    """Whether the representation collapsed; None if unknown, which does not count as collapsed."""
    values: Sequence[float | None]
    """Of the objectives; None or NaN where unknown."""

    @property
    def ended_normally(self) -> bool:
        """Whether it ran to its end, so that its values are results."""
        return self.state == TrialState.COMPLETE and self.end_reason not in _WITHOUT_RESULT

    @property
    def has_result(self) -> bool:
        """Whether it ran to its end with all objectives known and finite."""
        return self.ended_normally and all(
            value is not None and math.isfinite(value) for value in self.values
        )


def eligible(candidates: Sequence[Candidate]) -> list[int]:
    """Indices of the candidates that can win, in order; empty if none has a result.

    >>> early = Candidate(state="COMPLETE", end_reason="finished", collapsed=True, values=[0.9])
    >>> late = Candidate(state="COMPLETE", end_reason="finished", collapsed=False, values=[0.4])
    >>> eligible([early, late]), eligible([early])
    ([1], [0])
    """
    with_result = [index for index, candidate in enumerate(candidates) if candidate.has_result]
    return [index for index in with_result if not candidates[index].collapsed] or with_result


def winner(candidates: Sequence[Candidate], maximize: Sequence[bool]) -> int | None:
    """Index of the best eligible candidate; None if none has a result.

    With several objectives this is the member of the Pareto front that is best by the first.

    Args:
        candidates: the samples, in the order in which they were drawn.
        maximize: for each objective whether more is better.

    >>> values = [(0.7, 9.0), (0.8, 9.0), (0.8, 5.0)]  # accuracy and seconds
    >>> samples = [
    ...     Candidate(state="COMPLETE", end_reason="finished", collapsed=False, values=row) for row in values
    ... ]
    >>> winner(samples, maximize=[True, False])
    2
    """

    def rank(index: int) -> list[float]:
        values = candidates[index].values
        return [
            float(value) if more else -float(value)
            for value, more in zip(values, maximize, strict=True)
            if value is not None
        ]

    return max(eligible(candidates), key=rank, default=None)
