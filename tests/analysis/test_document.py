"""findings.json is strict JSON, follows its schema, and has the numbers of the findings, in every case."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from analysis.document import OF_THE_VERDICT, document_text, findings_document
from analysis.effect_table import effects
from analysis.findings import findings, study_findings
from analysis.load import load_results
from tests.analysis.tables import Row, unfinished, write_sweep
from tests.test_architecture import ROOT

SCHEMA = json.loads((ROOT / "docs" / "findings.schema.json").read_text())
SMALL = {"encoder_norm": ["batch", "group"], "head_norm": ["batch", "none"]}


def document(*folders: Path) -> dict[str, Any]:
    """As written and read again, checked against the schema."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    text = document_text(findings_document(load_results(folders)))
    read: dict[str, Any] = json.loads(text, parse_constant=refuse)
    jsonschema.Draft202012Validator(SCHEMA).validate(read)
    return read


def all_failed(trials: list[Row], metrics: list[Row]) -> None:
    for row in trials:
        row.update(state="FAIL", end_reason="error", collapsed=None, error="ValueError: no")
        row.update(representation_std=None, knn_accuracy=None, projection_collapsed=None, onset_step=None)
    metrics.clear()


def not_finite(trials: list[Row], metrics: list[Row]) -> None:
    for row in trials:
        row.update(loss=1.0)  # constant, so that the rank correlation is NaN


SWEEPS: dict[str, Callable[[Path], Path]] = {
    "design": lambda path: write_sweep(path, factors=SMALL),
    "unequal": lambda path: write_sweep(path, factors=SMALL, edit=unfinished(7)),
    "empty": lambda path: write_sweep(path, factors=SMALL, edit=unfinished(0)),
    "failed": lambda path: write_sweep(path, factors=SMALL, edit=all_failed),
    "not finite": lambda path: write_sweep(path, factors=SMALL, edit=not_finite),
    "one seed": lambda path: write_sweep(path, factors=SMALL, seeds=[0]),
    "leave-one-out": lambda path: write_sweep(path, design="leave-one-out"),
    "search": lambda path: write_sweep(path, factors=SMALL, design="search", study={"factors": []}),
}


@pytest.mark.parametrize("case", SWEEPS)
def test_every_case_follows_the_schema(case: str, tmp_path: Path) -> None:
    read = document(SWEEPS[case](tmp_path))
    first, *others = read["items"]
    assert first["kind"] == "verdict"
    assert set(OF_THE_VERDICT) <= set(first)
    assert not any(set(OF_THE_VERDICT) & set(item) for item in others)
    if case != "design":
        assert first["rule"] is None or case in ("not finite", "leave-one-out")


def test_the_verdict_has_its_rule_and_counts_as_keys(tmp_path: Path) -> None:
    item = document(SWEEPS["design"](tmp_path))["items"][0]
    assert item["rule"] == [["encoder_norm"], ["head_norm"]]
    assert item["inside"] == {"collapsed": 0, "trials": 9}
    assert item["outside"] == {"collapsed": 3, "trials": 3}
    assert 0 < item["adjusted_p"] <= 0.05
    low, high = item["thresholds"]
    assert low <= 0.1 <= high
    assert item["interval"][0] < 1 == item["interval"][1]
    assert item["n"] == 12


def test_nothing_is_claimed_of_an_empty_and_of_a_failed_sweep(tmp_path: Path) -> None:
    for name, case in {"empty": "no_results", "failed": "all_failed"}.items():
        item = document(SWEEPS[name](tmp_path / name))["items"][0]
        assert [item[key] for key in OF_THE_VERDICT] == [case, None, None, None, None, None]
        assert item["n"] == 0


def test_numbers_survive_the_round_trip_exactly(sweep: Path) -> None:
    read, items = document(sweep)["items"], findings(load_results([sweep])).items
    assert [item["text"] for item in read] == [item.text for item in items]
    for written, finding in zip(read, items, strict=True):
        assert written["n"] == finding.n
        if finding.interval is not None:
            assert written["interval"] == [finding.interval.low, finding.interval.high]
        for name, value in finding.values.items():
            if isinstance(value, float) and math.isfinite(value):
                assert written["values"][name] == value


def test_intervals_are_those_of_the_texts(sweep: Path) -> None:
    items = {item["kind"]: item for item in document(sweep)["items"]}
    assert items["reference"]["interval"] == pytest.approx([0, 0.7076], abs=1e-4)
    assert "0 to 71 %" in items["reference"]["text"]
    assert items["knn"]["interval"] == [items["knn"]["values"]["low"], items["knn"]["values"]["high"]]
    assert items["learned"]["interval"][0] == items["learned"]["values"]["start_low"]
    assert {kind: items[kind]["n"] for kind in ("reference", "learned", "knn", "split", "projection")} == {
        "reference": 3,
        "learned": 3,
        "knn": 3,
        "split": 16,
        "projection": 48,
    }


def test_what_is_not_finite_becomes_null(tmp_path: Path) -> None:
    folder = SWEEPS["not finite"](tmp_path)
    [study] = load_results([folder]).studies
    [loss] = [item for item in study_findings(study).items if item.kind == "loss"]
    assert isinstance(loss.values["spearman"], float)
    assert math.isnan(loss.values["spearman"])
    [read] = [item for item in document(folder)["items"] if item["kind"] == "loss"]
    assert read["values"]["spearman"] is None


def test_each_item_names_its_study(tmp_path: Path) -> None:
    one = write_sweep(tmp_path / "one", factors=SMALL)
    other = write_sweep(tmp_path / "other", factors=SMALL, study={"name": "other"}, edit=unfinished(0))
    read = document(one, other)
    assert [study["name"] for study in read["studies"]] == ["made-up", "other"]
    assert read["counts"]["planned"] == 24
    assert [study["counts"]["judged"] for study in read["studies"]] == [12, 0]
    comparing = [item for item in read["items"] if item["study_index"] is None]
    assert [item["kind"] for item in comparing] == ["overview", "overview"]
    assert read["items"][:2] == comparing
    for item in read["items"][2:]:
        study = read["studies"][item["study_index"]]
        assert (item["study"], item["sweep"]) == (study["name"], study["sweep"])
        assert not item["text"].startswith(item["sweep"])
    assert [item["study"] for item in read["items"] if item["kind"] == "verdict"] == ["made-up", "other"]


def test_two_sweeps_of_one_study_are_told_apart(tmp_path: Path) -> None:
    def other_data(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            row.update(knn_accuracy=row["knn_accuracy"] - 0.01)

    folders = [write_sweep(tmp_path / "one", factors=SMALL)]
    folders.append(write_sweep(tmp_path / "two", factors=SMALL, edit=other_data))
    read, table = document(*folders), effects(load_results(folders))
    sweeps = [study["sweep"] for study in read["studies"]]
    assert len(set(sweeps)) == 2
    assert {study["name"] for study in read["studies"]} == set(table["study"]) == {"made-up"}
    assert [item["sweep"] for item in read["items"] if item["kind"] == "verdict"] == sweeps
    assert list(table["sweep"].unique()) == sweeps


def test_findings_name_the_caveats_of_their_study(tmp_path: Path) -> None:
    items = document(SWEEPS["unequal"](tmp_path))["items"]
    kinds = [item["kind"] for item in items if item["caveat"]]
    assert {"missing", "seeds"} <= set(kinds)
    assert all(item["caveats"] == ([] if item["caveat"] else kinds) for item in items)


@pytest.mark.parametrize(
    ("key", "value"), [("rule", [[]]), ("rule", "predictor"), ("adjusted_p", 2), ("interval", [0])]
)
def test_the_schema_sees_a_wrong_verdict(tmp_path: Path, key: str, value: object) -> None:
    read = document(SWEEPS["one seed"](tmp_path))
    read["items"][0][key] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA).validate(read)
