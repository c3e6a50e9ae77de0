"""Which case a study is, and the numbers behind it."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.cells import cells_of
from analysis.load import load_results
from analysis.results import StudyResults
from analysis.stats import Interval, wilson
from analysis.verdict import Case, Verdict, removals, seeds_with_collapse, study_verdict
from analysis.verdict.decide import outlook
from analysis.verdict.interval import reduction
from analysis.verdict.rules import family
from analysis.verdict.search import search
from analysis.verdict.thresholds import threshold_grid
from benchmarks.verdict_simulation import full, leave_one_out
from tests.analysis.tables import Row, unfinished, write_sweep

Edit = Callable[[list[Row], list[Row]], None]


def collapsing(truth: Callable[[Row], bool]) -> Edit:
    """An edit by which the representation collapses where the truth says so."""

    def edit(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            row.update(collapsed=truth(row), representation_std=0.01 if truth(row) else 0.8)

    return edit


def failing(trials: list[Row], metrics: list[Row]) -> None:
    for row in trials:
        row.update(state="FAIL", end_reason="error", collapsed=None)


def loss_of_two_cells(trials: list[Row], metrics: list[Row]) -> None:
    lost = {trials[1]["cell_id"], trials[5]["cell_id"]}
    for row in trials:
        if row["cell_id"] in lost:
            row.update(state="FAIL", end_reason="error", collapsed=None)


def verdict(folder: Path, **arguments: Any) -> Verdict:
    return study_verdict(load_results([write_sweep(folder, **arguments)]).studies[0]).representation


@pytest.mark.parametrize(
    ("arguments", "case"),
    [
        ({}, Case.CLAIMED),
        ({"edit": failing}, Case.ALL_FAILED),
        ({"edit": unfinished(after=0)}, Case.NO_RESULTS),
        ({"edit": collapsing(lambda row: True)}, Case.EVERYTHING_COLLAPSED),
        ({"factors": {"tau_base": [0.99, 0.9, 0.0]}}, Case.NOTHING_COLLAPSED),
        ({"edit": loss_of_two_cells}, Case.CLAIMED),
        ({"seeds": (0,)}, Case.UNDETERMINED),
    ],
    ids=lambda value: value if isinstance(value, Case) else "",
)
def test_every_case(tmp_path: Path, arguments: dict[str, Any], case: Case) -> None:
    assert verdict(tmp_path, **arguments).case == case


def test_rules_that_no_cell_tells_apart_are_tied(tmp_path: Path) -> None:
    def only_extremes(trials: list[Row], metrics: list[Row]) -> None:
        collapsing(lambda row: row["f_p"] == 2)(trials, metrics)
        for row in trials:
            if row["f_p"] != row["f_q"]:
                row.update(state="FAIL", end_reason="error", collapsed=None)

    result = verdict(tmp_path, factors={"p": [1, 2], "q": [1, 2]}, seeds=range(7), edit=only_extremes)
    assert result.case == Case.TIED
    assert result.rule is None
    assert [rule.factors for rule in result.aliases] == [((1,),)]
    assert [cell.labels for cell in result.open_cells] == [("1", "2"), ("2", "1")]


def test_the_claim_and_its_counts(study: StudyResults) -> None:
    result = study_verdict(study)
    found = result.representation.found
    assert found is not None
    assert found.rule.factors == ((0,), (1,))
    assert (found.inside.collapsed, found.inside.trials) == (0, 36)
    assert (found.outside.collapsed, found.outside.trials) == (12, 12)
    assert found.adjusted_p == 0.001
    assert result.representation.difference == 1
    projection = result.projection.found
    assert projection is not None
    assert projection.rule.factors == ((1, 2), (1, 3))  # heads with batch norm, and predictor or slow target


def test_exceptions_are_the_cells_outside_in_which_nothing_collapsed(tmp_path: Path) -> None:
    either = collapsing(lambda row: (row["f_predictor"] == "none") != (row["f_tau_base"] == 0))
    result = verdict(tmp_path, edit=either)
    assert result.found is not None
    assert result.found.rule.factors == ((2, 3),)
    assert {cell.labels[2:] for cell in result.exceptions} == {("none", "0")}
    assert len(result.exceptions) == 4


def test_the_thresholds_end_where_the_rule_changes(tmp_path: Path) -> None:
    def spread(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            without = row["f_encoder_norm"] == "group"
            row.update(collapsed=without, representation_std=0.02 if without else 0.8)
            if not without and row["f_predictor"] == "none":
                row["representation_std"] = 0.33

    result = verdict(tmp_path, edit=spread)
    assert result.thresholds is not None
    assert (result.thresholds.low, result.thresholds.high) == (0.025, 0.3)
    assert 0.02 in threshold_grid(0.1)  # not collapsed at .02, which is not below it


def test_thresholds_are_unknown_without_a_std(tmp_path: Path) -> None:
    def unmeasured(trials: list[Row], metrics: list[Row]) -> None:
        trials[0]["representation_std"] = None

    result = verdict(tmp_path, edit=unmeasured)
    assert result.case == Case.CLAIMED
    assert result.thresholds is None


def newcombe(k1: int, n1: int, k2: int, n2: int) -> Interval:
    """Of k2/n2 - k1/n1, from two Wilson intervals (Newcombe 1998, method 10)."""
    first, second = wilson(k1, n1), wilson(k2, n2)
    assert first.interval is not None
    assert second.interval is not None
    p1, p2 = first.estimate, second.estimate
    below = math.hypot(p2 - second.interval.low, first.interval.high - p1)
    above = math.hypot(second.interval.high - p2, p1 - first.interval.low)
    return Interval(low=max(-1.0, p2 - p1 - below), high=min(1.0, p2 - p1 + above))


def test_the_interval_is_newcombes_and_wider_where_seeds_differ() -> None:
    inside = np.array([True, True, False, False])
    alike = np.array([[0.0, 0, 0], [0, 0, 0], [1, 1, 1], [1, 1, 1]])
    expected = newcombe(0, 6, 6, 6)
    interval = reduction(alike, inside, 1.959964)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-5)

    by_seed = np.array([[0.0, 0, 0], [0, 0, 0], [1, 1, 0], [1, 1, 0]])
    mixed = np.array([[0.0, 0, 0], [0, 0, 0], [1, 1, 0], [1, 0, 1]])
    expected = newcombe(0, 6, 4, 6)
    narrow, wide = reduction(mixed, inside, 1.959964), reduction(by_seed, inside, 1.959964)
    assert (narrow.low, narrow.high) == pytest.approx((expected.low, expected.high), abs=1e-5)
    # Squares over their degrees of freedom: (2 (2 - 4/3)^2 + (4/3)^2) / (2 * 2/3 * 1/3) / 2 = 3, so 6 trials
    # outside count as 2: Wilson's interval of 2/3 with n = 2 begins at .1594.
    no_trial_inside = newcombe(0, 6, 0, 6).high
    assert wide.low == pytest.approx(2 / 3 - math.hypot(2 / 3 - 0.1594, no_trial_inside), abs=1e-4)


def test_what_would_decide_it() -> None:
    """Two seeds of five cells: 4 of 25 arrangements are as good, 4 of 5^4 with the seeds repeated."""
    rules, collapsed = family(leave_one_out(4)), np.zeros((5, 2))
    collapsed[1] = 1
    found = search(collapsed, rules)
    assert found is not None
    assert found.adjusted_p == pytest.approx(4 / 25)
    view = outlook(collapsed, rules, found)
    assert view.least_p == pytest.approx(4 / 25)
    assert view.seeds == 4


def test_some_questions_more_seeds_like_these_do_not_decide() -> None:
    collapsed = np.array([[0.0, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]])
    rules = family(full(2))
    found = search(collapsed, rules)
    assert found is not None
    view = outlook(collapsed, rules, found)
    assert (view.seeds, view.most_seeds) == (None, 15)


def test_a_seed_counts_once_however_many_cells_collapsed_in_it(study: StudyResults) -> None:
    seeds = seeds_with_collapse(cells_of(study), study.seeds)
    assert (seeds.k, seeds.n) == (3, 3)
    assert seeds_with_collapse([], study.seeds).interval is None


def test_only_seeds_with_a_result_in_all_cells_count(tmp_path: Path) -> None:
    study = load_results([write_sweep(tmp_path, edit=unfinished(after=17))]).studies[0]
    seeds = seeds_with_collapse(cells_of(study), study.seeds)
    assert (seeds.k, seeds.n) == (1, 1)


def test_removals_need_results(study: StudyResults) -> None:
    changes = removals(cells_of(study))
    assert changes is not None
    assert (len(changes.fatal), len(changes.harmless)) == (0, 4)
    assert removals(cells_of(study)[1:]) is None
