"""Whether the reference learned: by hand, with the t quantile of two degrees of freedom, 4.302653.

Differences of 3, 4 and 5 points have mean 4, standard deviation 1 and half-width 4.302653 / sqrt(3) = 2.484.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from analysis.cells import cells_of
from analysis.figures import accuracy, forest, slopes
from analysis.findings import findings
from analysis.findings.finding import Finding
from analysis.load import load_results
from analysis.page.cards import comparisons
from tests.analysis.tables import Row, with_reference, write_sweep

LEVELS: dict[str, Sequence[Any]] = {"predictor": ["mlp", "none"], "tau_base": [0.99, 0.9]}


def items(directory: Path, **arguments: Any) -> dict[str, Finding]:
    """Kind -> finding of a sweep of four cells."""
    written = write_sweep(directory, **{"factors": LEVELS, **arguments})
    return {item.kind: item for item in findings(load_results([written])).items}


def learned(directory: Path, **columns: Sequence[float | None]) -> Finding:
    return items(directory, edit=with_reference(**columns))["learned"]


TRAINED = [0.70, 0.71, 0.72]


def test_it_learned(tmp_path: Path) -> None:
    finding = learned(
        tmp_path, knn_accuracy=TRAINED, knn_accuracy_start=[0.67, 0.67, 0.67], knn_accuracy_pixels=[0.60] * 3
    )
    assert finding.text == (
        "The reference learned: training changed its kNN accuracy by +4.0 points (95 % interval +1.5 to "
        "+6.5, 3 seeds), from the 67.0 % of its own untrained encoder. Compared with raw pixels (60.0 %), it "
        "is higher: +11.0 points (95 % interval +8.5 to +13.5, 3 seeds)."
    )
    assert finding.values["learned"] == "yes"
    assert finding.values["start"] == pytest.approx(0.67)
    assert finding.values["start_difference"] == pytest.approx(0.04)
    assert finding.values["start_low"] == pytest.approx(0.04 - 4.302653 * 0.01 / 3**0.5)
    assert finding.values["start_high"] == pytest.approx(0.04 + 4.302653 * 0.01 / 3**0.5)
    assert (finding.values["start_seeds"], finding.caveat) == (3, False)


def test_seeds_are_paired(tmp_path: Path) -> None:
    """Starts that differ by ten points between seeds: unpaired, the interval would cover zero."""
    finding = learned(tmp_path, knn_accuracy=[0.63, 0.74, 0.85], knn_accuracy_start=[0.60, 0.70, 0.80])
    assert "+4.0 points (95 % interval +1.5 to +6.5, 3 seeds), from the 70.0 %" in finding.text
    assert finding.values["learned"] == "yes"


def test_it_did_not_learn(tmp_path: Path) -> None:
    finding = learned(
        tmp_path, knn_accuracy=TRAINED, knn_accuracy_start=[0.75] * 3, knn_accuracy_pixels=[0.82] * 3
    )
    assert finding.text == (
        "The reference did not learn: training changed its kNN accuracy by −4.0 points (95 % interval −6.5 "
        "to −1.5, 3 seeds), from the 75.0 % of its own untrained encoder. Compared with raw pixels (82.0 %), "
        "it is lower: −11.0 points (95 % interval −13.5 to −8.5, 3 seeds)."
    )
    assert finding.values["learned"] == "no"


@pytest.mark.parametrize(("start", "estimate"), [(0.70, "+1.0"), (0.72, "−1.0"), (0.71, "+0.0")])
def test_an_interval_that_covers_zero_shows_nothing(tmp_path: Path, start: float, estimate: str) -> None:
    finding = learned(
        tmp_path, knn_accuracy=TRAINED, knn_accuracy_start=[start] * 3, knn_accuracy_pixels=[start] * 3
    )
    assert finding.text.startswith("The reference is not shown to have learned: training changed its kNN")
    assert f"by {estimate} points (95 % interval" in finding.text
    assert "untrained encoder; the interval includes zero. Compared with raw pixels" in finding.text
    assert f"it is not shown to differ: {estimate} points" in finding.text
    assert finding.values["learned"] == "not shown"


def test_one_seed_says_what_it_saw(tmp_path: Path) -> None:
    edit = with_reference(knn_accuracy=[0.70], knn_accuracy_start=[0.66], knn_accuracy_pixels=[0.60])
    finding = items(tmp_path, seeds=(0,), edit=edit)["learned"]
    assert finding.text == (
        "Whether the reference learned is unknown: training changed its kNN accuracy by +4.0 points (one "
        "seed, so no interval), from the 66.0 % of its own untrained encoder. Compared with raw pixels "
        "(60.0 %): +10.0 points (one seed, so no interval)."
    )
    assert (finding.values["learned"], finding.values["start_low"]) == ("unknown", None)


def test_older_tables_leave_it_unknown(tmp_path: Path) -> None:
    finding = items(tmp_path, controls=False)["learned"]
    assert finding.text == (
        "Whether the reference learned is unknown: the tables hold no kNN accuracy of its untrained encoder."
    )


def test_pixels_are_compared_where_the_start_is_missing(tmp_path: Path) -> None:
    finding = learned(tmp_path, knn_accuracy=TRAINED, knn_accuracy_start=[None] * 3)
    assert (
        "of its untrained encoder. Compared with raw pixels (70.0 %), it is not shown to differ"
        in finding.text
    )


def test_without_labels_it_is_unknown(tmp_path: Path) -> None:
    finding = items(tmp_path, labels=False)["learned"]
    assert finding.text == (
        "Whether the reference learned is unknown: no trial of it ran to its end with a kNN accuracy."
    )


def test_only_seeds_with_both_values_count(tmp_path: Path) -> None:
    finding = learned(tmp_path, knn_accuracy=[0.70, None, 0.72], knn_accuracy_start=[0.67, 0.90, 0.69])
    assert finding.values["start_seeds"] == 2
    assert finding.values["start_difference"] == pytest.approx(0.03)
    assert finding.values["start"] == pytest.approx(0.68)
    assert "by +3.0 points (the same in all 2 seeds, so no interval), from the 68.0 %" in finding.text


NOT_LEARNED = "Effects on accuracy are not interpretable: the reference did not learn."


def test_effects_on_accuracy_are_marked_where_it_did_not_learn(tmp_path: Path) -> None:
    findings_by_kind = items(tmp_path, edit=with_reference(knn_accuracy_start=[0.90] * 3))
    caveat = findings_by_kind["not-learned"]
    assert caveat.caveat
    assert caveat.text == (
        f"{NOT_LEARNED} A difference in kNN accuracy between cells then says how far training moved each "
        "from its random start, not what a component is worth to a learner that learns. Findings about "
        "collapse are not affected."
    )
    assert findings_by_kind["knn"].text.endswith(f". {NOT_LEARNED}")
    assert list(findings_by_kind)[-2:] == ["not-learned", "seeds"]  # the first of the caveats


def test_effects_are_marked_where_it_is_not_shown_to_have_learned(tmp_path: Path) -> None:
    edit = with_reference(knn_accuracy=TRAINED, knn_accuracy_start=[0.71] * 3)
    findings_by_kind = items(tmp_path, edit=edit)
    words = "Effects on accuracy are not interpretable: the reference is not shown to have learned."
    assert findings_by_kind["not-learned"].text.startswith(words)
    assert findings_by_kind["knn"].text.endswith(f". {words}")


@pytest.mark.parametrize("arguments", [{}, {"controls": False}, {"seeds": (0,)}, {"labels": False}])
def test_nothing_is_marked_where_it_learned_or_nobody_knows(
    tmp_path: Path, arguments: dict[str, Any]
) -> None:
    findings_by_kind = items(tmp_path, **arguments)
    assert "not-learned" not in findings_by_kind
    assert not any("interpretable" in item.text for item in findings_by_kind.values())


def test_findings_about_collapse_are_not_affected(tmp_path: Path) -> None:
    factors = {"encoder_norm": ["batch", "group"], "head_norm": ["batch", "none"]}
    before = items(tmp_path / "learned", factors=factors)
    start = with_reference(knn_accuracy_start=[0.90] * 3)
    after = items(tmp_path / "not", factors=factors, edit=start)
    changed = {kind for kind in after if after[kind] != before.get(kind)}
    assert changed == {"learned", "knn", "not-learned", "shortcut"}  # all about accuracy


def test_figures_of_accuracy_say_it(tmp_path: Path) -> None:
    factors = {"encoder_norm": ["batch", "group"], "head_norm": ["batch", "none"]}
    start = with_reference(knn_accuracy_start=[0.90] * 3)
    not_learned = load_results([write_sweep(tmp_path / "not", factors=factors, edit=start)]).studies[0]
    learned_study = load_results([write_sweep(tmp_path / "learned", factors=factors)]).studies[0]
    for make in (accuracy.knn_by_cell, accuracy.knn_ecdf, slopes.slopes, forest.forest):
        marked, unmarked = make(not_learned), make(learned_study)
        assert marked is not None
        assert unmarked is not None
        assert marked.caption.startswith(f"{NOT_LEARNED} ")
        assert "interpretable" not in unmarked.caption
    assert NOT_LEARNED in comparisons(not_learned, cells_of(not_learned))
    assert "interpretable" not in comparisons(learned_study, cells_of(learned_study))


def test_slopes_of_the_std_and_effects_on_collapse_are_not_marked(tmp_path: Path) -> None:
    factors = {"encoder_norm": ["batch", "group"], "head_norm": ["batch", "none"]}

    def only_the_reference_has_accuracies(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            reference = row["cell_id"] == trials[0]["cell_id"]
            row.update({"knn_accuracy_start": 0.9} if reference else {"knn_accuracy": None})

    written = write_sweep(tmp_path, factors=factors, edit=only_the_reference_has_accuracies)
    study = load_results([written]).studies[0]
    panel = forest.forest(study)
    assert panel is not None
    assert {row[0] for row in panel.table[1]} == {
        "collapse of the representation, points", "collapse of the projection, points",
    }  # fmt: skip
    assert "interpretable" not in panel.caption


def test_it_stands_after_the_reference(sweep: Path) -> None:
    kinds = [item.kind for item in findings(load_results([sweep])).items]
    assert kinds[:3] == ["verdict", "reference", "learned"]
