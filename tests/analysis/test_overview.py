"""Several sweeps compared: known shifts, shared cells, changes, and which directories become one sweep."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from analysis.findings import Finding, findings
from analysis.load import load_results
from analysis.overview import Overview, Quantity, overview
from analysis.page.overview import overview_part
from tests.analysis.tables import Row, write_sweep

FACTORS: dict[str, list[Any]] = {"predictor": ["mlp", "none"], "tau_base": [0.99, 0.0]}
NOISE = (0.004, -0.002, 0.001)
"""What each seed adds to the shift, in the second sweep."""


def compared(*folders: Path) -> Overview:
    return overview(load_results(folders))


def items(*folders: Path) -> list[Finding]:
    return list(findings(load_results(folders)).items)


def shifted(shift: float, **columns: Any) -> Callable[[list[Row], list[Row]], None]:
    """An edit that adds a shift to the accuracies of the cells without a predictor."""

    def edit(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            row.update(columns)
            if row["f_predictor"] == "none":
                row["knn_accuracy"] += shift + NOISE[row["seed"] % 3]

    return edit


def under(folder: Path, **manifest: Any) -> Path:
    """The sweep in a folder, as if run under other conditions."""
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | manifest))
    return folder


def changed(compared: Overview) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(change.group, change.name, change.values) for change in compared.changes]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One study under two commits; under the second, cells without a predictor are 3 points better."""
    folder = tmp_path_factory.mktemp("two")
    first = write_sweep(folder / "old", factors=FACTORS)
    second = write_sweep(folder / "new", factors=FACTORS, edit=shifted(0.03))
    return first, under(second, git={"commit": "f" * 16, "clean": True})


def test_a_known_shift_is_found_where_it_is(two: tuple[Path, Path]) -> None:
    result = compared(*two)
    assert [sweep.name for sweep in result.sweeps] == ["made-up in old", "made-up in new"]
    assert [row.entries[0].cell.text for row in result.shared] == [
        "the reference", "tau 0", "no predictor", "no predictor, tau 0",
    ]  # fmt: skip
    assert all(row.same_settings for row in result.shared)
    shown = [row.entries[1].differences[Quantity.KNN] for row in result.shared]
    assert [difference.is_shown for difference in shown] == [False, False, True, True]
    assert [difference.mean.estimate for difference in shown[:2]] == [0, 0]
    assert shown[2].mean.estimate == pytest.approx(0.031)
    # Bonferroni over the four comparisons of the column, t over three seeds
    half = stats.t.ppf(1 - 0.05 / 4 / 2, 2) * np.std(NOISE, ddof=1) / np.sqrt(3)
    interval = shown[2].mean.interval
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((0.031 - half, 0.031 + half))
    assert {difference.family for difference in shown} == {4}
    assert changed(result) == [("Code", "commit", ("0123456789", "ffffffffff"))]
    assert not result.not_repeated, "the code is not the same"


def test_each_sweep_has_a_sentence_before_all_others(two: tuple[Path, Path]) -> None:
    first, second, *others = items(*two)
    assert [first.kind, second.kind] == ["overview", "overview"]
    assert "overview" not in [item.kind for item in others]
    assert first.text.startswith("made-up in old (12 of 12 trials judged): nothing collapsed;")
    assert "shares 4 cells with made-up in old, of which kNN is shown to differ in 2" in second.text
    assert second.text.endswith("(changed: code).")
    assert (second.values["shared"], second.values["differ"]) == (4, 2)
    assert others[0].text.startswith("made-up in old: predictor = mlp, or tau_base = 0.99: the projection")


def test_the_page_shows_the_comparison(two: tuple[Path, Path]) -> None:
    part = overview_part(load_results(two))
    assert "2 sweeps compared" in part
    assert "<b>+3.1 (" in part
    assert part.count("<small>the same</small>") == 2 + 2 * 4  # kNN of two cells; both stds of all
    assert "<td>0123456789</td><td>ffffffffff</td>" in part


def test_the_same_code_with_other_results_is_not_repeatable(tmp_path: Path) -> None:
    one = write_sweep(tmp_path / "a", factors=FACTORS)
    other = write_sweep(tmp_path / "b", factors=FACTORS, edit=shifted(0.03))
    (caveat,) = (item for item in items(one, other) if item.kind == "not-repeatable")
    assert caveat.caveat
    assert caveat.values["n"] == 6
    assert "nothing recorded changed" in items(one, other)[1].text
    assert "Nothing that is recorded" in overview_part(load_results([one, other]))
    for manifest in (
        {"git": {"commit": "0123456789abcdef", "clean": False}},
        {"versions": {"torch": "2.16.0"}},
        {"hardware": {"cpu": "64 cores"}},
    ):
        assert not compared(one, under(other, **manifest)).not_repeated


def test_two_studies_that_share_two_cells(tmp_path: Path) -> None:
    def cells_of_the_other(trials: list[Row], metrics: list[Row]) -> None:
        ids = {("mlp", "a"): first_ids["mlp", 0.99], ("none", "a"): first_ids["none", 0.99]}
        for row in trials:
            row["cell_id"] = ids.get((row["f_predictor"], row["f_views"]), row["cell_id"])

    first_ids: dict[tuple[str, float], str] = {}

    def note(trials: list[Row], metrics: list[Row]) -> None:
        first_ids.update({(row["f_predictor"], row["f_tau_base"]): row["cell_id"] for row in trials})

    one = write_sweep(tmp_path / "one", factors=FACTORS, edit=note)
    other = write_sweep(
        tmp_path / "other",
        factors={"predictor": ["mlp", "none"], "views": ["a", "b"]},
        seeds=(1, 2, 3),
        edit=cells_of_the_other,
        study={"name": "views", "reference": {"preset": "byol", "dataset": "stl10"}},
    )
    result = compared(one, other)
    assert [sweep.name for sweep in result.sweeps] == ["made-up", "views"]
    assert [(row.entries[0].cell.text, row.same_settings) for row in result.shared] == [
        ("the reference", True), ("no predictor", True),
    ]  # fmt: skip
    assert result.shared[0].entries[1].differences[Quantity.KNN].mean.n == 2  # seeds 1 and 2
    names = {name: values for _, name, values in changed(result)}
    assert names["dataset"] == ("fashion-mnist-8k", "stl10")
    assert names["seeds"] == ("0 to 2", "1 to 3")
    assert names["levels of views"] == ("–", "a, b")
    assert "preset" not in names


def test_the_same_levels_under_another_reference(tmp_path: Path) -> None:
    def renamed(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            row["cell_id"] += "x"

    one = write_sweep(tmp_path / "one", factors=FACTORS)
    other = write_sweep(
        tmp_path / "other", factors=FACTORS, edit=renamed, study={"name": "simsiam", "reference": {"lr": 1}}
    )
    rows = compared(one, other).shared
    assert [len(rows), {row.same_settings for row in rows}] == [4, {False}]
    assert "other settings" in overview_part(load_results([one, other]))


def test_nothing_in_common(tmp_path: Path) -> None:
    one = write_sweep(tmp_path / "one", factors={"predictor": ["mlp", "none"]})
    other = write_sweep(tmp_path / "other", factors={"tau_base": [0.9, 0.0]}, study={"name": "tau"})
    assert not compared(one, other).shared
    assert "shares" not in items(one, other)[1].text
    assert "No two of these sweeps have a cell in common" in overview_part(load_results([one, other]))


def test_cells_without_a_common_seed_have_no_difference(tmp_path: Path) -> None:
    one = write_sweep(tmp_path / "one", factors=FACTORS, seeds=(0, 1))
    other = write_sweep(
        tmp_path / "other", factors=FACTORS, seeds=(2, 3), study={"name": "later", "reference": {"lr": 1}}
    )
    assert not any(row.entries[1].differences for row in compared(one, other).shared)
    assert "shares 4 cells with made-up, without a seed in common" in items(one, other)[1].text


def test_directories_that_complete_each_other_stay_one_sweep(tmp_path: Path) -> None:
    one = write_sweep(tmp_path / "a", factors=FACTORS, seeds=(0, 1))
    more = write_sweep(tmp_path / "b", factors=FACTORS, seeds=(1, 2))
    other = write_sweep(tmp_path / "c", factors=FACTORS, seeds=(2, 3), edit=shifted(0.03))
    assert load_results([one, more]).names == ("made-up",)
    results = load_results([one, more, other])
    assert results.names == ("made-up in a", "made-up in c")
    assert results.studies[0].directories == ("a", "b")


def test_directories_of_one_name_are_told_apart_by_their_parents(tmp_path: Path) -> None:
    one = write_sweep(tmp_path / "old" / "run", factors=FACTORS)
    other = write_sweep(tmp_path / "new" / "run", factors=FACTORS, edit=shifted(0.03))
    assert load_results([one, other]).names == ("made-up in old/run", "made-up in new/run")


def test_a_dozen_sweeps(tmp_path: Path) -> None:
    factors = {"predictor": ["mlp", "none"]}
    folders = [
        write_sweep(tmp_path / f"run-{index}", factors=factors, seeds=(0, 1), edit=shifted(0.001 * index))
        for index in range(12)
    ]
    result = compared(*folders)
    assert len(result.sweeps) == 12
    assert [len(row.entries) for row in result.shared] == [12, 12]
    assert result.shared[1].entries[11].differences[Quantity.KNN].family == 22
