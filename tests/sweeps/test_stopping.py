"""How trials end, by their rows alone."""

import math

import pytest

from byol.collapse import CollapseRule
from sweeps.ledger import METRICS, Row
from sweeps.stopping import ending

STOPS = CollapseRule(patience=2, stop=True)


def rows(*stds: float, loss: float = 1.0) -> list[Row]:
    base: dict[str, float | None] = dict.fromkeys(METRICS, 0.5)
    return [
        {**base, "step": 5.0 * index, "representation_std": std, "effective_rank": 9.0, "loss": loss}
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
    measured: list[Row], rule: CollapseRule, reason: str | None, collapsed: bool | None, onset: int | None
) -> None:
    end = ending(measured, 10, rule)
    if reason is None:
        assert end is None
    else:
        assert end is not None
        found = (end.state, end.end_reason, end.collapsed, end.onset_step)
        assert found == ("COMPLETE", reason, collapsed, onset)
