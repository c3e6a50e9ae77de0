"""Early stopping of a collapsed trial, across interruptions."""

from pathlib import Path

from byol.measure.collapse import CollapseRule
from sweeps.engine.collapse_watch import CollapseWatch
from tests.sweeps.record.test_endings import rows


def test_a_resumed_trial_stops_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    """Measurements in a row count across attempts; those after the checkpoint are replaced."""
    measurements = rows(0.8, 0.01, 0.01, 0.01, 0.01)
    rule = CollapseRule(patience=3, stop=True)
    watch = CollapseWatch(rule, tmp_path)
    assert [watch.ends_at(row) for row in measurements] == [False, False, False, True, True]
    watch.close()

    first = CollapseWatch(rule, tmp_path)
    assert not any(first.ends_at(row) for row in measurements[:3])
    resumed = CollapseWatch(rule, tmp_path)
    assert not resumed.ends_at(measurements[2]), "the same measurement does not count twice"
    assert resumed.ends_at(measurements[3])
    resumed.close()
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_unless_the_rule_stops_trials(tmp_path: Path) -> None:
    watch = CollapseWatch(CollapseRule(patience=1), tmp_path / "folder")
    assert not any(watch.ends_at(row) for row in rows(0.01, 0.01))
    watch.close()
    assert not (tmp_path / "folder").exists()
