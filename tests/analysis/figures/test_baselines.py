"""Chance, raw pixels and the untrained reference, as lines in every figure of accuracy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.controls import Control, baselines
from analysis.figures import accuracy, forest, search, search_front, slopes
from analysis.figures.baselines import in_view
from analysis.figures.theme import Panel
from analysis.load import load_results
from analysis.results import StudyResults
from tests.analysis.tables import Row, with_reference, write_sweep
from tests.analysis.test_search import SECTION, every, write_search

FACTORS: dict[str, list[Any]] = {"encoder_norm": ["batch", "group"], "tau_base": [0.99, 0.9]}
"""Four cells at 74 and 67 %, each seed a point higher."""
IN_REACH = {"representation_std": 0.7}
"""A value that is no accuracy, but near those of the baselines."""
NAMES = ("chance 10.0 %", "raw pixels 70.0 %", "untrained reference 62.0 %")


def written(
    directory: Path, edit: Callable[[list[Row], list[Row]], None] | None = None, **more: Any
) -> StudyResults:
    start = with_reference(knn_accuracy_start=[0.61, 0.62, 0.63])
    arguments = {"factors": FACTORS, "edit": edit or start, **more}
    return load_results([write_sweep(directory, **arguments)]).studies[0]


def near_chance(trials: list[Row], metrics: list[Row]) -> None:
    """Accuracies from 13 to 31 %, spread over 18 points: chance lies within reach."""
    for place, row in enumerate(trials):
        row.update(knn_accuracy=0.13 + 0.18 * place / 11, knn_accuracy_start=0.2, knn_accuracy_pixels=0.25)


def lines(panel: Panel) -> dict[str, list[Any]]:
    """Name of each baseline -> its traces."""
    found: dict[str, list[Any]] = {}
    for trace in panel.figure.data:
        if trace.legendgroup in set(Control):
            found.setdefault(trace.name, []).append(trace)
    return found


def test_the_values_are_the_references(tmp_path: Path) -> None:
    assert [(line.control, round(line.value, 12), line.differs) for line in baselines(written(tmp_path))] == [
        ("chance", 0.1, False), ("knn_accuracy_pixels", 0.7, False), ("knn_accuracy_start", 0.62, False),
    ]  # fmt: skip


def test_the_reach_of_the_marks(tmp_path: Path) -> None:
    study = written(tmp_path)
    assert [line.control for line in in_view(study, [0.66, 0.72])] == [
        "knn_accuracy_pixels",
        "knn_accuracy_start",
    ]
    assert [line.control for line in in_view(study, [0.751, 0.76])] == []
    assert [line.control for line in in_view(study, [0.39, 0.70])] == list(Control)
    assert [line.control for line in in_view(study, [0.42, 0.70])] == list(Control)[1:]


@pytest.mark.parametrize("make", [accuracy.knn_by_cell, accuracy.knn_ecdf])
def test_vertical_lines_where_accuracy_is_horizontal(
    tmp_path: Path, make: Callable[[StudyResults], Panel]
) -> None:
    panel = make(written(tmp_path))
    drawn = lines(panel)
    assert tuple(drawn) == NAMES[1:]
    assert [list(trace.x) for (trace,) in drawn.values()] == [[0.7, 0.7], [0.62, 0.62]]
    assert all(trace.showlegend for (trace,) in drawn.values())
    assert (
        " Lines: raw pixels 70.0 % and untrained reference 62.0 %. Out of view: chance 10.0 %."
        in panel.caption
    )
    layout = panel.figure.layout
    assert layout.meta["narrow"]["height"] >= layout.meta["wide"]["height"] + 2 * 19  # legend above the plot
    extent = layout.xaxis.range
    assert extent is None or extent[0] <= 0.62


def test_a_line_in_every_plot_of_a_factor_and_one_legend(tmp_path: Path) -> None:
    panel = slopes.slopes(written(tmp_path))
    assert panel is not None
    drawn = lines(panel)
    assert tuple(drawn) == NAMES[1:]
    for traces in drawn.values():
        assert [(trace.yaxis, trace.showlegend) for trace in traces] == [("y", True), ("y2", False)]
        assert [list(trace.x) for trace in traces] == [[-0.35, 1.35], [-0.35, 1.35]]
    assert "Out of view: chance 10.0 %." in panel.caption


def test_all_lines_where_accuracies_are_near_chance(tmp_path: Path) -> None:
    panel = accuracy.knn_by_cell(written(tmp_path, near_chance))
    assert panel is not None
    assert tuple(lines(panel)) == ("chance 10.0 %", "raw pixels 25.0 %", "untrained reference 20.0 %")
    assert "Out of view" not in panel.caption


def test_other_data_in_other_cells_are_said(tmp_path: Path) -> None:
    def edit(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            if row["f_tau_base"] == 0.9:
                row["knn_accuracy_pixels"] = 0.73

    panel = accuracy.knn_by_cell(written(tmp_path, edit))
    assert panel is not None
    assert "raw pixels 70.0 %" in lines(panel)
    assert panel.caption.endswith(
        "Of raw pixels the reference's value is given; other cells have other data."
    )


def test_no_lines_in_older_tables_and_where_accuracy_is_not_drawn(tmp_path: Path) -> None:
    older = written(tmp_path / "older", controls=False, edit=lambda trials, metrics: None)
    unmeasured = written(
        tmp_path / "unmeasured", lambda trials, metrics: every(knn_accuracy=None, **IN_REACH)(trials)
    )
    for panel in (accuracy.knn_by_cell(older), accuracy.knn_ecdf(older), slopes.slopes(older),
                  slopes.slopes(unmeasured), forest.forest(written(tmp_path))):  # fmt: skip
        assert panel is not None
        assert not lines(panel)
        assert "Lines:" not in panel.caption
        assert "Out of view" not in panel.caption


def test_a_search_has_chance_and_pixels_and_no_reference(tmp_path: Path) -> None:
    objectives = {"knn_accuracy": "maximize", "wall_seconds": "minimize"}
    study = write_search(tmp_path, section={**SECTION, "objectives": objectives})
    assert [line.control for line in baselines(study)] == ["chance", "knn_accuracy_pixels"]
    for make in (search.history, search.parameters, search_front.front):
        panel = make(study)
        assert panel is not None
        drawn = lines(panel)
        assert tuple(drawn) == ("raw pixels 70.0 %",)
        assert [list(trace.y) for trace in drawn["raw pixels 70.0 %"]] == [[0.7, 0.7]] * len(
            drawn["raw pixels 70.0 %"]
        )
        assert "Lines: raw pixels 70.0 %. Out of view: chance 10.0 %." in panel.caption


def test_another_objective_has_no_lines(tmp_path: Path) -> None:
    section = {**SECTION, "objectives": {"representation_std": "maximize"}}
    panel = search.history(write_search(tmp_path, every(**IN_REACH), section=section))
    assert panel is not None
    assert not lines(panel)
    assert "chance" not in panel.caption


def test_samples_of_different_data_share_no_line(tmp_path: Path) -> None:
    def edit(rows: list[Row]) -> None:
        every(chance=0.1)(rows)
        rows[0]["knn_accuracy_pixels"] = 0.6

    (only,) = baselines(write_search(tmp_path, edit))
    assert only.control is Control.CHANCE
    assert only.value == pytest.approx(0.1)
