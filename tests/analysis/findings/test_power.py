"""What an earlier sweep says about how many seeds are needed, and why a sequence of seeds ended."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from analysis.findings import findings
from analysis.findings.power import outlooks
from analysis.findings.sequence import sequence_finding
from analysis.load import load_results
from analysis.power import smallest_difference, spread
from analysis.results import StudyResults
from tests.analysis.tables import Row, write_sweep

SEEDS = {"min": 3, "max": 10, "until": "decided"}


@pytest.mark.parametrize("seeds", [3, 8])
def test_the_smallest_difference_is_found_in_80_percent_of_sweeps(seeds: int) -> None:
    effect = smallest_difference(2.0, seeds)
    draws = np.random.default_rng(0).normal(effect, 2.0, size=(20_000, seeds))
    assert (stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05).mean() == pytest.approx(0.8, abs=0.01)


def test_the_spread_is_that_of_paired_differences(tmp_path: Path) -> None:
    def differing(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            changed = row["f_predictor"] == "none"
            row.update(collapsed=False, knn_accuracy=0.5 + 0.1 * row["seed"] + changed * 0.02 * row["seed"])

    factors = {"predictor": ["mlp", "none"]}
    study = load_results([write_sweep(tmp_path, factors=factors, edit=differing)]).studies[0]
    found = spread(study)
    assert found is not None
    assert (found.cells, found.seeds) == (1, 3)
    assert found.sd == pytest.approx(0.02), "what all cells share does not count"


def test_an_open_verdict_has_the_same_numbers_as_in_the_report(tmp_path: Path) -> None:
    def strays(trials: list[Row], metrics: list[Row]) -> None:
        for index, row in enumerate(trials):
            row.update(collapsed=index in (1, 17))

    results = load_results([write_sweep(tmp_path, edit=strays)])
    found = outlooks(results.studies[0], [3, 12])
    assert found.lines[0].removeprefix("representation: open. ") in findings(results).sentences[0]
    level, accuracy = found.values["representation"], found.values["knn_accuracy"]
    assert isinstance(level, dict)
    assert isinstance(accuracy, dict)
    assert level["case"] == "undetermined"
    assert list(accuracy["smallest_difference"]) == ["3", "5", "8", "10", "12"]


def test_one_seed_says_nothing(tmp_path: Path) -> None:
    study = load_results([write_sweep(tmp_path, seeds=[0])]).studies[0]
    found = outlooks(study)
    assert found.lines == (
        "With one seed nothing can be said: how much the results vary between seeds is unknown.",
    )
    assert set(found.values) == {"study", "seeds"}


def test_the_report_says_why_a_sequence_ended(tmp_path: Path, study: StudyResults) -> None:
    assert sequence_finding(study) is None
    results = load_results([write_sweep(tmp_path, study={"seeds": SEEDS})])
    assert (
        findings(results)
        .sentences[1]
        .startswith(
            "Stopped after 3 of at most 10 seeds, because a rule passes for the representation. The p and"
        )
    )
