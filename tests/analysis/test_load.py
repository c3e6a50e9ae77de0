"""Reading tables: finished sweeps, partial ones, several, older ones, and none."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.cells import cells_of
from analysis.load import level_text, load_results
from analysis.outcomes import count
from analysis.results import StudyResults
from tests.analysis.tables import CONTROLS, Row, unfinished, write_sweep


def test_what_was_written_is_read(study: StudyResults) -> None:
    assert [factor.name for factor in study.factors] == ["encoder_norm", "head_norm", "predictor", "tau_base"]
    assert study.factors[3].levels == ("0.99", "0")
    assert (len(study.trials), len(study.metrics), study.seeds) == (48, 48 * 11, (0, 1, 2))
    counts = count(study.trials)
    assert (counts.planned, counts.judged, counts.collapsed) == (48, 48, 12)
    assert (counts.projection_collapsed, counts.projection_only) == (30, 18)


def test_cells_know_their_trials(study: StudyResults) -> None:
    cells = cells_of(study)
    assert len(cells) == 16
    assert cells[0].is_reference
    assert cells[0].labels == ("batch", "batch", "mlp", "0.99")
    assert all(cell.planned == 3 for cell in cells)
    assert {cell.labels[:2] for cell in cells if cell.collapsed} == {("group", "none")}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.99, "0.99"),
        (0.0, "0"),
        (1e-6, "1e-06"),
        (0.9999995, "0.9999995"),
        (True, "true"),
        (3, "3"),
        ("a", "a"),
    ],
)
def test_levels_as_text(value: object, text: str) -> None:
    assert level_text(value) == text


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({"state": "FAIL", "end_reason": "error", "collapsed": None}, "failed"),
        ({"end_reason": "diverged", "collapsed": True}, "diverged"),
        ({"state": "PRUNED", "end_reason": "pruned", "collapsed": False}, "pruned"),
        ({"state": "PRUNED", "end_reason": "interrupted"}, "interrupted"),
        ({"end_reason": "collapsed", "collapsed": True}, "collapsed"),
        ({"dimensional_collapse": True, "collapsed": False}, "dimensional"),
        ({"collapsed": None}, "unknown"),
        ({"state": "RUNNING", "end_reason": None, "collapsed": True}, "running"),
    ],
)
def test_every_end_is_told_apart(tmp_path: Path, change: dict[str, Any], outcome: str) -> None:
    def edit(trials: list[Row], metrics: list[Row]) -> None:
        trials[0].update(change)

    study = load_results([write_sweep(tmp_path, seeds=(0,), edit=edit)]).studies[0]
    assert study.trials["outcome"][0] == outcome
    assert (study.trials["outcome"] == outcome).sum() >= 1


def test_a_sweep_that_has_just_begun(tmp_path: Path) -> None:
    study = load_results([write_sweep(tmp_path, edit=unfinished(after=0))]).studies[0]
    assert count(study.trials).waiting == 48
    assert study.metrics.empty


def test_tables_that_are_not_there_yet(tmp_path: Path) -> None:
    write_sweep(tmp_path, seeds=(0,))
    for name in ("metrics.parquet", "spectra.parquet", "manifest.json"):
        (tmp_path / name).unlink()
    study = load_results([tmp_path]).studies[0]
    assert (len(study.trials), len(study.metrics), len(study.spectra)) == (16, 0, 0)


def test_the_same_study_in_two_directories_becomes_one(tmp_path: Path) -> None:
    first = write_sweep(tmp_path / "a", seeds=(0, 1), edit=unfinished(after=20))
    second = write_sweep(tmp_path / "b", seeds=(1, 2))
    (study,) = load_results([first, second]).studies
    assert study.seeds == (0, 1, 2)
    assert (len(study.trials), study.duplicates) == (48, 16)
    assert set(study.trials["state"]) == {"COMPLETE"}  # a trial counts where it got furthest
    assert study.metrics.groupby("trial_id").size().eq(11).all()


def test_different_studies_stay_apart(tmp_path: Path) -> None:
    first = write_sweep(tmp_path / "a", seeds=(0,))
    second = write_sweep(tmp_path / "b", seeds=(0,), study={"reference": {"preset": "simsiam"}})
    assert len(load_results([first, second]).studies) == 2


def test_a_directory_without_a_sweep_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"empty: holds no sweep: study\.yaml"):
        load_results([tmp_path / "empty"])


def test_a_broken_table_is_named(tmp_path: Path) -> None:
    write_sweep(tmp_path, seeds=(0,))
    (tmp_path / "trials.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(ValueError, match=r"trials\.parquet: cannot be read"):
        load_results([tmp_path])


def test_controls_are_read_with_their_types(study: StudyResults) -> None:
    types = {name: str(study.trials[name].dtype) for name in CONTROLS}
    assert types == {
        "knn_accuracy_start": "float64",
        "knn_accuracy_pixels": "float64",
        "chance": "float64",
        "test_images": "Int64",
        "precision": "str",
    }
    first = study.trials.iloc[0]
    assert (first["knn_accuracy_pixels"], first["chance"], first["test_images"]) == (0.70, 0.10, 2000)
    assert first["precision"] == "fp32"
    at_step_0 = study.metrics[study.metrics["step"] == 0].set_index("trial_id")["knn_accuracy"]
    assert first["knn_accuracy_start"] == at_step_0[first["trial_id"]]


def test_older_tables_without_controls_load_with_nulls(tmp_path: Path) -> None:
    write_sweep(tmp_path, seeds=(0,), controls=False)
    assert not set(CONTROLS) & set(pd.read_parquet(tmp_path / "trials.parquet").columns)
    trials = load_results([tmp_path]).studies[0].trials
    assert trials[list(CONTROLS)].isna().all(axis=None)
    assert trials["knn_accuracy"].notna().all()


def test_a_sweep_with_controls_and_an_older_one_become_one(tmp_path: Path) -> None:
    first = write_sweep(tmp_path / "a", seeds=(0,), controls=False)
    second = write_sweep(tmp_path / "b", seeds=(1,))
    (study,) = load_results([first, second]).studies
    assert study.trials["test_images"].notna().tolist() == [False] * 16 + [True] * 16
    assert str(study.trials["test_images"].dtype) == "Int64"


def test_none_given() -> None:
    with pytest.raises(ValueError, match="at least one sweep directory"):
        load_results([])
