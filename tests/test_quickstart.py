"""The quickstart's outcome: its study at less than half its length, really trained, with two seeds."""

import dataclasses
import io
from typing import Any

import pyarrow.parquet as pq
import pytest

from sweeps.run import run
from sweeps.study import load_study


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What was changed in the reference -> the rows of both seeds, in order of seed."""
    out = tmp_path_factory.mktemp("quickstart")
    whole = load_study("collapse-quickstart")
    reference = {**whole.reference, "steps": 400}
    outcome = run(dataclasses.replace(whole, reference=reference, seeds=(0, 1)), out, stream=io.StringIO())
    assert (outcome.counts["complete"], outcome.counts["failed"]) == (10, 0)
    first = {factor.name: factor.levels[0].label for factor in whole.factors}
    cells: dict[str, list[dict[str, Any]]] = {}
    for row in pq.read_table(out / "trials.parquet").to_pylist():
        changed = [name for name, label in first.items() if row[f"f_{name}"] != label]
        cells.setdefault(", ".join(changed) or "reference", []).append(row)
    return cells


def gains(rows: list[dict[str, Any]]) -> list[float]:
    return [row["knn_accuracy"] - row["knn_accuracy_start"] for row in rows]


@pytest.mark.ray
@pytest.mark.timeout(300)
def test_the_reference_learns_and_keeps_its_spread(cells: dict[str, list[dict[str, Any]]]) -> None:
    reference = cells["reference"]
    assert min(gains(reference)) > 0, "above its own untrained encoder in both seeds"
    assert [row["collapsed"] or row["projection_collapsed"] for row in reference] == [False, False]
    for row in reference:
        assert (row["chance"], row["test_images"], row["precision"]) == (0.1, 2000, "fp32")
        assert row["knn_accuracy_pixels"] == pytest.approx(0.822, abs=0.003)


@pytest.mark.ray
@pytest.mark.timeout(300)
def test_without_stop_gradient_the_projection_collapses_and_accuracy_falls(
    cells: dict[str, list[dict[str, Any]]],
) -> None:
    removed = cells["stop_gradient"]
    assert [row["projection_collapsed"] for row in removed] == [True, True]
    assert [row["collapsed"] for row in removed] == [False, False]
    assert max(gains(removed)) < -0.04


@pytest.mark.ray
@pytest.mark.timeout(300)
def test_without_the_predictor_accuracy_falls_and_the_projection_narrows(
    cells: dict[str, list[dict[str, Any]]],
) -> None:
    without = cells["predictor"]
    assert max(gains(without)) < 0
    assert max(row["projection_std"] for row in without) < 0.25 < 0.7
    assert min(row["projection_std"] for row in cells["reference"]) > 0.7


@pytest.mark.ray
@pytest.mark.timeout(300)
def test_without_batch_statistics_the_spread_is_lost_and_class_information_is_not(
    cells: dict[str, list[dict[str, Any]]],
) -> None:
    nowhere = cells["batch_statistics"]
    assert [row["collapsed"] for row in nowhere] == [True, True]
    assert max(row["representation_std"] for row in nowhere) < 0.02
    assert min(row["knn_accuracy"] for row in nowhere) > 0.6, "far above chance, .1"
