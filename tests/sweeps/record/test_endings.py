"""How trials end, by their rows alone."""

import math
from pathlib import Path

import pytest

from byol.measure.collapse import CollapseRule
from sweeps.engine.collapse_watch import CollapseWatch
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
        found = (end.state, end.end_reason, end.collapsed, end.onset_step)
        assert found == ("COMPLETE", reason, collapsed, onset)


def test_a_resumed_trial_stops_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    """Measurements in a row are counted across attempts; those after the checkpoint are replaced."""
    measured = rows(0.8, 0.01, 0.01, 0.01, 0.01)
    rule = CollapseRule(patience=3, stop=True)
    watch = CollapseWatch(rule, tmp_path)
    assert [watch.ends_at(row) for row in measured] == [False, False, False, True, True]
    watch.close()

    first = CollapseWatch(rule, tmp_path)
    assert not any(first.ends_at(row) for row in measured[:3])
    resumed = CollapseWatch(rule, tmp_path)
    assert not resumed.ends_at(measured[2]), "the same measurement does not count twice"
    assert resumed.ends_at(measured[3])
    resumed.close()
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_kept_where_nothing_is_stopped(tmp_path: Path) -> None:
    watch = CollapseWatch(CollapseRule(patience=1), tmp_path / "folder")
    assert not any(watch.ends_at(row) for row in rows(0.01, 0.01))
    watch.close()
    assert not (tmp_path / "folder").exists()
