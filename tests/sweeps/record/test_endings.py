"""How trials ended, judged by their rows alone."""

import math

import pytest

from byol.measure.collapse import CollapseRule
from sweeps.record.endings import ending
from sweeps.record.rows import MetricsRow
from tests.sweeps.record.test_ledger import measurement

STOPS = CollapseRule(patience=2, stop=True)


def rows(*stds: float, loss: float = 1.0) -> list[MetricsRow]:
    return [
        measurement(5 * index, representation_std=std, effective_rank=9.0, loss=loss)
        for index, std in enumerate(stds)
    ]


@pytest.mark.parametrize(
    ("measured", "rule", "reason", "collapsed", "onset"),
    [
        (rows(0.8, 0.8, 0.8), STOPS, "finished", False, None),
        (rows(0.8, 0.01, 0.01), STOPS, "finished", True, 5),
        (rows(0.8, 0.8, 0.01), CollapseRule(), "finished", True, 10),
        (rows(0.8, 0.01), STOPS, None, None, None),
        (rows(0.01, 0.01), STOPS, "collapsed", True, 0),
        (rows(0.01, 0.01), CollapseRule(patience=2), None, None, None),
        (rows(0.8, 0.8, loss=math.nan), STOPS, "diverged", False, None),
        (rows(math.nan, math.nan, math.nan), STOPS, "diverged", None, None),
        ([], STOPS, None, None, None),
    ],
)
def test_endings(
    measured: list[MetricsRow],
    rule: CollapseRule,
    reason: str | None,
    collapsed: bool | None,
    onset: int | None,
) -> None:
    end = ending(measured, 10, rule)
    if reason is None:
        assert end is None
    else:
        assert end is not None
        assert (end.state, end.end_reason) == ("COMPLETE", reason)
        assert (end.collapsed, end.onset_step) == (collapsed, onset)
