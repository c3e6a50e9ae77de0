"""What trials ran under: mixtures are counted, and factors along which they run are found, and only these."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.audit import audit
from analysis.cells import cells_of
from analysis.comparisons import comparison_rows
from analysis.effects import Measure, effects_on
from analysis.findings import findings, study_findings
from analysis.findings.finding import Finding
from analysis.load import load_results
from analysis.outcomes import count
from analysis.page.report import render
from analysis.provenance import CODE, DATA_SETTINGS, confounded, mixtures, ran_under
from analysis.results import StudyResults
from analysis.study_file import stated_factors
from analysis.verdict import Case, study_verdict
from tests.analysis.tables import Row, write_sweep

PROVENANCE = ("commit", "clean", "versions", "data_digest", "device", "precision")
OLD, NEW = "a" * 40, "b" * 40


def sweep(folder: Path, change: Callable[[Row], dict[str, Any]], **options: Any) -> StudyResults:
    """A sweep whose trials ran under the same, except for what `change` says of a row."""

    def edit(trials: list[Row], metrics: list[Row]) -> None:
        same = (OLD, True, "python 3.11.9, torch 2.15.0", "d" * 64, "cpu", "fp32")
        for row in trials:
            row.update(zip(PROVENANCE, same, strict=True))
            row.update(change(row))

    return load_results([write_sweep(folder, edit=edit, **options)]).studies[0]


def caveats(study: StudyResults) -> dict[str, Finding]:
    return {item.kind: item for item in study_findings(study).items if item.caveat}


def rows(study: StudyResults) -> dict[str, str]:
    return dict(audit(study, cells_of(study), count(study.trials)))


def test_a_sweep_of_one_piece_has_rows_and_no_caveats(tmp_path: Path) -> None:
    study = sweep(tmp_path, lambda row: {})
    assert not mixtures(study)
    assert not confounded(study)
    assert not {"code", "versions", "device", "precision", "data", "confounded"} & caveats(study).keys()
    assert rows(study)["Code"] == "aaaaaaaaaa in 48 trials"
    assert rows(study)["Data"] == "dddddddddddd in 48 trials"


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        ({"commit": NEW}, "code", "at different states of the code (aaaaaaaaaa in 47 and bbbbbbbbbb in 1)"),
        ({"clean": False}, "code", "(aaaaaaaaaa in 47 and aaaaaaaaaa with changes in 1)"),
        (
            {"versions": "python 3.11.9, torch 2.14.0"},
            "versions",
            "with different versions (torch 2.14.0 in 1 and torch 2.15.0 in 47)",
        ),
        ({"device": "H100"}, "device", "on different devices (H100 in 1 and cpu in 47)"),
        ({"precision": "bf16"}, "precision", "in different precisions (bf16 in 1 and fp32 in 47)"),
        ({"data_digest": "e" * 64}, "data", "on different data (dddddddddddd in 47 and eeeeeeeeeeee in 1)"),
    ],
)
def test_one_trial_that_ran_under_something_else_is_a_caveat_and_is_named(
    tmp_path: Path, change: dict[str, Any], kind: str, text: str
) -> None:
    chosen: list[str] = []

    def edit(row: Row) -> dict[str, Any]:
        chosen[:] = chosen or [row["trial_id"]]
        return change if row["trial_id"] == chosen[0] else {}

    study = sweep(tmp_path, edit)
    assert [mixture.condition.name for mixture in mixtures(study)] == [kind]
    caveat = caveats(study)[kind]
    assert caveat.text.startswith("Trials ran ")
    assert text in caveat.text
    assert sorted(caveat.values.values()) == [1, 47]  # type: ignore[type-var]
    assert f"in 1 trial ({chosen[0]})" in rows(study)[kind.capitalize()]
    assert not confounded(study)


def test_the_digest_of_the_code_decides_where_it_is_known(tmp_path: Path) -> None:
    """Another commit of the same sources is the same code; a changed tree of one commit may be two codes."""
    same = sweep(tmp_path / "same", lambda row: {"code": "1" * 64, "commit": NEW if row["seed"] else OLD})
    assert not mixtures(same)
    assert rows(same)["Code"] == "aaaaaaaaaa in 48 trials"
    states = {0: ("1" * 64, True), 1: ("2" * 64, False), 2: ("3" * 64, False)}
    other = sweep(
        tmp_path / "other", lambda row: dict(zip(("code", "clean"), states[row["seed"]], strict=True))
    )
    assert rows(other)["Code"].startswith("aaaaaaaaaa in 16 trials; aaaaaaaaaa with changes in 16 trials (se")
    assert "aaaaaaaaaa with changes, code 3333333333 in 16 trials (seed 2)" in rows(other)["Code"]
    unknown = pd.DataFrame({"commit": [None, None], "clean": [None, None], "code": ["0" * 64, "1" * 64]})
    assert [*ran_under(unknown, CODE)] == ["0" * 64, "1" * 64]


def test_what_is_not_known_is_no_difference_but_is_counted(tmp_path: Path) -> None:
    study = sweep(tmp_path, lambda row: dict.fromkeys(PROVENANCE) if row["seed"] == 2 else {})
    assert not mixtures(study)
    assert rows(study)["Versions"] == (
        "python 3.11.9, torch 2.15.0 in 32 trials; unknown in 16 trials (seed 2)"
    )


def test_seeds_that_ran_at_another_commit_confound_no_factor(tmp_path: Path) -> None:
    study = sweep(tmp_path, lambda row: {"commit": NEW} if row["seed"] == 2 else {})
    assert caveats(study)["code"].text.endswith("within a seed all ran under the same.")
    assert rows(study)["Code"] == "aaaaaaaaaa in 32 trials; bbbbbbbbbb in 16 trials (seed 2)"
    assert not confounded(study)


CHANGES: dict[str, dict[str, Any]] = {
    "code": {"commit": NEW},
    "versions": {"versions": "torch 1"},
    "device": {"device": "H100"},
    "precision": {"precision": "bf16"},
    "data": {"data_digest": "e" * 64},
}


@pytest.mark.parametrize("condition", CHANGES)
def test_a_condition_that_runs_along_a_factor_confounds_it_alone(tmp_path: Path, condition: str) -> None:
    study = sweep(tmp_path, lambda row: CHANGES[condition] if row["f_predictor"] == "none" else {})
    assert list(confounded(study)) == ["predictor"]
    text = confounded(study)["predictor"]
    assert text.startswith(f"confounded with the {condition} (mlp: ")
    assert text.count(" in 24") == 2
    assert caveats(study)["confounded"].text.startswith(f"predictor is {text}. Nothing here can tell its")


def test_effects_of_a_confounded_factor_are_not_given(tmp_path: Path) -> None:
    clean = sweep(tmp_path / "clean", lambda row: {})
    mixed = sweep(tmp_path / "mixed", lambda row: CHANGES["device"] if row["f_predictor"] == "none" else {})
    index = [factor.name for factor in mixed.factors].index("predictor")
    for measure in Measure:
        assert any(index in effect.factors for effect in effects_on(clean, measure))
        assert not any(index in effect.factors for effect in effects_on(mixed, measure))
    rows_by_name = {row[0]: row for row in comparison_rows(mixed, cells_of(mixed))}
    assert set(rows_by_name["no predictor"][3:8]) == {"confounded"}
    assert "confounded" not in rows_by_name["tau 0"]


def test_two_conditions_along_one_factor_are_said_together(tmp_path: Path) -> None:
    both = {**CHANGES["code"], **CHANGES["device"]}
    study = sweep(tmp_path, lambda row: both if row["f_tau_base"] == 0 else {})
    assert confounded(study) == {
        "tau_base": "confounded with the code (0.99: aaaaaaaaaa in 24; 0: bbbbbbbbbb in 24) and the device "
        "(0.99: cpu in 24; 0: H100 in 24)"
    }


@pytest.mark.parametrize(("strays", "is_confounded"), [(0, True), (2, True), (3, False), (12, False)])
def test_a_few_strays_do_not_hide_it(tmp_path: Path, strays: int, is_confounded: bool) -> None:
    seen = []

    def change(row: Row) -> dict[str, Any]:
        if row["f_predictor"] == "mlp":
            return {}
        seen.append(row)
        return CHANGES["device"] if len(seen) > strays else {}

    assert bool(confounded(sweep(tmp_path, change))) == is_confounded


def test_devices_drawn_at_random_confound_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(5):
        study = sweep(tmp_path / str(number), lambda row: {"device": str(rng.choice(["A100", "H100"]))})
        assert [mixture.condition.name for mixture in mixtures(study)] == ["device"]
        assert not confounded(study)


def test_in_a_leave_one_out_the_reference_alone_decides(tmp_path: Path) -> None:
    """Every factor has both devices at its first level, but each is compared with the reference."""

    def is_reference(row: Row) -> bool:
        labels = [row[f"f_{name}"] for name in ("encoder_norm", "head_norm", "predictor", "tau_base")]
        return labels == ["batch", "batch", "mlp", 0.99]

    study = sweep(
        tmp_path, lambda row: CHANGES["device"] if is_reference(row) else {}, design="leave-one-out"
    )
    assert list(confounded(study)) == ["encoder_norm", "head_norm", "predictor", "tau_base"]
    text = caveats(study)["confounded"].text
    assert text.count("confounded with the device (batch: H100 in 3; ") == 2
    assert "; 1 more factor likewise. Nothing here can tell their effects" in text


def test_without_matched_cells_whole_levels_are_compared(tmp_path: Path) -> None:
    factors = {"a": [0, 1], "b": [0, 1], "c": [0, 1]}

    def halve(trials: list[Row], metrics: list[Row]) -> None:
        trials[:] = [row for row in trials if (row["f_a"] + row["f_b"] + row["f_c"]) % 2 == 0]
        for row in trials:
            row["device"] = "H100" if row["f_b"] else "cpu"

    study = load_results([write_sweep(tmp_path, factors=factors, edit=halve)]).studies[0]
    assert list(confounded(study)) == ["b"]


@pytest.mark.parametrize(
    ("factor", "levels", "column"),
    [
        ("precision", ["bf16", "fp32"], "precision"),
        ("dataset", ["cifar10", "stl10"], "data_digest"),
        ("image_size", [20, 28], "data_digest"),
    ],
)
def test_what_a_factor_varies_on_purpose_is_no_difference(
    tmp_path: Path, factor: str, levels: list[Any], column: str
) -> None:
    factors = {factor: levels, "predictor": ["mlp", "none"]}
    planned = sweep(tmp_path / "planned", lambda row: {column: f"for {row[f'f_{factor}']}"}, factors=factors)
    assert not mixtures(planned)
    assert not confounded(planned)

    def other(row: Row) -> dict[str, Any]:
        return {column: f"for {row[f'f_{factor}']}" + (" and" if row["f_predictor"] == "none" else "")}

    besides = sweep(tmp_path / "besides", other, factors=factors)
    assert list(confounded(besides)) == ["predictor"]
    assert len(mixtures(besides)) == 1


def test_a_named_level_that_sets_the_data_explains_it(tmp_path: Path) -> None:
    levels = [{"label": label, "settings": {"dataset": label, "lr": 1}} for label in ("cifar10", "stl10")]
    study = sweep(
        tmp_path,
        lambda row: {"data_digest": row["f_domain"]},
        factors={"domain": ["cifar10", "stl10"]},
        study={"factors": [{"name": "domain", "levels": levels}]},
    )
    assert not mixtures(study)


def test_trials_without_a_result_are_not_compared(tmp_path: Path) -> None:
    failed = {"device": "H100", "state": "FAIL", "end_reason": "error"}
    study = sweep(tmp_path, lambda row: failed if row["f_predictor"] == "none" else {})
    assert not mixtures(study)
    assert not confounded(study)


def test_many_and_endless_names_stay_short(tmp_path: Path) -> None:
    numbers = itertools.count()

    def change(row: Row) -> dict[str, Any]:
        number = f"{next(numbers)}"
        endless = {"device": "x" * 20_000 + number, "versions": f"torch {number}, " + "y" * 20_000}
        return {**endless, "commit": number + " z" * 10_000, "data_digest": number + " z" * 10_000}

    study = sweep(tmp_path, change)
    for kind in ("device", "versions", "code", "data"):
        assert len(caveats(study)[kind].text) < 600
        assert " others in " in caveats(study)[kind].text
        assert len(rows(study)[kind.capitalize()]) < 1000


def test_older_tables_take_it_from_a_manifest_whose_drivers_agree(tmp_path: Path) -> None:
    def older(folder: str, **manifest: Any) -> Path:
        directory = write_sweep(tmp_path / folder, seeds=(0 if folder == "a" else 1,))
        path = directory / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | manifest))
        return directory

    first, second = older("a"), older("b", git={"commit": NEW, "clean": False})
    (study,) = load_results([first, second]).studies
    assert caveats(study)["code"].text == (
        "Trials ran at different states of the code (0123456789 in 16 and bbbbbbbbbb with changes in 16), so "
        "differences between them can be the code's; within a seed all ran under the same."
    )
    drivers = [
        {"git": {"commit": commit, "clean": True}, "versions": {"torch": "2"}} for commit in (OLD, NEW)
    ]
    trials = load_results([older("c", drivers=drivers)]).studies[0].trials
    assert trials["commit"].isna().all(), "nobody knows which driver ran which trial"
    assert set(trials["versions"]) == {"torch 2"}


def test_directories_with_other_data_are_not_merged(tmp_path: Path) -> None:
    def digest(folder: str, value: str | None, seed: int) -> Path:
        def edit(trials: list[Row], metrics: list[Row]) -> None:
            for row in trials:
                row["data_digest"] = value

        directory = write_sweep(tmp_path / folder, seeds=(seed,), edit=edit)
        (directory / "manifest.json").unlink()
        return directory

    one, other, unknown = digest("a", "d" * 64, 0), digest("b", "e" * 64, 1), digest("c", None, 2)
    assert load_results([one, other]).names == ("made-up in a", "made-up in b")
    (merged,) = load_results([one, unknown]).studies
    assert "for 16 of 32 trials it is not known on which data they ran" in caveats(merged)["merged"].text
    assert "merged" not in caveats(load_results([one]).studies[0])


def test_data_sets_are_compared_by_the_factor_that_chooses_them(tmp_path: Path) -> None:
    def digest(folder: str, seed: int, suffix: str = "") -> Path:
        def edit(trials: list[Row], metrics: list[Row]) -> None:
            for row in trials:
                row["data_digest"] = row["f_dataset"] + (suffix if row["f_dataset"] == "stl10" else "")

        factors = {"dataset": ["cifar10", "stl10"]}
        return write_sweep(tmp_path / folder, factors=factors, seeds=(seed,), edit=edit)

    one, same, other = digest("a", 0), digest("b", 1), digest("c", 2, suffix=" again")
    assert not mixtures(load_results([one, same]).studies[0])
    assert load_results([one, same, other]).names == ("made-up in a", "made-up in c")


def test_one_cell_and_seed_as_two_trials_is_not_merged(tmp_path: Path) -> None:
    def renamed(trials: list[Row], metrics: list[Row]) -> None:
        trials[5]["trial_id"] = "another"

    one = write_sweep(tmp_path / "a", seeds=(0,))
    other = write_sweep(tmp_path / "b", seeds=(0,), edit=renamed)
    assert load_results([one, other]).names == ("made-up in a", "made-up in b")


def collapsing_without(name: str, change: Callable[[Row], dict[str, Any]]) -> Callable[[Row], dict[str, Any]]:
    """Collapse at both levels of the network where a factor is at "none", and what `change` says besides."""

    def both(row: Row) -> dict[str, Any]:
        gone = row[f"f_{name}"] == "none"
        std = 0.01 if gone else 0.8
        stds = {"representation_std": std, "projection_std": std}
        return {"collapsed": gone, "projection_collapsed": gone, **stds, **change(row)}

    return both


def on_another_device(name: str) -> Callable[[Row], dict[str, Any]]:
    return lambda row: CHANGES["device"] if row[f"f_{name}"] == "none" else {}


def test_no_rule_over_a_confounded_factor_is_claimed(tmp_path: Path) -> None:
    study = sweep(tmp_path, collapsing_without("predictor", on_another_device("predictor")))
    verdict = study_verdict(study).representation
    assert (verdict.case, verdict.rule, verdict.difference) == (Case.CONFOUNDED, None, None)
    first = study_findings(study).items[0]
    assert first.text.startswith(
        "What prevents collapse cannot be told: predictor is confounded with the device (mlp: cpu in 24; "
        "none: H100 in 24). The representation collapsed in 24 of 48 trials. The projection collapsed in 24 "
        "of 48 trials; what prevents that cannot be told either."
    )
    values = first.values
    assert (values["rule"], values["confounded"], values["inside"]) == (None, ["predictor"], None)
    text = render(load_results([tmp_path]))
    assert "representation: cannot be told: a factor is confounded" in text


def test_a_factor_confounded_that_no_rule_names_is_no_hindrance(tmp_path: Path) -> None:
    factors = {"predictor": ["mlp", "none"], "head_norm": ["batch", "none"]}
    change = collapsing_without("predictor", on_another_device("head_norm"))
    study = sweep(tmp_path, change, factors=factors, seeds=range(4))
    assert list(confounded(study)) == ["head_norm"]
    assert study_verdict(study).representation.case == Case.CLAIMED
    assert study_findings(study).items[0].values["confounded"] == []


def test_a_rule_that_says_the_same_as_one_over_a_confounded_factor_is_not_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """p and q change together in all cells that have a result, and q alone counts as confounded."""

    def edit(trials: list[Row], metrics: list[Row]) -> None:
        trials[:] = [row for row in trials if row["f_p"] == row["f_q"]]
        for row in trials:
            row.update(collapsed=row["f_p"] == 2, representation_std=0.01 if row["f_p"] == 2 else 0.8)

    factors = {"p": [1, 2], "q": [1, 2]}
    study = load_results([write_sweep(tmp_path, factors=factors, seeds=range(7), edit=edit)]).studies[0]
    assert study_verdict(study).representation.case == Case.TIED
    study_verdict.cache_clear()
    monkeypatch.setattr("analysis.verdict.verdict.confounded", lambda study: {"q": "confounded"})
    verdict = study_verdict(study).representation
    assert (verdict.case, verdict.confounded) == (Case.CONFOUNDED, (1,))
    study_verdict.cache_clear()


def test_a_confounded_change_is_not_said_to_have_made_it_collapse(tmp_path: Path) -> None:
    change = collapsing_without("predictor", on_another_device("predictor"))
    study = sweep(tmp_path, change, design="leave-one-out")
    item = next(item for item in study_findings(study).items if item.kind == "removals")
    assert "made it collapse" not in item.text
    assert (
        "These changes alone did not make it collapse: encoder norm group, no head norm, tau 0 (" in item.text
    )
    assert item.text.endswith(
        "With no predictor (collapsed in 3 of 3 seeds, 95 % interval 29 to 100 %), its factor is "
        "confounded, so it cannot be told what does that."
    )
    assert item.values == {"fatal": 0, "harmless": 3, "confounded": 1}


def test_the_report_says_so(tmp_path: Path) -> None:
    sweep(tmp_path, lambda row: CHANGES["device"] if row["f_predictor"] == "none" else {})
    sentences = findings(load_results([tmp_path])).sentences
    assert any(sentence.startswith("predictor is confounded with the device") for sentence in sentences)


def test_arguments_of_own_data_choose_the_data() -> None:
    stated = stated_factors({"factors": {"dataset.count": [64, 128]}}, Path("study.yaml"))
    assert stated["dataset.count"].settings & DATA_SETTINGS == {"dataset"}
