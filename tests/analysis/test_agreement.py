"""Published pairs against results whose differences are known; and the file of published tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from analysis.agreement import Agreement, PairResult, agreements, tally
from analysis.figures import agreement as agreement_figure
from analysis.findings import study_findings
from analysis.findings.agreement import agreement_rows, pair_text
from analysis.load import load_results
from analysis.page.report import render
from analysis.published import Measure, Pair, Table, published
from analysis.results import StudyResults
from tests.analysis.tables import Row, write_sweep

TAUS: dict[str, float] = {"tau .99": 0.99, "tau 1": 1.0, "tau .999": 0.999, "tau .9": 0.9, "tau 0": 0.0}
HALF_WIDTH = 4.302653 / 3**0.5
"""Of a 95 % t interval over three seeds, in standard deviations."""


def target_study(
    directory: Path, accuracies: Mapping[str, Sequence[float | None]], start: float = 0.5, **edits: Any
) -> StudyResults:
    """A sweep of TAUS with these final kNN accuracies by seed, which reproduces table 5a."""

    def edit(trials: list[Row], metrics: list[Row]) -> None:
        condition = {tau: name for name, tau in TAUS.items()}
        for row in trials:
            row["knn_accuracy_start"] = start
            name = condition[row["f_tau_base"]]
            if name in accuracies:
                row["knn_accuracy"] = accuracies[name][row["seed"]]
        for change in edits.values():
            change(trials, metrics)

    reproduces = {"byol-table-5a": {name: {"tau_base": tau} for name, tau in TAUS.items() if tau != 0.99}}
    reproduces["byol-table-5a"]["tau .99"] = {}
    factors = {"tau_base": list(TAUS.values())}
    write_sweep(directory, factors=factors, study={"reproduces": reproduces}, edit=edit)
    return load_results([directory]).studies[0]


def results(study: StudyResults) -> dict[str, PairResult]:
    """By the pair in words."""
    return {pair_text(item.pair): item for table in agreements(study) for item in table.pairs}


AS_PUBLISHED = {
    "tau .99": [0.70, 0.72, 0.71],
    "tau 1": [0.60, 0.63, 0.62],  # lower by .10, .09, .09
    "tau .999": [0.75, 0.78, 0.76],  # higher by .05, .06, .05
    "tau .9": [0.68, 0.74, 0.70],  # lower by .02, -.02, .01
    "tau 0": [0.50, 0.52, 0.51],  # lower by .20 in every seed
}


def test_a_pair_is_decided_by_the_interval_of_the_paired_difference(tmp_path: Path) -> None:
    found = results(target_study(tmp_path, AS_PUBLISHED))
    first = found["tau .99 > tau 1"]
    assert first.agreement is Agreement.AGREES
    assert (first.n, first.reason) == (3, "")
    assert first.size == pytest.approx(53.7)
    assert first.estimate == pytest.approx(0.28 / 3)
    assert first.interval is not None
    half = HALF_WIDTH * (1 / 3) ** 0.5 / 100
    assert (first.interval.low, first.interval.high) == pytest.approx((0.28 / 3 - half, 0.28 / 3 + half))
    assert found["tau .99 > tau .999"].agreement is Agreement.DISAGREES
    assert found["tau .99 > tau .9"].agreement is Agreement.CANNOT_TELL
    assert found["tau .99 > tau .9"].reason == "the interval covers 0"
    equal = found["tau .99 > tau 0"]
    assert equal.estimate == pytest.approx(0.2)
    assert (equal.agreement, equal.interval, equal.reason) == (
        Agreement.CANNOT_TELL,
        None,
        "there is no interval",
    )


def test_the_finding_counts_them(tmp_path: Path) -> None:
    study = target_study(tmp_path, AS_PUBLISHED)
    [finding] = [item for item in study_findings(study).items if item.kind == "agreement"]
    counts = tally(list(results(study).values()))
    assert sum(counts.values()) == finding.values["n"] == 9
    text = (
        f"Of 9 published orderings of BYOL, table 5a, {counts[Agreement.AGREES]} agree, "
        f"1 disagrees, {counts[Agreement.CANNOT_TELL]} cannot be told."
    )
    assert finding.text == text
    assert finding.values["disagrees"] == 1


def test_the_report_lists_them(tmp_path: Path) -> None:
    study = target_study(tmp_path, AS_PUBLISHED)
    page = render(load_results([tmp_path]))
    for cells in agreement_rows(agreements(study)[0].pairs):
        assert "".join(f"<td>{text.replace('>', '&gt;')}</td>" for text in cells) in page
    assert "for the reader to judge" not in page
    row = "<td>tau .99 &gt; tau 1</td><td>+53.7 points</td><td>+9.3 points (+7.9 to +10.8; 3 seeds)</td>"
    assert f"{row}<td>agrees</td>" in page


def test_a_study_that_reproduces_nothing_leaves_it_to_the_reader(sweep: Path, study: StudyResults) -> None:
    assert agreements(study) == ()
    assert all(item.kind != "agreement" for item in study_findings(study).items)
    assert "for the reader to judge" in render(load_results([sweep]))


def test_accuracies_say_nothing_where_the_reference_did_not_learn(tmp_path: Path) -> None:
    found = results(target_study(tmp_path / "below", AS_PUBLISHED, start=0.8))
    for text in ("tau .99 > tau 1", "spread over seeds: tau 0 > tau .99"):
        assert found[text].agreement is Agreement.CANNOT_TELL
        assert found[text].reason == "the reference did not learn"
    assert found["tau .99 > tau 1"].interval is not None
    found = results(target_study(tmp_path / "either", AS_PUBLISHED, start=0.71))
    assert found["tau .99 > tau 1"].reason == "the reference is not shown to have learned"
    spread = results(collapse_study(tmp_path / "spread", start=0.9))
    assert spread["projection std: reference > no stop-gradient"].agreement is Agreement.AGREES


def test_only_full_length_trials_and_seeds_with_all_values_count(tmp_path: Path) -> None:
    def stop(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            if row["f_tau_base"] == 1.0 and row["seed"] == 2:
                row.update(end_reason="collapsed", collapsed=True, steps_run=50)

    found = results(target_study(tmp_path, AS_PUBLISHED, stop=stop))
    assert found["tau .99 > tau 1"].n == 2
    assert found["tau .99 > tau 1"].estimate == pytest.approx(0.095)
    none: dict[str, Sequence[float | None]] = {**AS_PUBLISHED, "tau 1": [None, None, None]}
    missing = results(target_study(tmp_path / "none", none))["tau .99 > tau 1"]
    assert (missing.estimate, missing.n, missing.reason) == (None, 0, "there are no values of both")


def test_the_spread_over_seeds_is_compared_as_a_ratio(tmp_path: Path) -> None:
    accuracies = {"tau .99": [0.70, 0.701, 0.699], "tau 0": [0.50, 0.60, 0.41]}
    ratio = results(target_study(tmp_path, accuracies))["spread over seeds: tau 0 > tau .99"]
    # Standard deviations .001 and .0950; they go nearly together, which is what makes three seeds enough.
    assert ratio.estimate == pytest.approx(95.04, abs=0.01)
    assert ratio.interval is not None
    assert ratio.interval.low > 1
    assert ratio.agreement is Agreement.AGREES
    larger = {"tau .99": [0.70, 0.72, 0.71], "tau 0": [0.60, 0.63, 0.62]}
    open_ = results(target_study(tmp_path / "open", larger))["spread over seeds: tau 0 > tau .99"]
    assert (open_.agreement, open_.reason) == (Agreement.CANNOT_TELL, "the interval covers 1")


def test_fluctuation_is_compared_by_trial(tmp_path: Path) -> None:
    def shake(trials: list[Row], metrics: list[Row]) -> None:
        taus = {row["trial_id"]: (row["f_tau_base"], row["seed"]) for row in trials}
        for row in metrics:
            tau, seed = taus[row["trial_id"]]
            size = (0.05 + 0.002 * seed) if tau == 0 else 0.01
            row["knn_accuracy"] = 0.7 + size * (row["step"] // 10 % 2)

    item = results(target_study(tmp_path, AS_PUBLISHED, shake=shake))[
        "fluctuation of kNN accuracy: tau 0 > tau .99"
    ]
    assert item.estimate == pytest.approx(0.042)
    assert item.agreement is Agreement.AGREES


def collapse_study(
    directory: Path, start: float = 0.6, difference: float = 0.0, std: float = 0.01
) -> StudyResults:
    """Reference, a cell whose projection collapses, and one with another setting that is as good."""

    def edit(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            gap = difference if row["f_variant"] == "same" else 0.1 if row["f_variant"] == "bad" else 0
            row["knn_accuracy"] = 0.7 - gap + 0.001 * row["seed"] * (row["f_variant"] != "full")
            row["knn_accuracy_start"] = start - 0.001 * row["seed"]
            if row["f_variant"] == "bad":
                row["projection_std"] = std + 0.001 * row["seed"]

    conditions = {"reference": {}, "no stop-gradient": {"variant": "bad"}}
    reproduces = {
        "simsiam-section-4": {**conditions, "predictor lr not decayed": {"variant": "same"}},
        "of-a-later-version": {"reference": {}},
        "byol-table-21": {"predictor lr x 1": {}},
    }
    factors = {"variant": ["full", "bad", "same"]}
    write_sweep(directory, factors=factors, study={"reproduces": reproduces}, edit=edit)
    return load_results([directory]).studies[0]


@pytest.mark.parametrize(
    ("std", "agreement", "reason"),
    [  # the threshold is .1, and the reference has more than .5
        (0.01, Agreement.AGREES, ""),
        (0.3, Agreement.DISAGREES, "lower, but it did not collapse"),
        (0.0985, Agreement.CANNOT_TELL, "it collapsed in 2 of 3 seeds"),
    ],
)
def test_a_std_that_is_only_lower_is_not_the_collapse_that_was_published(
    tmp_path: Path, std: float, agreement: Agreement, reason: str
) -> None:
    item = results(collapse_study(tmp_path, std=std))["projection std: reference > no stop-gradient"]
    assert item.interval is not None
    assert item.interval.low > 0
    assert (item.agreement, item.reason) == (agreement, reason)


@pytest.mark.parametrize(
    ("difference", "agreement"),
    [
        (0.0, Agreement.AGREES),
        (0.015, Agreement.AGREES),
        (0.019, Agreement.CANNOT_TELL),
        (-0.02, Agreement.CANNOT_TELL),
        (0.05, Agreement.DISAGREES),
        (-0.05, Agreement.DISAGREES),
    ],
)
def test_alike_is_within_two_points(tmp_path: Path, difference: float, agreement: Agreement) -> None:
    # The half width of the interval is .0025, around the difference less .001.
    item = results(collapse_study(tmp_path, difference=difference))["reference ≈ predictor lr not decayed"]
    assert item.interval is not None
    assert item.interval.high - item.interval.low == pytest.approx(2 * HALF_WIDTH / 1000)
    assert item.agreement is agreement


def test_pairs_with_a_condition_that_is_not_there_are_left_out(tmp_path: Path) -> None:
    """So are tables of which no pair is whole, and those that this version does not know."""
    [table] = agreements(collapse_study(tmp_path))
    assert table.table.name == "simsiam-section-4"
    assert len(table.pairs) == 3


def test_a_difference_of_differences(tmp_path: Path) -> None:
    """Without negatives the predictor is worth 30, 32 and 31 points, with them 1, 2 and 3."""
    worth = {(0.0, "none"): [0.30, 0.32, 0.31], (1.0, "none"): [0.01, 0.02, 0.03]}

    def edit(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            loss = worth.get((row["f_negatives_weight"], row["f_predictor"]), [0, 0, 0])[row["seed"]]
            row.update(knn_accuracy=0.7 + 0.01 * row["seed"] - loss, knn_accuracy_start=0.5)

    cells = {
        "predictor and target": {},
        "target only": {"predictor": "none"},
        "predictor and target, negatives": {"negatives_weight": 1},
        "target only, negatives": {"negatives_weight": 1, "predictor": "none"},
    }
    factors: dict[str, list[Any]] = {"negatives_weight": [0.0, 1.0], "predictor": ["mlp", "none"]}
    write_sweep(tmp_path, factors=factors, study={"reproduces": {"byol-table-5b": cells}}, edit=edit)
    item = results(load_results([tmp_path]).studies[0])[
        "(predictor and target − target only) > (predictor and target, negatives − target only, negatives)"
    ]
    assert item.size == pytest.approx((72.5 - 0.2) - (70.9 - 70.7))
    assert item.estimate == pytest.approx((0.29 + 0.30 + 0.28) / 3)
    assert item.agreement is Agreement.AGREES


def test_a_factor_that_is_absent_is_not_named(tmp_path: Path) -> None:
    factors = {"predictor": ["mlp", "none"], "predictor_norm": ["batch", "none"]}
    cells = {"predictor and target": {}, "target only": {"predictor": "none"}}
    write_sweep(
        tmp_path,
        factors=factors,
        when={"predictor_norm": {"predictor": "mlp"}},
        study={"reproduces": {"byol-table-5b": cells}},
    )
    assert "predictor and target > target only" in results(load_results([tmp_path]).studies[0])


def test_directories_with_and_without_the_section_are_one_study(tmp_path: Path) -> None:
    cells = {"byol-table-5a": {"tau .99": {}, "tau 0": {"tau_base": 0}}}
    factors = {"tau_base": [0.99, 0.0]}
    first = write_sweep(tmp_path / "a", factors=factors, seeds=(0, 1), study={"reproduces": cells})
    second = write_sweep(tmp_path / "b", factors=factors, seeds=(2, 3))
    [study] = load_results([first, second]).studies
    assert results(study)["tau .99 > tau 0"].n == 4


ALL_PAIRS = [(table, pair) for table in published().tables.values() for pair in table.pairs]


@pytest.mark.parametrize(
    ("table", "pair"), ALL_PAIRS, ids=[f"{table.name}: {pair_text(pair)}" for table, pair in ALL_PAIRS]
)
def test_a_published_pair_is_well_formed(table: Table, pair: Pair) -> None:
    assert set(pair.conditions) <= set(table.results)
    assert len(set(pair.conditions)) == len(pair.conditions)
    assert len(pair.higher) == len(pair.lower) in (1, 2)
    assert pair.claim is None or pair.claim in published().claims
    size = table.size(pair)
    if pair.alike:
        assert pair.measure is Measure.ACCURACY
        assert len(pair.higher) == 1
        assert size is not None
        assert abs(size) < 0.5 + 1e-9
    elif size is not None:
        assert size > 0.5
    if len(pair.higher) == 2:
        assert pair.measure is not Measure.SEED_SPREAD


def test_the_published_tables_name_no_pair_twice_and_test_every_claim() -> None:
    keys = [(table.name, frozenset({pair.higher, pair.lower}), pair.measure) for table, pair in ALL_PAIRS]
    assert len(set(keys)) == len(keys)
    assert {pair.claim for _, pair in ALL_PAIRS} - {None} == set(published().claims)
    assert all(table.pairs for table in published().tables.values())
    assert set(published().tables) == {
        *(f"byol-table-{name}" for name in ("5a", "5b", "16", "17", "19", "21")),
        *("simsiam-section-4", "fetterman-albrecht-2020", "richemond-2020"),
        *("tian-2021", "hoppe-2022", "tinyssl-2026"),
    }


def test_the_figure_shows_each_pair_with_its_verdict(tmp_path: Path) -> None:
    study = target_study(tmp_path, AS_PUBLISHED)
    panel = agreement_figure.agreement(study)
    assert panel is not None
    pairs = [pair for table in agreements(study) for pair in table.pairs]
    drawn = {
        place: (trace.name, x)
        for trace in panel.figure.data
        for place, x in zip(trace.y, trace.x, strict=True)
    }
    assert len(panel.table[1]) == len(pairs)
    assert sorted(drawn) == [place for place, pair in enumerate(pairs) if pair.estimate is not None]
    for place, (name, x) in drawn.items():
        pair, estimate = pairs[place], pairs[place].estimate
        assert name == pair.agreement.value
        assert estimate is not None
        is_points = pair.pair.measure in (Measure.ACCURACY, Measure.FLUCTUATION)
        assert x == pytest.approx((100 if is_points else 1) * estimate, rel=1e-3)


def test_a_study_that_reproduces_nothing_has_no_such_figure(study: StudyResults) -> None:
    assert agreement_figure.agreement(study) is None
