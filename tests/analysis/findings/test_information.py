"""Class information kept and lost, in trials whose spread is lost and in those whose spread is not.

Of 10 test images, with chance at 10 %, the exact 95 % interval of 3 right ones begins at 6.7 % and that of 4
at 12.2 %: so 4 are above chance, and 3 are not.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.cells import cells_of
from analysis.comparisons import HEADER, comparison_rows
from analysis.figures import accuracy
from analysis.findings import findings
from analysis.findings.finding import Finding
from analysis.information import Fate, information
from analysis.load import load_results
from tests.analysis.tables import Row, write_sweep

NORMS = {"encoder_norm": ["batch", "group"], "head_norm": ["batch", "none"]}
"""Four cells; the representation collapses in the last, the projection alone in the second."""
Edit = Callable[[list[Row], list[Row]], None]


def kinds(directory: Path, edit: Edit | None = None, **arguments: Any) -> dict[str, Finding]:
    written = write_sweep(directory, **{"factors": NORMS, "edit": edit, **arguments})
    return {item.kind: item for item in findings(load_results([written])).items}


def accuracies(collapsed: list[float], flat: list[float], spread: list[float], images: int = 10) -> Edit:
    """An edit that sets kNN accuracies by outcome, in the order of the trials, and the test images."""

    def edit(trials: list[Row], metrics: list[Row]) -> None:
        queues = {name: iter(values) for name, values in
                  (("collapsed", collapsed), ("flat", flat), ("spread", spread))}  # fmt: skip
        for row in trials:
            name = "collapsed" if row["collapsed"] else "flat" if row["projection_collapsed"] else "spread"
            row.update(knn_accuracy=next(queues[name]), test_images=images)

    return edit


def test_kept_in_all(tmp_path: Path) -> None:
    finding = kinds(tmp_path, accuracies([0.69, 0.71, 0.73], [0.62, 0.63, 0.64], [0.7] * 6, 2000))[
        "information"
    ]
    assert finding.text == (
        "In all 3 trials whose representation collapsed, class information is kept: kNN accuracy 69 to 73 % "
        "where chance is 10 % (exact 95 % intervals on 2,000 test images). In all 3 trials whose projection "
        "alone collapsed, class information is kept: kNN accuracy 62 to 64 % where chance is 10 % (exact "
        "95 % intervals on 2,000 test images)."
    )
    assert finding.values["representation_kept"] == 1
    assert (finding.values["representation_trials"], finding.values["representation_above"]) == (3, 3)
    assert (finding.values["projection_lost"], finding.values["projection_chance"]) == (0, 0.1)
    assert not finding.caveat


def test_lost_in_all(tmp_path: Path) -> None:
    finding = kinds(tmp_path, accuracies([0.1, 0.2, 0.3], [0.4] * 3, [0.7] * 6))["information"]
    first, second = finding.text.split(" In all 3 trials whose projection")
    assert first == (
        "In all 3 trials whose representation collapsed, class information is lost: kNN accuracy 10 to 30 % "
        "where chance is 10 % (exact 95 % intervals on 10 test images)."
    )
    assert second.startswith(" alone collapsed, class information is kept: kNN accuracy 40 % where")


def test_mixed_over_seeds(tmp_path: Path) -> None:
    finding = kinds(tmp_path, accuracies([0.3, 0.4, 0.5], [0.4] * 3, [0.7] * 6))["information"]
    assert finding.text.startswith(
        "Of 1 cell whose representation collapsed, 0 kept class information, 0 lost it and 1 is mixed (kept "
        "in some seeds): kNN accuracy 30 to 50 % where chance is 10 %, and above it in 2 of 3 trials (exact "
        "95 % intervals on 10 test images)."
    )
    assert finding.values["representation_mixed"] == 1


def test_cells_are_told_apart(tmp_path: Path) -> None:
    factors = {**NORMS, "predictor": ["mlp", "linear", "none"]}

    def edit(trials: list[Row], metrics: list[Row]) -> None:
        by_predictor = {"mlp": [0.5, 0.5, 0.5], "linear": [0.3, 0.2, 0.1], "none": [0.1, 0.4, 0.1]}
        for row in trials:
            if row["collapsed"]:
                row.update(knn_accuracy=by_predictor[row["f_predictor"]][row["seed"]], test_images=10)

    finding = kinds(tmp_path, edit, factors=factors)["information"]
    assert finding.text.startswith(
        "Of 3 cells whose representation collapsed, 1 kept class information, 1 lost it and 1 is mixed (kept "
        "in some seeds): kNN accuracy 10 to 50 % where chance is 10 %, and above it in 4 of 9 trials"
    )
    study = load_results([tmp_path]).studies[0]
    panel = accuracy.knn_by_cell(study)
    assert panel is not None
    assert panel.table[0][-1] == "class information"
    fates = {row[0]: row[-1] for row in panel.table[1] if "no head norm" in row[0]}
    assert [fates[f"encoder norm group, no head norm{changed}"]
            for changed in ("", ", predictor linear", ", no predictor")
            ] == ["kept", "lost", "mixed"]  # fmt: skip


def test_spread_without_information_is_a_shortcut_and_no_collapse(tmp_path: Path) -> None:
    edit = accuracies([0.4] * 3, [0.4] * 3, [0.2] * 6)
    finding = kinds(tmp_path, edit)["information"]
    assert finding.text.endswith(
        " In all 6 trials that kept their spread, class information is lost: kNN accuracy 20 % where chance "
        "is 10 % (exact 95 % intervals on 10 test images). Spread without class information is a shortcut, "
        "not a collapse."
    )
    study = load_results([tmp_path]).studies[0]
    rows = comparison_rows(study, cells_of(study))
    assert HEADER[-1] == "class information"
    assert [row[-1] for row in rows] == ["lost", "lost", "kept"]


def test_a_probe_that_reads_the_classes_shows_them(tmp_path: Path) -> None:
    def edit(trials: list[Row], metrics: list[Row]) -> None:
        accuracies([0.1] * 3, [0.1] * 3, [0.7] * 6)(trials, metrics)
        for row in trials:
            row["probe_accuracy"] = 0.5 + 0.1 * row["seed"] if row["collapsed"] else 0.3

    text = kinds(tmp_path, edit)["information"].text
    assert "is kept: kNN accuracy 10 % and linear probe 50 to 70 % where chance is 10 %" in text
    assert "alone collapsed, class information is lost: kNN accuracy 10 % and linear probe 30 % where" in text


def test_trials_without_an_accuracy_are_counted(tmp_path: Path) -> None:
    def edit(trials: list[Row], metrics: list[Row]) -> None:
        first = next(row for row in trials if row["collapsed"])
        first["knn_accuracy"] = None

    text = kinds(tmp_path, edit)["information"].text
    assert text.startswith("In all 2 trials whose representation collapsed, class information is kept")
    assert "test images; unknown in 1 other trial). In all 3 trials whose projection" in text


def test_trials_that_were_stopped_are_measured_where_they_stopped(tmp_path: Path) -> None:
    def edit(trials: list[Row], metrics: list[Row]) -> None:
        first = next(row for row in trials if row["collapsed"])
        first.update(end_reason="collapsed", steps_run=60)

    text = kinds(tmp_path, edit)["information"].text
    assert text.startswith("In all 3 trials whose representation collapsed, class information is kept")
    assert (
        "test images; 1 trial stopped early, and is measured there). In all 3 trials whose projection" in text
    )


def test_many_classes_need_more_digits(tmp_path: Path) -> None:
    def edit(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            row.update(chance=0.005, knn_accuracy=0.123)

    assert "kNN accuracy 12.3 % where chance is 0.5 %" in kinds(tmp_path, edit)["information"].text


@pytest.mark.parametrize("arguments", [{"controls": False}, {"labels": False}])
def test_nothing_is_said_of_what_is_not_known(tmp_path: Path, arguments: dict[str, Any]) -> None:
    assert "information" not in kinds(tmp_path, **arguments)


def test_a_search_is_described_without_it(tmp_path: Path) -> None:
    assert "information" not in kinds(tmp_path, design="search", study={"factors": []})


def test_trials_that_are_not_judged_do_not_count(tmp_path: Path) -> None:
    def edit(trials: list[Row], metrics: list[Row]) -> None:
        next(row for row in trials if row["collapsed"]).update(end_reason="diverged")

    values = kinds(tmp_path, edit)["information"].values
    assert (values["representation_trials"], values["projection_trials"]) == (2, 3)


def test_the_fate_of_some_trials(tmp_path: Path) -> None:
    edit = accuracies([0.1] * 3, [0.4] * 3, [0.7] * 6)
    study = load_results([write_sweep(tmp_path, factors=NORMS, edit=edit)]).studies[0]
    result = information(study.trials)
    assert result is not None
    assert (result.fate, result.trials, result.above) == (Fate.MIXED, 12, 9)
    assert sorted(result.fates) == ["kept", "kept", "kept", "lost"]


def test_it_stands_after_the_projection(sweep: Path) -> None:
    order = [item.kind for item in findings(load_results([sweep])).items]
    assert order.index("information") == order.index("projection") + 1


def test_a_cell_that_keeps_its_spread_and_ends_below_its_own_start_is_named(tmp_path: Path) -> None:
    """Two cells kept their spread. Of encoders that started at .7, one ends at .5 and the other at .71; their
    intervals are at the level 1 - .05/2, at which t with 2 degrees of freedom is 6.205."""

    def edit(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            fell = row["f_encoder_norm"] == "group"
            row["knn_accuracy"] = (0.5 if fell else 0.71) + 0.01 * (row["seed"] - 1)
            row["knn_accuracy_start"] = 0.7

    finding = kinds(tmp_path, edit)["shortcut"]
    half = 6.205 * 1 / 3**0.5
    assert finding.text == (
        "Spread is not information: 1 cell kept its spread at both levels in every trial, and yet ended with "
        "a lower kNN accuracy than its own untrained encoders (simultaneous 95 % intervals over 2 cells): "
        f"encoder norm group (50.0 % after 70.0 %: −20.0 points, −{20 + half:.1f} to −{20 - half:.1f}). "
        "That is no collapse: what training brought close together is not the classes."
    )
    assert (finding.values["cells"], finding.values["family"]) == (1, 2)


def test_no_shortcut_where_accuracy_rose_or_spread_was_lost(tmp_path: Path) -> None:
    def rose(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            fell = bool(row["projection_collapsed"] or row["collapsed"])
            row["knn_accuracy"] = (0.3 if fell else 0.8) + 0.01 * row["seed"]
            row["knn_accuracy_start"] = 0.7

    assert "shortcut" not in kinds(tmp_path, rose)
