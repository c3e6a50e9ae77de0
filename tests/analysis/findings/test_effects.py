"""Sentences about effects and loss claim what their intervals allow, and no more."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.findings import findings
from analysis.findings.finding import Finding
from analysis.load import load_results
from tests.analysis.tables import Row, write_sweep

Edit = Callable[[list[Row], list[Row]], None]
TWO: dict[str, Sequence[Any]] = {"predictor": ["mlp", "none"], "tau_base": [0.99, 0.0]}


def of_kind(directory: Path, kind: str) -> list[Finding]:
    return [item for item in findings(load_results([directory])).items if item.kind == kind]


def collapsing(where: Callable[[Row, float], bool]) -> Edit:
    """Collapses the trials for which a function of row and random draw says so."""

    def edit(trials: list[Row], metrics: list[Row]) -> None:
        rng = np.random.default_rng(0)
        for row in trials:
            row.update(collapsed=where(row, rng.random()))

    return edit


def accuracies(of: Callable[[Row, float], float]) -> Edit:
    """Gives each trial the accuracy that a function of row and normal draw says; none collapses."""

    def edit(trials: list[Row], metrics: list[Row]) -> None:
        rng = np.random.default_rng(0)
        for row in trials:
            row.update(collapsed=False, projection_collapsed=False, loss=0.5)
            row.update(knn_accuracy=of(row, rng.standard_normal()))

    return edit


def test_the_largest_effect_says_of_how_many(sweep: Path) -> None:
    (finding,) = of_kind(sweep, "knn")
    assert "the largest of 4 kNN effects is that of encoder_norm" in finding.text
    assert "simultaneous over 4 effects, 3 seeds" in finding.text
    assert "group is ahead with probability 0 % (0 to 71 %; 0 of 3 seeds)" in finding.text
    # t with 2 degrees of freedom: 4.30 for one effect, 8.86 for the largest of four.
    rows = pd.read_parquet(sweep / "trials.parquet").query("f_head_norm == 'batch'")
    means = rows.groupby(["seed", "f_encoder_norm"])["knn_accuracy"].mean().unstack()
    d = means["group"] - means["batch"]
    half = 8.8602 * d.std(ddof=1) / np.sqrt(3)
    assert finding.values["low"] == pytest.approx(d.mean() - half, abs=1e-5)
    assert finding.values["high"] == pytest.approx(d.mean() + half, abs=1e-5)


def test_a_chance_difference_is_not_a_finding(tmp_path: Path) -> None:
    (finding,) = of_kind(write_sweep(tmp_path, edit=accuracies(lambda _, noise: 0.6 + 0.01 * noise)), "knn")
    assert finding.text.startswith("The largest of 4 kNN effects")
    assert " The interval includes zero." in finding.text


def test_what_only_swapped_labels_show_is_said_of_these_seeds(tmp_path: Path) -> None:
    def accuracy(row: Row, noise: float) -> float:
        return 0.6 + 0.002 * noise - (0.01 + 0.03 * float(row["seed"]) if row["f_predictor"] == "none" else 0)

    (finding,) = of_kind(write_sweep(tmp_path, edit=accuracies(accuracy)), "knn")
    assert "The interval includes zero, though in these seeds it is more than chance (swapped labels, " in (
        finding.text
    )
    assert "p < 0.001, 24 pairs differ" in finding.text


def test_an_interaction_that_carries_the_collapses_is_said_in_trials(sweep: Path) -> None:
    (finding,) = [item for item in of_kind(sweep, "interaction") if item.values["measure"] == "collapse rate"]
    assert finding.text.startswith(
        "encoder_norm and head_norm act on collapse together: with encoder norm group and no head norm,"
        " 12 of 12 trials collapsed; with only one of the two, 0 of 24 trials collapsed; with neither, 0 of "
        "12 trials collapsed."
    )
    assert "+100.0 points (the same in all 3 seeds, so no interval)" in finding.text
    # 2 / 2^12: all fours have the same sign; no other interaction has a four that differs.
    assert finding.values["adjusted_p"] == pytest.approx(2 / 2**12)


def test_an_interaction_that_carries_the_accuracy(tmp_path: Path) -> None:
    def accuracy(row: Row, noise: float) -> float:
        both = bool(row["f_predictor"] == "none" and row["f_tau_base"] == 0)
        return 0.70 - 0.20 * both + 0.002 * noise

    (finding,) = of_kind(write_sweep(tmp_path, edit=accuracies(accuracy)), "interaction")
    assert finding.text.startswith("predictor and tau_base act on kNN accuracy together: with no predictor ")
    assert "it is 50.1 % in 12 trials; with only one of the two, it is 70." in finding.text
    assert "simultaneous over 6 effects" in finding.text
    assert finding.values["effect"] == pytest.approx(-0.2, abs=0.005)


@pytest.mark.parametrize(
    "where",
    [
        lambda row, draw: draw < 0.3,
        lambda row, draw: draw < 0.1 + 0.4 * (row["f_predictor"] == "none") + 0.4 * (row["f_tau_base"] == 0),
        lambda row, draw: row["f_predictor"] == "none",
    ],
    ids=["nothing matters", "two effects that add up", "one effect"],
)
def test_no_interaction_where_there_is_none(tmp_path: Path, where: Callable[[Row, float], bool]) -> None:
    assert of_kind(write_sweep(tmp_path, edit=collapsing(where)), "interaction") == []


def test_three_seeds_of_one_four_do_not_show_an_interaction(tmp_path: Path) -> None:
    def both(row: Row, draw: float) -> bool:
        return bool(row["f_predictor"] == "none" and row["f_tau_base"] == 0)

    edit = collapsing(both)
    assert of_kind(write_sweep(tmp_path / "3", factors=TWO, edit=edit), "interaction") == []
    eight = write_sweep(tmp_path / "8", factors=TWO, seeds=range(8), edit=edit)
    assert "8 of 8 trials collapsed" in of_kind(eight, "interaction")[0].text


def test_a_fraction_names_what_its_largest_effect_is_not_told_from(tmp_path: Path) -> None:
    def accuracy(row: Row, noise: float) -> float:
        return 0.7 - 0.1 * bool(row["f_head_norm"] == "none") + 0.002 * noise

    def half(trials: list[Row], metrics: list[Row]) -> None:
        accuracies(accuracy)(trials, metrics)
        levels = {"encoder_norm": "group", "predictor": "none", "head_norm": "none"}
        trials[:] = [
            row for row in trials if sum(row[f"f_{name}"] == level for name, level in levels.items()) % 2 == 0
        ]

    factors = {
        "encoder_norm": ["batch", "group"],
        "predictor": ["mlp", "none"],
        "head_norm": ["batch", "none"],
    }
    directory = write_sweep(tmp_path, factors=factors, design="fractional", edit=half)
    (finding,) = of_kind(directory, "knn")
    assert "over all 4 cells, and cannot be told from encoder_norm × predictor;" in finding.text
    assert finding.values["factor"] == "head_norm"


def with_losses(
    of: Callable[[int], float], accuracy: Callable[[int], float], collapsed: bool = False
) -> Edit:
    """Loss and accuracy of the trials by their place; the first collapsed if so."""

    def edit(trials: list[Row], metrics: list[Row]) -> None:
        for place, row in enumerate(trials):
            row.update(collapsed=False, projection_collapsed=False, dimensional_collapse=False)
            row.update(loss=of(place), knn_accuracy=accuracy(place))
        trials[0].update(collapsed=collapsed)

    return edit


def test_low_loss_that_goes_with_accuracy_is_not_called_a_failure(tmp_path: Path) -> None:
    # The first two change places, the others agree.
    edit = with_losses(
        lambda place: 0.1 + 0.01 * place, lambda place: 0.8 - 0.005 * [1, 0, *range(2, 48)][place]
    )
    (finding,) = of_kind(write_sweep(tmp_path, edit=edit), "loss")
    assert finding.text == (
        "The trial with the lowest loss did not collapse and ranks 2 of 48 by kNN accuracy; low loss and "
        "high kNN correlate at 1.00 (Spearman, full-length trials)."
    )
    assert finding.values["misleads"] is False


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (
            with_losses(lambda place: 0.1 + 0.01 * place, lambda place: 0.8 - 0.005 * place, collapsed=True),
            "collapsed and ranks 1 of 48",
        ),
        (
            with_losses(lambda place: 0.1 + 0.01 * place, lambda place: 0.8 - 0.005 * (place or 24.5)),
            "did not collapse and ranks 25 of 48",
        ),
        (
            with_losses(lambda place: 0.1 + 0.01 * place, lambda place: 0.5 + 0.005 * (place or 40.5)),
            "did not collapse and ranks 8 of 48",
        ),
    ],
    ids=["it collapsed", "it is in the worse half", "the rankings disagree"],
)
def test_low_loss_is_not_success_where_the_data_show_it(tmp_path: Path, edit: Edit, words: str) -> None:
    (finding,) = of_kind(write_sweep(tmp_path, edit=edit), "loss")
    assert finding.text.startswith(f"Low loss is not success: the trial with the lowest loss {words} by kNN")


def test_losses_of_different_quantities_are_not_compared(tmp_path: Path) -> None:
    factors = {"objective": ["built-in", "mine"], "predictor": ["mlp", "none"]}
    assert of_kind(write_sweep(tmp_path, factors=factors), "loss") == []
    assert of_kind(write_sweep(tmp_path / "one", factors={"predictor": ["mlp", "none"]}), "loss") != []


def test_loss_is_compared_over_all_trials_of_full_length(sweep: Path) -> None:
    rows = pd.read_parquet(sweep / "trials.parquet")
    lowest = rows.sort_values("loss").iloc[0]
    rank = int((rows["knn_accuracy"] > lowest["knn_accuracy"]).sum()) + 1
    (finding,) = of_kind(sweep, "loss")
    assert f"ranks {rank} of 48 by kNN accuracy" in finding.text
    spearman = rows["loss"].corr(rows["knn_accuracy"], method="spearman")
    assert finding.values["spearman"] == pytest.approx(-spearman)


def test_no_accuracy_below_0_or_above_100_percent(tmp_path: Path) -> None:
    edit = accuracies(lambda row, _: [0.1, 0.5, 0.95][row["seed"]])
    (finding,) = of_kind(write_sweep(tmp_path, edit=edit), "reference")
    assert "its kNN accuracy is 51.7 % (95 % interval 0.0 to 100.0 %, 3 seeds)" in finding.text
