"""How a trial ends: a pure rule over its measurements, so that anybody can repeat it from the tables."""

import dataclasses
from collections.abc import Sequence

from byol.measure.collapse import CollapseRule, judge, should_stop
from sweeps.record.rows import Ending, Row


def ending(rows: Sequence[Row], steps_planned: int, rule: CollapseRule) -> Ending | None:
    """How the trial with these measurements ended; None if it is not over.

    Args:
        rows: measurements in order of step.
        steps_planned: steps of a trial that runs to its end.
        rule: when a trial counts as collapsed, and whether that ends it.
    """
    judged = judge(rows, rule)
    verdicts = {key: value for key, value in dataclasses.asdict(judged).items() if key != "diverged"}
    if judged.diverged:
        return Ending(state="COMPLETE", end_reason="diverged", **verdicts)
    if rows and int(rows[-1]["step"] or 0) >= steps_planned:
        return Ending(state="COMPLETE", end_reason="finished", **verdicts)
    if rule.stop and should_stop(rows, rule):
        return Ending(state="COMPLETE", end_reason="collapsed", **verdicts)
    return None
