"""How a trial ended: a pure rule over its measurements, so that anyone can repeat it from the tables."""

from collections.abc import Sequence

from byol.measure.collapse import CollapseRule, judge, should_stop
from sweeps.record.rows import Ending, EndReason, MetricsRow, TrialState


def ending(rows: Sequence[MetricsRow], steps_planned: int, rule: CollapseRule) -> Ending | None:
    """Returns how the trial with these measurements ended; None if it has not.

    Args:
        rows: all its measurements in order of step.
        steps_planned: its steps if it runs to its end.
        rule: when a trial counts as collapsed, and whether that ends it.
    """
    measured = [vars(row) for row in rows]
    judgement = judge(measured, rule)
    if judgement.diverged:
        reason = EndReason.DIVERGED
    elif rows and rows[-1].step >= steps_planned:
        reason = EndReason.FINISHED
    elif rule.stop and should_stop(measured, rule):
        reason = EndReason.COLLAPSED
    else:
        return None
    return Ending(
        state=TrialState.COMPLETE,
        end_reason=reason,
        collapsed=judgement.collapsed,
        projection_collapsed=judgement.projection_collapsed,
        dimensional_collapse=judgement.dimensional_collapse,
        onset_step=judgement.onset_step,
    )
