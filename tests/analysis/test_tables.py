"""Tables made elsewhere: what fits is read, whatever its type; what cannot be true is named."""

import math
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.findings import findings
from analysis.load import load_results
from analysis.page.report import render
from analysis.results import StudyResults

STUDY = "name: elsewhere\nfactors:\n  predictor: [mlp, none]\n  tau_base: [0.99, 0]\n"
LONG = "x" * 20_000


def table(**columns: Any) -> pd.DataFrame:
    """Two cells of two seeds, with the required columns only, or with others in their place."""
    rows: dict[str, Any] = {
        "trial_id": ["a", "b", "c", "d"],
        "seed": [0, 1, 0, 1],
        "state": "COMPLETE",
        "collapsed": [False, False, True, True],
        "f_predictor": ["mlp", "mlp", "none", "none"],
        "f_tau_base": 0.99,
    }
    return pd.DataFrame({**rows, **columns})


def read(folder: Path, trials: pd.DataFrame, study: str = STUDY) -> StudyResults:
    (folder / "study.yaml").write_text(study)
    trials.to_parquet(folder / "trials.parquet")
    return load_results([folder]).studies[0]


def refused(folder: Path, trials: pd.DataFrame, study: str = STUDY) -> str:
    """The one line with which a table is refused, without the path of its folder."""
    with pytest.raises(ValueError, match=re.escape(str(folder))) as raised:
        read(folder, trials, study)
    message = str(raised.value)
    assert "\n" not in message
    assert len(message) < len(str(folder)) + 500
    return message.removeprefix(f"{folder}/")


def test_the_required_columns_suffice_for_a_whole_report(tmp_path: Path) -> None:
    study = read(tmp_path, table())
    assert study.trials["outcome"].tolist() == ["survived"] * 2 + ["collapsed"] * 2
    assert study.factors[1].levels == ("0.99", "0")
    results = load_results([tmp_path])
    assert findings(results).counts.collapsed == 2
    assert "elsewhere" in render(results)


@pytest.mark.parametrize("missing", ["trial_id", "seed", "state", "collapsed"])
def test_a_required_column_that_is_missing_is_named(tmp_path: Path, missing: str) -> None:
    message = refused(tmp_path, table().drop(columns=missing))
    assert message == (
        f"trials.parquet: must have the columns trial_id, seed, state, collapsed, but lacks {missing}"
    )


def test_factors_without_a_column_are_named(tmp_path: Path) -> None:
    message = refused(tmp_path, table().drop(columns=["f_tau_base", "f_predictor"]))
    assert message == (
        "trials.parquet: must have a column for each factor of study.yaml, but lacks f_predictor and "
        "f_tau_base"
    )


OTHER_TYPES: dict[str, tuple[dict[str, Any], str, list[Any]]] = {
    "whole numbers as floats": ({"seed": [0.0, 1.0, 0.0, 1.0]}, "seed", [0, 1, 0, 1]),
    "small whole numbers": ({"seed": pd.Series([0, 1, 0, 1], dtype="uint8")}, "seed", [0, 1, 0, 1]),
    "flags as numbers": ({"collapsed": [0, 0, 1, 1]}, "collapsed", [False, False, True, True]),
    "flags with null, as floats": (
        {"collapsed": [0.0, 0.0, 1.0, math.nan]}, "collapsed", [False, False, True, None],
    ),
    "flags with null, as objects": (
        {"collapsed": pd.Series([False, False, True, None], dtype="object")},
        "collapsed",
        [False, False, True, None],
    ),
    "text as categories": (
        {"state": pd.Categorical(["COMPLETE", "COMPLETE", "COMPLETE", "FAIL"])},
        "state",
        ["COMPLETE", "COMPLETE", "COMPLETE", "FAIL"],
    ),
    "ids as numbers": ({"trial_id": [7, 8, 9, 10]}, "trial_id", ["7", "8", "9", "10"]),
    "accuracies as whole numbers": ({"knn_accuracy": [0, 1, 0, 1]}, "knn_accuracy", [0.0, 1.0, 0.0, 1.0]),
    "text that is all null": ({"error": math.nan}, "error", [None] * 4),
}  # fmt: skip


@pytest.mark.parametrize("kind", OTHER_TYPES)
def test_values_that_fit_are_read_whatever_their_type(tmp_path: Path, kind: str) -> None:
    columns, name, expected = OTHER_TYPES[kind]
    column = read(tmp_path, table(**columns)).trials[name]
    assert [None if pd.isna(value) else value for value in column] == expected


@pytest.mark.parametrize("by_id", [False, True])
def test_the_rows_of_a_filtered_table_and_of_one_by_trial(tmp_path: Path, by_id: bool) -> None:
    wider = pd.concat([table(trial_id=list("efgh"), seed=[5, 6, 5, 6]), table()], ignore_index=True)
    trials = wider[wider["seed"] < 5]
    study = read(tmp_path, trials.set_index("trial_id") if by_id else trials)
    assert study.trials["trial_id"].tolist() == list("abcd")
    assert study.trials.index.tolist() == [0, 1, 2, 3]


def test_other_columns_may_hold_anything(tmp_path: Path) -> None:
    study = read(tmp_path, table(started=datetime(2026, 1, 1), notes=[[1], [2], [], None]))
    assert len(study.trials) == 4


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "percentages": (
        {"knn_accuracy": [0.5, 78.2, 80.1, math.nan]},
        "knn_accuracy, row 1: must be a share, from 0 to 1, but got 78.2 (and in 1 more row)",
    ),
    "a negative std": (
        {"representation_std": [0.5, 0.5, 0.5, -0.1]},
        "representation_std, row 3: must be at least 0, but got -0.1",
    ),
    "negative steps": ({"steps_run": [5, -5, 5, 5]}, "steps_run, row 1: must be at least 0, but got -5"),
    "an unknown state": (
        {"state": ["COMPLETE", "COMPLETE", "done", "COMPLETE"]},
        "state, row 2: must be one of WAITING, RUNNING, COMPLETE, PRUNED, FAIL, but got 'done'",
    ),
    "an unknown end": (
        {"end_reason": ["finished", None, "stopped", None]}, "end_reason, row 2: must be one of finished, ",
    ),
    "a level that the study lacks": (
        {"f_predictor": ["mlp", "mlp", "none", "linear"]},
        "f_predictor, row 3: must be one of mlp, none (as in study.yaml), but got 'linear'",
    ),
    "an endless level": (
        {"f_predictor": ["mlp", LONG, "none", "none"]},
        f"f_predictor, row 1: must be one of mlp, none (as in study.yaml), but got '{LONG[:58]}…",
    ),
    "a time for a level": (
        {"f_tau_base": datetime(2026, 1, 1)}, "f_tau_base, row 0: must be text, a number, true or false, ",
    ),
    "a list for a level": ({"f_tau_base": [[1]] * 4}, "f_tau_base, row 0: must be text, a number, true or"),
    "a seed that is not whole": (
        {"seed": [0, 1, 0, 1.5]}, "seed, row 3: must be a whole number, but got 1.5",
    ),
    "a seed as text": ({"seed": list("0101")}, "seed, row 0: must be a whole number, but got '0' (and in 3"),
    "an endless seed": ({"seed": [0, 1, 0, math.inf]}, "seed, row 3: must be a whole number, but got inf"),
    "no seed": ({"seed": [0, 1, None, 1]}, "seed, row 2: must not be null, but got null"),
    "no id": ({"trial_id": ["a", None, "c", "d"]}, "trial_id, row 1: must not be null, but got null"),
    "a flag as text": (
        {"collapsed": ["no", "no", "yes", "yes"]},
        "collapsed, row 0: must be true, false or null, but got 'no' (and in 3 more rows)",
    ),
    "a flag as a list": ({"collapsed": [[0]] * 4}, "collapsed, row 0: must be true, false or null, but got"),
    "an accuracy as text": ({"knn_accuracy": "0.5"}, "knn_accuracy, row 0: must be a number, but got '0.5'"),
    "an accuracy as a decimal": (
        {"knn_accuracy": Decimal("0.5")}, "knn_accuracy, row 0: must be a number, but got Decimal('0.5')",
    ),
    "a device as a number": ({"device": 0.5}, "device, row 0: must be text, but got 0.5"),
    "the same id": (
        {"trial_id": ["a", "b", "b", "a"]},
        "trial_id, row 2: must differ from row 1, but both have b (and in 1 more row)",
    ),
    "the same endless id": (
        {"trial_id": [LONG, "b", "c", LONG]},
        f"trial_id, row 3: must differ from row 0, but both have {LONG[:39]}…",
    ),
    "the same cell and seed": (
        {"seed": [0, 1, 0, 0]},
        "f_predictor, f_tau_base, seed, row 3: must differ from row 2, but both have none, 0.99, 0",
    ),
    "the same cell without a level, and seed": (
        {"f_tau_base": None, "seed": [0, 1, 0, 0]},
        "f_predictor, f_tau_base, seed, row 3: must differ from row 2, but both have none, not set, 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_what_cannot_be_true_is_named_with_file_column_and_row(tmp_path: Path, kind: str) -> None:
    columns, message = WRONG[kind]
    assert refused(tmp_path, table(**columns)).startswith(f"trials.parquet: {message}")


MEASURED = {"trial_id": ["a", "a"], "step": [0, 5], "representation_std": [0.5, 0.4]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop(columns="step"), "must have the columns trial_id, step, but lacks step"),
        (
            lambda rows: rows.assign(step=5),
            "trial_id, step, row 1: must differ from row 0, but both have a, 5",
        ),
        (lambda rows: rows.assign(step=[0, 0.5]), "step, row 1: must be a whole number, but got 0.5"),
        (lambda rows: rows.assign(step=[0, None]), "step, row 1: must not be null, but got null"),
        (lambda rows: rows.assign(knn_accuracy=[50, 60]), "knn_accuracy, row 0: must be a share"),
    ],
)
def test_measurements_are_checked_too(
    tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    metrics = pd.DataFrame(MEASURED)
    metrics.to_parquet(tmp_path / "metrics.parquet")
    assert len(read(tmp_path, table()).metrics) == 2
    change(metrics).to_parquet(tmp_path / "metrics.parquet")
    assert refused(tmp_path, table()).startswith(f"metrics.parquet: {message}")


@pytest.mark.parametrize("eigenvalues", [[None, None], ["ab", "cd"], [1.0, 2.0], [["a"], ["b"]]])
def test_spectra_are_checked_too(tmp_path: Path, eigenvalues: list[Any]) -> None:
    spectra = pd.DataFrame({"trial_id": ["a", "a"], "step": [0, 5], "level": "representation"})
    spectra.assign(eigenvalues=pd.Series([[2.0, 1.0], []])).to_parquet(tmp_path / "spectra.parquet")
    assert len(read(tmp_path, table()).spectra) == 2
    spectra.assign(eigenvalues=pd.Series(eigenvalues)).to_parquet(tmp_path / "spectra.parquet")
    message = refused(tmp_path, table())
    assert message.startswith("spectra.parquet: eigenvalues, row 0: must be a list of numbers, but got")


@pytest.mark.parametrize(
    ("study", "message"),
    [
        ("name: [", "study.yaml: cannot be read"),
        ("- a list", "study.yaml: must hold a mapping, not list"),
        ("factors: {predictor: mlp}", "study.yaml: factors: each must have a name and a list of levels"),
        ("factors: [{levels: [1]}]", "study.yaml: factors: each must have a name and a list of levels"),
        ("factors: 3", "study.yaml: factors: each must have a name and a list of levels"),
        ("collapse: {representation_threshold: low}", "collapse.representation_threshold: must be a number"),
        ("collapse: 3", "study.yaml: collapse: must be a mapping, but got 3"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_study_file_is_named(tmp_path: Path, study: str, message: str) -> None:
    (tmp_path / "f").mkdir()
    with pytest.raises(ValueError, match=re.escape(message)):
        read(tmp_path / "f", table(), study)


def test_a_study_as_it_is_resolved_and_as_it_is_written_are_the_same(tmp_path: Path) -> None:
    resolved = (
        "name: elsewhere\nfactors:\n- {name: predictor, levels: [{label: mlp, settings: {predictor: mlp}}, "
        "{label: none, settings: {predictor: none}}]}\n"
    )
    written = "name: elsewhere\nfactors: {predictor: {mlp: {predictor: mlp}, none: {predictor: none}}}\n"
    conditional = "name: elsewhere\nfactors: {predictor: {levels: [mlp, none], when: {tau_base: 0.99}}}\n"
    first, second, third = (
        read(tmp_path, table(), text).factors[0] for text in (resolved, written, conditional)
    )
    assert first == second == third
    assert (first.levels, first.settings) == (("mlp", "none"), frozenset({"predictor"}))


def test_cells_that_lack_seeds_are_a_caveat(tmp_path: Path) -> None:
    trials = table(seed=[0, 1, 0, 2])
    read(tmp_path, trials)
    (caveat,) = (item for item in findings(load_results([tmp_path])).items if item.kind == "unequal-seeds")
    assert "2 of 2 (the reference lacks 2; no predictor lacks 1)" in caveat.text
    assert "Cells without all seeds" in render(load_results([tmp_path]))
