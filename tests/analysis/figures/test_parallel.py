"""Parallel coordinates hold the values of their lines; importance finds the parameter that decides."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.cells import cells_of
from analysis.figures import parallel
from analysis.figures.importance import importance as bars
from analysis.importance import importance
from analysis.load import load_results
from analysis.results import StudyResults
from tests.analysis.tables import Row, write_sweep
from tests.analysis.test_search import SECTION, write_search

LR = [round(10 ** (-2 + 3 * index / 23), 4) for index in range(24)]
SPACE = {
    "lr": {"low": 0.01, "high": 10.0, "log": True},
    "momentum": {"low": 0.0, "high": 1.0},
    "tau_base": {"low": 0.9, "high": 1.0, "when": {"predictor": ["mlp"]}},
}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    """24 samples whose accuracy depends on the learning rate alone: it is best at .3."""
    rng = np.random.default_rng(0)

    def edit(trials: list[Row], metrics: list[Row]) -> None:
        for place, row in enumerate(trials):
            row.update(design="search", cell_id=f"cell{place}", f_momentum=float(rng.random()))
            row["knn_accuracy"] = 0.7 - 0.1 * abs(np.log10(row["f_lr"] / 0.3))
            row["f_tau_base"] = None if place % 3 == 0 else 0.9 + 0.01 * place % 0.1
        metrics.clear()

    section: dict[str, Any] = {**SECTION, "space": SPACE, "trials": 24}
    directory = tmp_path_factory.mktemp("searched")
    write_sweep(
        directory, factors={"lr": LR}, seeds=(0,), edit=edit, study={"search": section, "factors": []}
    )
    return load_results([directory]).studies[0]


def test_the_parameter_that_decides_is_the_most_important(searched: StudyResults) -> None:
    found = importance(searched)
    assert found is not None
    assert next(iter(found.shares)) == "lr"
    assert set(found.shares) == {"lr", "momentum", "tau_base"}, "also what applies in some samples alone"
    assert found.shares["lr"] > 0.6
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.samples == 24
    panel = bars(searched)
    assert panel is not None
    assert list(panel.figure.data[0].x) == pytest.approx(list(found.shares.values()), rel=1e-3)


def test_too_few_samples_and_designs_have_no_importance(study: StudyResults, tmp_path: Path) -> None:
    assert importance(study) is None
    few = write_search(tmp_path)
    assert importance(few) is None
    assert bars(few) is None


def test_a_line_for_each_sample_at_its_values(searched: StudyResults) -> None:
    panel = parallel.parallel(searched)
    assert panel is not None
    names = [row[0] for row in panel.table[1]]
    assert set(names[:3]) == {"lr", "tau", "momentum"}
    lines = panel.figure.data
    assert len(lines) == 24
    assert {trace.type for trace in lines} == {"scatter"}  # WebGL shows nothing under the page's policy
    at = names.index("lr")
    logs = np.log([float(value) for value in searched.trials["f_lr"]])
    expected = (logs - logs.min()) / (logs.max() - logs.min())
    assert [line.x[at] for line in lines] == pytest.approx(expected, abs=1e-3)
    at = names.index("tau")
    assert [line.x[at] is None for line in lines] == [place % 3 == 0 for place in range(24)]
    trials = [line.meta["of"].removeprefix("trial_id=").strip('"') for line in lines]
    assert trials == searched.trials["trial_id"].tolist()
    winners = [line for line in lines if line.name == "winner"]
    assert len(winners) == 1


def test_a_line_for_each_cell_of_a_larger_design(study: StudyResults, tmp_path: Path) -> None:
    assert parallel.parallel(study) is None  # 16 cells
    levels = {
        "q": list("abcde"),
        "encoder_norm": ["batch", "group"],
        "head_norm": ["batch", "none"],
        "r": ["a"],
    }
    larger = load_results([write_sweep(tmp_path, factors=levels, seeds=(0,))]).studies[0]
    panel = parallel.parallel(larger)
    assert panel is not None
    assert len(panel.figure.data) == len(cells_of(larger)) == 20
    names = [row[0] for row in panel.table[1]]
    assert "q" in names
    assert "r" not in names  # all lines are at its one level
    at = names.index("collapsed")
    assert sorted(line.x[at] for line in panel.figure.data) == [0.0] * 15 + [1.0] * 5
    assert [line.name for line in panel.figure.data if line.line.width == 3] == ["the reference"]
