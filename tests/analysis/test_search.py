"""A search's report: the winner, its score on fresh seeds, and nothing that samples cannot carry."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.figures.search import history, parameters
from analysis.figures.search_front import front
from analysis.findings import findings
from analysis.load import load_results
from analysis.page.report import render
from analysis.results import Results, StudyResults
from analysis.search import Objective, pareto_front, search_result
from analysis.stats import mean_interval
from tests.analysis.tables import Row, write_sweep

LR = [0.1, 0.01, 1.0, 10.0]
ACCURACIES = [0.70, 0.76, 0.78, 0.60]
FRESH = {1: 0.74, 2: 0.72, 3: 0.76}
SECTION = {
    "sampler": "tpe",
    "trials": 4,
    "trial_seed": 0,
    "objectives": {"knn_accuracy": "maximize"},
    "space": {
        "lr": {"low": 0.01, "high": 10.0, "log": True},
        "predictor": {"choices": ["mlp", "none"]},
        "tau_base": {"low": 0.9, "high": 1.0, "log": False, "when": {"predictor": ["mlp"]}},
    },
    "scheduler": "none",
}


def write_search(
    folder: Path,
    edit: Callable[[list[Row]], None] = lambda rows: None,
    *,
    section: Mapping[str, Any] = SECTION,
    winner: int = 2,
) -> StudyResults:
    """Four samples with seed 0, and the `winner` again with seeds 1 to 3."""

    def arrange(trials: list[Row], metrics: list[Row]) -> None:
        rows = [row for row in trials if row["seed"] == 0 or row["f_lr"] == LR[winner]]
        for row in rows:
            sample = LR.index(row["f_lr"])
            row.update(design="winner" if row["seed"] else "search", cell_id=f"cell{sample}")
            row.update(knn_accuracy=FRESH.get(row["seed"], ACCURACIES[sample]), wall_seconds=5.0 + sample)
            row["f_predictor"] = "none" if sample == 0 else "mlp"
            row["f_tau_base"] = None if sample == 0 else 0.9 + 0.01 * sample
        edit(rows)
        trials[:] = rows
        trial_ids = {row["trial_id"] for row in rows}
        metrics[:] = [row for row in metrics if row["trial_id"] in trial_ids]

    write_sweep(
        folder, factors={"lr": LR}, seeds=(0, 1, 2, 3), edit=arrange,
        study={"search": dict(section), "factors": [], "design": None, "seeds": [1, 2, 3]},
    )  # fmt: skip
    return load_results([folder]).studies[0]


def every(**change: Any) -> Callable[[list[Row]], None]:
    """An edit of all rows."""

    def edit(rows: list[Row]) -> None:
        for row in rows:
            row.update(change)

    return edit


def sentence(study: StudyResults, kind: str) -> str:
    return next(item.text for item in findings(Results(studies=(study,))).items if item.kind == kind)


def test_the_score_is_the_mean_over_fresh_seeds(tmp_path: Path) -> None:
    study = write_search(tmp_path)
    result = search_result(study)
    assert result.winner == 2
    assert result.scores == (mean_interval(list(FRESH.values())),)
    text = sentence(study, "verdict")
    assert text.startswith(
        "The best configuration of 4 samples by kNN accuracy is lr = 1, predictor = mlp, tau_base = 0.92."
    )
    assert "Its score on fresh seeds: kNN accuracy 74.0 % (95 % interval 69.0 to 79.0 %, 3 seeds)." in text
    assert text.endswith("The 78.0 % with which it won is the best of many, and so optimistic.")


def test_what_does_not_apply_is_left_out_of_the_settings(tmp_path: Path) -> None:
    def edit(rows: list[Row]) -> None:
        rows[0].update(knn_accuracy=0.9)

    assert "is lr = 0.1, predictor = none. It has no score" in sentence(
        write_search(tmp_path, edit), "verdict"
    )


def test_ranges_are_drawn_however_few_their_values(tmp_path: Path) -> None:
    factors = {factor.name: factor.levels for factor in write_search(tmp_path).factors}
    assert factors == {"lr": (), "predictor": ("mlp", "none"), "tau_base": ()}


def test_only_the_winner_of_now_has_a_score(tmp_path: Path) -> None:
    study = write_search(tmp_path, winner=1)  # it ran when it was the best
    assert search_result(study).winner == 2
    assert search_result(study).fresh.empty
    assert "It has no score: it has yet to run on fresh seeds." in sentence(study, "verdict")


@pytest.mark.parametrize(
    "change",
    [
        {"collapsed": True},
        {"state": "PRUNED", "end_reason": "pruned", "collapsed": None},
        {"end_reason": "diverged"},
        {"state": "FAIL", "end_reason": "error"},
        {"knn_accuracy": None},
    ],
)
def test_what_cannot_win(tmp_path: Path, change: Row) -> None:
    study = write_search(
        tmp_path, lambda rows: next(row for row in rows if row["f_lr"] == 1.0).update(change)
    )
    assert search_result(study).winner == 1


def test_where_all_collapsed_the_best_of_them_wins(tmp_path: Path) -> None:
    study = write_search(tmp_path, every(collapsed=True))
    assert search_result(study).winner == 2
    assert "It collapsed in 3 of 3 fresh seeds." in sentence(study, "verdict")
    assert "collapsed in 4 of 4 samples. This is a description without an interval" in sentence(
        study, "collapse"
    )


def test_fresh_seeds_without_a_value_are_counted(tmp_path: Path) -> None:
    def edit(rows: list[Row]) -> None:
        next(row for row in rows if row["seed"] == 3).update(end_reason="diverged")

    text = sentence(write_search(tmp_path, edit), "verdict")
    assert "73.0 % (95 % interval 60.3 to 85.7 %, 2 seeds)" in text
    assert "1 of 3 fresh seeds ended without a value." in text


def test_an_unfinished_search_says_so(tmp_path: Path) -> None:
    study = write_search(tmp_path, lambda rows: rows.__delitem__(slice(2, None)))
    assert "2 of 4 samples still to be drawn" in sentence(study, "missing")
    nothing = write_search(tmp_path / "b", every(knn_accuracy=None))
    assert sentence(nothing, "verdict") == "No winner yet: none of 4 samples has a kNN accuracy."


MORE, LESS = Objective(column="knn_accuracy", maximize=True), Objective(column="wall_seconds", maximize=False)


@pytest.mark.parametrize(
    ("values", "front_of"),
    [
        ([[0.5, 1.0], [0.7, 2.0], [0.6, 3.0]], [True, True, False]),
        ([[0.5, 1.0], [0.5, 1.0]], [True, True]),
        ([[0.5, 1.0], [0.5, 2.0]], [True, False]),
        ([[0.5, 1.0], [np.nan, 0.1]], [True, False]),
    ],
)
def test_the_pareto_front(values: list[list[float]], front_of: list[bool]) -> None:
    assert pareto_front(np.array(values), (MORE, LESS)).tolist() == front_of


def test_two_objectives(tmp_path: Path) -> None:
    section = {**SECTION, "objectives": {"knn_accuracy": "maximize", "wall_seconds": "minimize"}}
    study = write_search(tmp_path, section=section)
    assert search_result(study).front.tolist() == [True, True, True, False]
    assert "3 of 4 samples are not beaten by any other (the Pareto front)" in sentence(study, "front")
    assert "; wall seconds 7.00 (the same in all 3 seeds, so no interval)." in sentence(study, "verdict")
    panel = front(study)
    assert panel is not None
    assert [row[:3] for row in panel.table[1]] == [
        ("1", "70.0 %", "5.00"), ("2", "76.0 %", "6.00"), ("3", "78.0 %", "7.00"),
    ]  # fmt: skip


def test_the_history_marks_what_has_no_result(tmp_path: Path) -> None:
    def edit(rows: list[Row]) -> None:
        rows[1].update(state="PRUNED", end_reason="pruned", collapsed=None)

    panel = history(write_search(tmp_path, edit))
    assert panel is not None
    assert [row[1] for row in panel.table[1]] == ["survived", "pruned", "survived", "survived"]
    assert [row[2] for row in panel.table[1]] == ["70.0 %", "–", "78.0 %", "60.0 %"]
    assert [row[3] for row in panel.table[1]] == ["70.0 %", "70.0 %", "78.0 %", "78.0 %"]
    drawn = {trace.name: trace for trace in panel.figure.data}
    assert list(drawn["pruned (1)"].y) == [0.76]
    assert list(drawn["score on fresh seeds"].y) == [0.74, 0.74]
    assert [shape.type for shape in panel.figure.layout.shapes] == ["rect"]


def test_parameters_keep_their_scale_and_samples_their_place(tmp_path: Path) -> None:
    panel = parameters(write_search(tmp_path))
    assert panel is not None
    layout = panel.figure.layout
    assert (layout.xaxis.type, layout.xaxis3.type) == ("log", "linear")
    assert sum(len(trace.x) for trace in panel.figure.data if trace.name == "survived") == 3 * 4
    assert [row[:2] for row in panel.table[1]] == [("lr", "4"), ("predictor", "4"), ("tau_base", "3")]


def test_the_page_of_a_search_has_no_effects(tmp_path: Path) -> None:
    write_search(tmp_path)
    page = render(load_results([tmp_path]))
    for name in ("history", "search"):
        assert f'id="s0-{name}"' in page
    for name in ("effects", "slopes", "front", "knn"):
        assert f'id="s0-{name}"' not in page


def test_a_search_without_any_trial_yet(tmp_path: Path) -> None:
    study = write_search(tmp_path, lambda rows: rows.clear())
    assert study.is_search
    assert (history(study), parameters(study), front(study)) == (None, None, None)
