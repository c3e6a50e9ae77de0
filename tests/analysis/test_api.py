"""The functions of the API, on tables alone as on directories."""

from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest
import yaml

from analysis.api import (
    VIEWS,
    collapse_map,
    effects,
    findings,
    findings_document,
    load_results,
    report,
    study_from_tables,
    verdict,
    view,
)
from analysis.results import StudyResults
from tests.analysis.tables import write_sweep
from tests.test_architecture import loaded_by


def tables(**columns: Any) -> pd.DataFrame:
    """2x2 cells with three seeds; without batch statistics in the heads all collapses."""
    runs = [(norm, head, seed) for norm in ("batch", "none") for head in ("mlp", "none") for seed in range(3)]
    trials = pd.DataFrame(runs, columns=["f_head_norm", "f_predictor", "seed"])
    trials["trial_id"] = [f"t{index}" for index in range(len(runs))]
    return trials.assign(state="COMPLETE", collapsed=trials["f_head_norm"] == "none", **columns)


@pytest.mark.timeout(60)
def test_tables_in_memory_give_what_their_directory_gives(sweep: Path) -> None:
    [expected] = load_results(sweep).studies
    trials, metrics, spectra = (
        pd.read_parquet(sweep / f"{name}.parquet") for name in ("trials", "metrics", "spectra")
    )
    before = trials.copy()
    study = study_from_tables(
        trials, metrics, spectra, study=yaml.safe_load((sweep / "study.yaml").read_text())
    )
    pd.testing.assert_frame_equal(trials, before)
    assert verdict(study) == verdict(expected)
    pd.testing.assert_frame_equal(effects(study), effects(expected))
    assert findings(study).counts == findings(expected).counts
    assert view(study, "trajectories") == view(expected, "trajectories")


def test_trials_alone_are_enough() -> None:
    study = study_from_tables(tables())
    assert [factor.levels for factor in study.factors] == [("batch", "none"), ("mlp", "none")]
    assert verdict(study).values["rule"] == [["head_norm"]]
    document = findings_document(study)
    assert document["items"][0]["rule"] == [["head_norm"]]
    assert document["studies"][0]["name"] == "tables"
    assert report(study).startswith("<!doctype html>")
    assert view(study, "trajectories") is None


def test_a_wrong_table_is_named_with_column_and_row() -> None:
    with pytest.raises(ValueError, match=r"^trials: knn_accuracy, row 0: must be a share"):
        study_from_tables(tables(knn_accuracy=81.0))
    with pytest.raises(
        ValueError, match=r"^trials: f_predictor, row 3: must be one of mlp .as in study.yaml"
    ):
        study_from_tables(tables(), study={"factors": {"head_norm": ["batch", "none"], "predictor": ["mlp"]}})
    with pytest.raises(ValueError, match=r"^metrics: must have the columns trial_id, step"):
        study_from_tables(tables(), pd.DataFrame({"trial_id": ["t0"]}))


def test_the_map_has_the_rate_of_every_cell(study: StudyResults) -> None:
    figure = collapse_map(study)
    assert figure is not None
    [tiles] = figure.data
    assert [list(row) for row in tiles.z] == [[0.0] * 4] * 3 + [[1.0] * 4]
    assert tiles.text[3][0] == "3/3<br>29–100 %"
    assert list(figure.layout.yaxis.ticktext) == [
        "encoder norm batch, head norm batch",
        "encoder norm batch, no head norm",
        "encoder norm group, head norm batch",
        "encoder norm group, no head norm",
    ]
    [frame] = figure.layout.shapes  # the reference
    assert (frame.x0, frame.y0, frame.x1, frame.y1) == (-0.5, -0.5, 0.5, 0.5)


def test_the_map_lists_cells_that_fill_no_table(tmp_path: Path) -> None:
    [study] = load_results(write_sweep(tmp_path, design="leave-one-out")).studies
    figure = collapse_map(study)
    assert figure is not None
    assert list(figure.layout.yaxis.ticktext)[:3] == ["no head norm", "the reference", "tau 0"]
    assert [list(row) for row in figure.data[0].z] == [[0.0]] * 5  # the projection of the first collapsed


def test_the_map_shows_cells_without_a_result_as_such() -> None:
    trials = tables()
    trials.loc[:2, "state"] = "WAITING"
    trials["collapsed"] = trials["collapsed"].astype("boolean")
    trials.loc[:2, "collapsed"] = None
    figure = collapse_map(study_from_tables(trials))
    assert figure is not None
    assert figure.data[0].z[0][0] is None
    [note] = figure.layout.annotations
    assert (note.x, note.y, note.text) == (0, 0, "no result")


@pytest.mark.timeout(60)
def test_every_view_of_a_design_is_a_figure_with_its_title(study: StudyResults, tmp_path: Path) -> None:
    figures = {name: view(study, name) for name in VIEWS}
    of_searches = {"history", "parameters", "front", "importance"}
    elsewhere = {"agreement", "parallel"}  # nothing published is reproduced, and there are but 16 cells
    assert {name for name, figure in figures.items() if figure is None} == of_searches | elsewhere
    for figure in figures.values():
        if figure is not None:
            assert isinstance(figure, go.Figure)
            assert figure.layout.title.text
    onset = figures["onset"]
    assert onset is not None
    [menu] = onset.layout.updatemenus
    assert [trace.visible for trace in onset.data] == list(menu.buttons[0].args[0]["visible"])
    folder = write_sweep(tmp_path, design="search", study={"factors": []})
    [searched] = load_results([folder]).studies
    assert collapse_map(searched) is None
    with pytest.raises(ValueError, match=r"^name must be one of collapse-map, .*but got 'map'$"):
        view(study, "map")


def test_text_in_the_map_cannot_become_markup() -> None:
    trials = tables().replace({"f_predictor": {"none": "<b>none"}})
    figure = collapse_map(study_from_tables(trials))
    assert figure is not None
    assert "<b>" not in figure.to_json()


@pytest.mark.timeout(60)
def test_the_package_is_imported_without_pandas() -> None:
    heavy = ("pandas", "numpy", "plotly", "scipy", "pyarrow")
    assert loaded_by("import analysis, analysis.states, analysis.winner, analysis.published", *heavy) == []
