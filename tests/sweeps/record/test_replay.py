"""Early stopping, replayed over tables made by hand."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from byol.measure.collapse import CollapseRule, Row
from run_sweep import main
from sweeps.record.replay import Changed, replay, stop_step

RULE = CollapseRule(patience=2)


def rows(*stds: float) -> list[Row]:
    base = {"loss": 1.0, "projection_std": 0.5, "effective_rank": 9.0}
    return [{**base, "step": 10.0 * index, "representation_std": std} for index, std in enumerate(stds)]


COLLAPSED = rows(0.9, 0.01, 0.01, 0.01, 0.01)
RECOVERED = rows(0.05, 0.05, 0.05, 0.9, 0.9)
HEALTHY = rows(0.9, 0.05, 0.9, 0.05, 0.9)
LATE = rows(0.9, 0.9, 0.9, 0.05, 0.05)


@pytest.mark.parametrize(
    ("measured", "step"), [(COLLAPSED, 20), (RECOVERED, 10), (HEALTHY, None), (LATE, None)]
)
def test_where_early_stopping_ends_a_trial(measured: list[Row], step: int | None) -> None:
    assert stop_step(measured, RULE) == step


def test_saved_steps_and_changed_verdicts() -> None:
    result = replay({"c": COLLAPSED, "r": RECOVERED, "h": HEALTHY, "l": LATE}, RULE)
    assert (result.trials, result.stopped, result.steps, result.saved) == (4, 2, 160, 20 + 30)
    assert result.changed == (Changed(trial_id="r", stopped=10, steps=40),)


def test_the_command_reads_only_the_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = "name: x\nfactors:\n  lr: [0.1]\ncollapse: {patience: 2}\n"
    (tmp_path / "study.yaml").write_text(study)
    trials = {"c": COLLAPSED, "r": RECOVERED, "i": COLLAPSED[:2]}
    ends = [{"trial_id": name, "end_reason": "interrupted" if name == "i" else "finished"} for name in trials]
    pq.write_table(pa.Table.from_pylist(ends), tmp_path / "trials.parquet")
    measured = [{"trial_id": name, **row} for name, rows in trials.items() for row in reversed(rows)]
    pq.write_table(pa.Table.from_pylist(measured), tmp_path / "metrics.parquet")
    assert main(["replay", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "2 of 3 trials: those that ran to the end" in text
    assert "saved     50 of 80 steps (62.5%)" in text
    assert "changed   1 of 2 verdicts" in text
    assert "r: stopped at step 10 of 40" in text
    assert main(["replay", str(tmp_path), "--patience", "4", "--threshold", "0.02"]) == 0
    assert "saved     0 of 80 steps (0.0%)" in capsys.readouterr().out
    assert main(["replay", str(tmp_path / "none")]) == 2
