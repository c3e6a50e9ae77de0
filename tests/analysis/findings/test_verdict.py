"""The first sentence, held against rows as they were written. What was once said wrongly has a test."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from analysis.findings import findings
from analysis.findings.finding import Finding
from analysis.load import load_results
from tests.analysis.tables import Row, unfinished, write_sweep

Edit = Callable[[list[Row], list[Row]], None]
TWO: dict[str, list[Any]] = {"predictor": ["mlp", "none"], "tau_base": [0.99, 0.0]}


def finding(directory: Path, kind: str = "verdict") -> Finding:
    return next(item for item in findings(load_results([directory])).items if item.kind == kind)


def collapsing(truth: Callable[[Row], bool]) -> Edit:
    """An edit by which representation and projection collapse where the truth says so."""

    def edit(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            std = 0.01 if truth(row) else 0.8
            row.update(collapsed=truth(row), projection_collapsed=truth(row))
            row.update(representation_std=std, projection_std=std)

    return edit


def test_the_rule_with_both_sides_in_trials(sweep: Path) -> None:
    text = finding(sweep).text
    assert text.startswith(
        "encoder_norm = batch, or head_norm = batch: the representation collapsed in 0 of 36 trials with, "
        "12 of 12 without (100 points fewer, 95 % "
    )
    assert "adjusted p 0.001; the same rule for every threshold tried from 0.01 to 0.7)." in text
    assert (
        "head_norm = batch and predictor = mlp, or head_norm = batch and tau_base = 0.99: the projection "
        "collapsed in 0 of 18 trials with, 30 of 30 without" in text
    )


def test_the_values_are_plain_data(sweep: Path) -> None:
    values = json.loads(json.dumps(finding(sweep).values))
    assert values["rule"] == [["encoder_norm"], ["head_norm"]]
    assert values["levels"] == [[["batch"]], [["batch"]]]
    assert values["inside"] == {"collapsed": 0, "trials": 36}
    assert values["outside"] == {"collapsed": 12, "trials": 12}
    assert (values["level"], values["adjusted_p"], values["rules"]) == ("representation", 0.001, 2168)
    assert values["thresholds"] == [0.01, 0.7]
    low, high = values["interval"]
    assert 0 < low < values["difference"] == high == 1
    assert values["projection"]["rule"] == [["head_norm", "predictor"], ["head_norm", "tau_base"]]


def test_nothing_is_claimed_without_a_rule_that_passes(tmp_path: Path) -> None:
    values = finding(write_sweep(tmp_path, factors=TWO, seeds=(0, 1))).values
    for name in ("rule", "inside", "outside", "difference", "interval", "thresholds"):
        assert values[name] is None


def test_each_level_has_its_own_answer_where_one_component_is_changed(tmp_path: Path) -> None:
    """As in the quickstart: more is fatal to the projection than to the representation."""

    def edit(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            fatal, flat = row["f_encoder_norm"] == "group", row["f_predictor"] == "none"
            row.update(collapsed=fatal, representation_std=0.004 if fatal else 0.5)
            row.update(projection_collapsed=fatal or flat, projection_std=0.01 if fatal or flat else 0.8)

    item = finding(write_sweep(tmp_path, design="leave-one-out", edit=edit))
    assert item.text.startswith(
        "encoder_norm = batch: the representation collapsed in 0 of 12 trials with, 3 of 3"
    )
    assert "adjusted p 0.032" in item.text  # 4 of 5^3 arrangements
    assert "Only one component was changed at a time" in item.text
    assert (
        "encoder_norm = batch and predictor = mlp: the projection collapsed in 0 of 9 trials with"
        in item.text
    )


def test_undetermined_says_what_would_decide_it(tmp_path: Path) -> None:
    fatal = collapsing(lambda row: row["f_predictor"] == "none")
    text = finding(write_sweep(tmp_path, design="leave-one-out", edit=fatal, seeds=(0, 1))).text
    assert text.startswith(
        "What prevents collapse is undetermined: so far the representation collapsed in 2 of 10"
    )
    assert "The best of 30 is predictor = mlp: collapse in 0 of 8 trials with, 2 of 2 without" in text
    assert "With 2 seeds not even a clean separation by it could pass (p 0.16); 4 seeds that coll" in text


def test_one_seed_claims_nothing(tmp_path: Path) -> None:
    item = finding(write_sweep(tmp_path, seeds=(0,)))
    assert item.values["rule"] is None
    assert "With one seed nothing is claimed" in item.text


def test_a_stray_in_the_reference_leaves_the_rule(tmp_path: Path) -> None:
    def stray(trials: list[Row], metrics: list[Row]) -> None:
        trials[0].update(collapsed=True, representation_std=0.01)

    item = finding(write_sweep(tmp_path, edit=stray))
    assert item.values["rule"] == [["encoder_norm"], ["head_norm"]]
    assert (
        "the representation collapsed in 1 of 36 trials with, 12 of 12 without (97 points fewer" in item.text
    )


def test_a_reference_that_collapsed_everywhere_names_no_cause(tmp_path: Path) -> None:
    directory = write_sweep(tmp_path, edit=collapsing(lambda row: row["f_predictor"] == "mlp"))
    item, removals = finding(directory), finding(directory, "removals").text
    assert item.text.startswith(
        "The reference itself collapsed in all 3 trials. predictor = none: the representation collapsed in "
        "0 of 24 trials with"
    )
    assert item.values["rule"] == [["predictor = none"]]
    assert item.values["levels"] == [[["none"]]]
    assert "made it collapse" not in removals
    assert removals.startswith("The reference itself collapsed in 3 of 3 seeds")
    assert "No collapse was seen here: no predictor (0 of 3 seeds" in removals


def test_a_remedy_is_named_with_its_level(tmp_path: Path) -> None:
    """As with negatives in BYOL: they prevent collapse, and so do predictor and slow target together."""
    factors = {"negatives_weight": [0, 1], **TWO}
    flat = collapsing(
        lambda row: (
            row["f_negatives_weight"] == 0 and (row["f_predictor"] == "none" or row["f_tau_base"] == 0)
        )
    )
    item = finding(write_sweep(tmp_path, factors=factors, seeds=range(5), edit=flat))
    assert item.text.startswith(
        "negatives_weight = 1, or predictor = mlp and tau_base = 0.99: the representation collapsed in 0 of "
        "25 trials with, 15 of 15 without (100 points fewer"
    )
    assert item.values["rule"] == [["negatives_weight = 1"], ["predictor", "tau_base"]]
    assert item.values["levels"] == [[["1"]], [["mlp"], ["0.99"]]]


def test_cells_with_fewer_seeds_are_not_counted_as_if_they_had_all(tmp_path: Path) -> None:
    def edit(trials: list[Row], metrics: list[Row]) -> None:
        unfinished(after=5)(trials, metrics)

    text = finding(write_sweep(tmp_path, factors={"predictor": ["mlp", "none"], "q": [1, 2]}, edit=edit)).text
    assert "in all 5 trials of 4 cells (collapse 1 to 2 seeds a cell" in text
    assert "over the seeds that all of them have: in 0 of 1 seed, so no interval" in text
    assert "of 3 seeds" not in text


def test_one_seed_shows_no_dependence_on_the_seed(tmp_path: Path) -> None:
    text = finding(write_sweep(tmp_path / "one", seeds=(0,)), "split").text
    assert text == (
        "Of 16 cells with results, 4 collapsed and 12 did not; with one seed each, nobody knows which depend "
        "on the seed."
    )
    some = finding(write_sweep(tmp_path / "some", edit=unfinished(after=20)), "split").text
    assert some.endswith("none depends on the seed, as far as 12 cells with one seed can tell.")


def test_no_level_of_a_conditional_factor_is_named_where_its_absence_survives_too(tmp_path: Path) -> None:
    factors: dict[str, list[Any]] = {
        "predictor": ["mlp", "none"],
        "predictor_norm": ["batch", "none"],
        "q": [1, 2],
    }
    edit = collapsing(lambda row: row["f_predictor_norm"] == "none")
    when = {"predictor_norm": {"predictor": "mlp"}}
    text = finding(write_sweep(tmp_path, factors=factors, when=when, edit=edit)).text
    assert text.startswith(
        "predictor_norm = batch or not set: the representation collapsed in 0 of 12 trials with"
    )


def test_removing_both_also_survives(tmp_path: Path) -> None:
    either = collapsing(lambda row: (row["f_predictor"] == "none") != (row["f_tau_base"] == 0))
    text = finding(write_sweep(tmp_path / "large", edit=either)).text
    assert text.startswith(
        "predictor = mlp and tau_base = 0.99: the representation collapsed in 0 of 12 trials"
    )
    assert "Without it, these did not collapse either: no predictor and tau 0 (0 of 3); " in text
    small = finding(write_sweep(tmp_path / "small", factors=TWO, edit=either)).text
    assert "undetermined" in small
    assert "Without it, this did not collapse either: no predictor and tau 0 (0 of 3)." in small


def test_a_corner_that_diverged_is_said_to_have_diverged(tmp_path: Path) -> None:
    def corner(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            if row["f_predictor"] == "none" and row["f_tau_base"] == 0:
                row.update(end_reason="diverged")

    text = finding(write_sweep(tmp_path, factors=TWO, edit=corner)).text
    assert text.startswith("Nothing collapsed")
    assert "undetermined" not in text
    assert text.endswith("Without any result: no predictor and tau 0 (3 diverged).")


def test_where_everything_failed_the_errors_are_summed_up(tmp_path: Path) -> None:
    def fail(trials: list[Row], metrics: list[Row]) -> None:
        for index, row in enumerate(trials):
            error = "CUDA out of memory" if index % 3 else "OSError: no such file"
            row.update(state="FAIL", end_reason="error", collapsed=None, error=error)

    item = finding(write_sweep(tmp_path, edit=fail))
    text = item.text
    assert (item.values["case"], item.values["rule"]) == ("all_failed", None)
    assert text == (
        "No verdict: none of the 48 planned trials came to a result. Ended without one: 48 failed. Errors, "
        "with their number of trials: “CUDA out of memory” (32); “OSError: no such file” (16)."
    )


def projection_collapsing(trials: list[Row], metrics: list[Row]) -> None:
    for row in trials:
        flat = row["f_predictor"] == "none"
        row.update(projection_collapsed=flat, projection_std=0.01 if flat else 0.8)


def test_what_is_shown_comes_first(tmp_path: Path) -> None:
    def edit(trials: list[Row], metrics: list[Row]) -> None:
        collapsing(lambda row: False)(trials, metrics)
        projection_collapsing(trials, metrics)

    text = finding(write_sweep(tmp_path, factors=TWO, edit=edit)).text
    assert text.startswith("predictor = mlp: the projection collapsed in 0 of 6 trials with, 6 of 6 without")
    assert text.endswith(
        "The representation kept its spread in all 12 trials of 4 cells (collapse in 0 of 3 seeds, 95 % "
        "interval 0 to 71 %): no component is shown to be needed for that at this scale."
    )
    assert "Nothing collapsed" not in text


def test_an_open_question_about_the_representation_comes_after_the_projection(tmp_path: Path) -> None:
    def edit(trials: list[Row], metrics: list[Row]) -> None:
        collapsing(lambda row: row["seed"] == 1)(trials, metrics)
        projection_collapsing(trials, metrics)

    text = finding(write_sweep(tmp_path, factors=TWO, edit=edit)).text
    assert text.startswith("predictor = mlp: the projection collapsed in 0 of 6 trials")
    assert text.endswith(
        "What prevents collapse of the representation is undetermined: so far the representation collapsed "
        "in 4 of 12 trials, and no rule over the components passes. Collapse is as frequent with each "
        "component as without."
    )


def test_one_trial_and_one_cell_are_counted_in_the_singular(tmp_path: Path) -> None:
    one_left = collapsing(lambda row: row["f_predictor"] == "mlp" or row["f_tau_base"] == 0)
    text = finding(write_sweep(tmp_path, factors=TWO, seeds=(0,), edit=one_left)).text
    assert text.startswith(
        "What prevents collapse is undetermined: so far the representation collapsed in 3 of 4 trials, all "
        "of one seed. The reference itself collapsed in its only trial. Of the other 3 cells, 1 did not "
        "collapse: no predictor (0 of 1). The best of "
    )


def test_an_interval_that_ends_below_0_by_less_than_half_a_point_has_no_minus_0(tmp_path: Path) -> None:
    """As in the quickstart, with 0 of 12 and 3 of 3."""
    fatal = collapsing(lambda row: row["f_predictor"] == "none")
    item = finding(write_sweep(tmp_path, design="leave-one-out", edit=fatal))
    assert item.interval is not None
    assert -0.005 < item.interval.low < 0
    assert "(100 points fewer, 95 % 0 to 100; adjusted p 0.032" in item.text


def test_everything_collapsed(tmp_path: Path) -> None:
    text = finding(write_sweep(tmp_path, edit=collapsing(lambda row: True))).text
    assert text.startswith("Everything collapsed: the representation in all 48 trials")
