"""The quickstart's outcome: its study at less than half its length, really trained, with one seed.

That is what a test can spend. docs/reproductions.md has the whole study, with three.
"""

import dataclasses
import io
from typing import Any

import pyarrow.parquet as pq
import pytest

from sweeps.run import run
from sweeps.study import load_study

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What was changed in the reference -> the row of its trial."""
    out = tmp_path_factory.mktemp("quickstart")
    whole = load_study("collapse-quickstart")
    study = dataclasses.replace(
        whole,
        reference={**whole.reference, "steps": 400},
        factors=tuple(factor for factor in whole.factors if factor.name != "target"),
        seeds=(0,),
    )
    outcome = run(study, out, stream=io.StringIO())
    assert (outcome.counts["complete"], outcome.counts["failed"]) == (4, 0)
    first = {factor.name: factor.levels[0].label for factor in study.factors}
    rows: dict[str, dict[str, Any]] = {}
    for row in pq.read_table(out / "trials.parquet").to_pylist():
        changed = [name for name, label in first.items() if row[f"f_{name}"] != label]
        rows[", ".join(changed) or "reference"] = row
    return rows


def gain(row: dict[str, Any]) -> float:
    change: float = row["knn_accuracy"] - row["knn_accuracy_start"]
    return change


def test_the_reference_learns_and_keeps_its_spread(rows: dict[str, dict[str, Any]]) -> None:
    reference = rows["reference"]
    assert gain(reference) > 0, "above its own untrained encoder"
    assert (reference["collapsed"], reference["projection_collapsed"]) == (False, False)
    assert (reference["chance"], reference["test_images"], reference["precision"]) == (0.1, 2000, "fp32")
    assert reference["knn_accuracy_pixels"] == pytest.approx(0.822, abs=0.003)


def test_without_stop_gradient_the_projection_collapses_and_accuracy_falls(
    rows: dict[str, dict[str, Any]],
) -> None:
    removed = rows["stop_gradient"]
    assert (removed["collapsed"], removed["projection_collapsed"]) == (False, True)
    assert gain(removed) < -0.04


def test_without_the_predictor_accuracy_falls_and_the_projection_narrows(
    rows: dict[str, dict[str, Any]],
) -> None:
    assert gain(rows["predictor"]) < 0
    assert rows["predictor"]["projection_std"] < 0.25 < 0.7 < rows["reference"]["projection_std"]


def test_without_batch_statistics_the_spread_is_lost_and_class_information_is_not(
    rows: dict[str, dict[str, Any]],
) -> None:
    nowhere = rows["batch_statistics"]
    assert nowhere["collapsed"]
    assert nowhere["representation_std"] < 0.02
    assert nowhere["knn_accuracy"] > 0.6, "far above chance, .1"
