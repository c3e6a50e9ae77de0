"""The card of an exported encoder says what it is and never an accuracy without its controls."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from byol.config import Scalar
from byol.tensor_file import CheckpointError, verified_header
from sweeps import __version__, files
from sweeps.model_card import model_card
from sweeps.record import directory, same_study
from sweeps.record.ledger import Ledger
from sweeps.record.rows import Baselines, Ending, EndReason, Fact, TrialRow, TrialState
from sweeps.record.tables import Controls, controls_of
from sweeps.study import Study, study_from_text
from sweeps.study.samples import sample
from tests.sweeps.conftest import SEARCH, plan_sweep
from tests.sweeps.record.test_ledger import measurement
from tests.sweeps.tensor_files import tensor_file

ENCODER = tensor_file(b"weights")
CONTROLS = Controls(0.5, 0.6, 0.1, 2000, "fp32", "abc")


def finished(
    out: Path, study: Study, index: int, *, collapsed: bool = False, accuracy: float = 0.7
) -> tuple[TrialRow, dict[str, str]]:
    """A trial of a sweep that has ended, and the ledger's facts."""
    trial = study.trials()[index]
    with plan_sweep(out, study) as ledger:
        ledger.set_fact(Fact.STUDY_FILE, study.to_yaml())
        attempt = ledger.start(trial.trial_id)
        for step, knn in ((0, 0.5), (20, accuracy)):
            row = dataclasses.replace(
                measurement(step), knn_accuracy=knn, commit="c0ffee", clean=True, versions="torch 2.15.0"
            )
            ledger.append(trial.trial_id, attempt, row)
        ledger.end(
            trial.trial_id,
            attempt,
            Ending(
                state=TrialState.COMPLETE, end_reason=EndReason.FINISHED, collapsed=collapsed,
                projection_collapsed=False, dimensional_collapse=False,
            ),
        )  # fmt: skip
        found = ledger.trial(trial.trial_id)
        assert found is not None
        return found, ledger.facts()


def rows_of(card: str) -> dict[str, list[str]]:
    """First cell -> the others, of every line of a table."""
    lines = [line.strip("| ").split(" | ") for line in card.splitlines() if line.startswith("| ")]
    return {first: others for first, *others in lines}


def test_it_names_study_cell_and_what_differs_from_the_reference(tmp_path: Path, small: Study) -> None:
    row, facts = finished(tmp_path, small, 1)
    assert row.labels == {"encoder_norm": "batch", "heads": "none"}
    card = model_card(row, CONTROLS, facts, ENCODER, "encoder.safetensors")
    rows = rows_of(card)
    assert card.startswith(
        f"# Encoder of trial {row.trial_id}\n\n`encoder.safetensors` was trained by the study small"
    )
    assert rows["cell"] == ["`encoder_norm: batch`, `heads: none`"]
    assert rows["differs from the study's reference in"] == [
        "`projector_norm: none` (reference: batch), `predictor_norm: none` (reference: batch)"
    ]
    assert rows["seed"] == ["0"]
    assert rows["training"] == ["20 of 20 steps of 128 images"]
    assert rows["licence of the data"] == ["MIT, copyright 2017 Zalando SE"]
    assert rows["commit of BYOL Sweeps"] == ["c0ffee"]
    assert rows["versions"] == ["torch 2.15.0"]
    assert rows["card written by"] == [f"BYOL Sweeps {__version__}"]
    assert rows["device, precision"][0].endswith(", fp32")


def test_the_reference_differs_in_nothing_also_where_a_later_version_added_fields(
    tmp_path: Path, small: Study
) -> None:
    row, facts = finished(tmp_path, small, 0)
    assert rows_of(model_card(row, CONTROLS, facts, ENCODER, "x"))[
        "differs from the study's reference in"
    ] == ["nothing"]
    text = small.to_yaml().replace("steps: 20", "steps: 20\n  head_bias: all")
    facts[Fact.STUDY_FILE] = text
    differs = rows_of(model_card(row, CONTROLS, facts, ENCODER, "x"))["differs from the study's reference in"]
    assert differs == ["`head_bias: auto` (reference: all)"]


def test_accuracy_stands_beside_its_controls(tmp_path: Path, small: Study) -> None:
    row, facts = finished(tmp_path, small, 0)
    rows = rows_of(model_card(row, CONTROLS, facts, ENCODER, "x"))
    assert rows["kNN accuracy, 2,000 test images"] == [
        "70.0%", "own untrained start 50.0% (+20.0 points), raw pixels 60.0%, chance 10.0%"
    ]  # fmt: skip


@pytest.mark.parametrize("control", ["knn_accuracy_start", "knn_accuracy_pixels", "chance"])
def test_no_accuracy_is_shown_without_its_controls(control: str, tmp_path: Path, small: Study) -> None:
    row, facts = finished(tmp_path, small, 0)
    card = model_card(row, CONTROLS._replace(**{control: None}), facts, ENCODER, "x")
    assert rows_of(card)["kNN accuracy"][0] == "not shown"
    assert "%" not in card


def test_controls_are_those_of_the_table(tmp_path: Path, small: Study) -> None:
    row, _ = finished(tmp_path, small, 0)
    with directory.driver_lock(tmp_path), Ledger(tmp_path / files.LEDGER) as ledger:
        baselines = {"pixels": 0.6, "chance": 0.1, "test_images": 2000}
        ledger.set_fact(Fact.BASELINES, json.dumps({Baselines.key(row.settings): baselines}))
        ledger.set_fact(Fact.PRECISION, "fp32")
        [controls] = controls_of(ledger, [row])
    assert controls == Controls(0.5, 0.6, 0.1, 2000, "fp32", None)


def test_collapse_and_no_gain_stand_first(tmp_path: Path, small: Study) -> None:
    row, facts = finished(tmp_path, small, 0, collapsed=True, accuracy=0.45)
    card = model_card(row, CONTROLS, facts, ENCODER, "x")
    head, _, _ = card.partition("| what it is")
    assert "**Its representation collapsed.**" in head
    assert "**It is no better than its own untrained encoder** in kNN accuracy." in head
    assert rows_of(card)["std of the representation"][1].startswith("collapsed: yes (below 0.1)")
    healthy, facts = finished(tmp_path / "other", small, 0)
    assert "**" not in model_card(healthy, CONTROLS, facts, ENCODER, "x")


@pytest.mark.parametrize(
    ("dataset", "licence"),
    [("cifar10", "none stated by its authors"), ("folder:/data/x|y", "not known to this tool")],
)
def test_licences(dataset: str, licence: str, tmp_path: Path, small: Study) -> None:
    study = study_from_text(small.to_yaml(), "x.yaml", [f"dataset={dataset}"])
    row, facts = finished(tmp_path, study, 0)
    card = model_card(row, CONTROLS, facts, ENCODER, "x")
    assert rows_of(card)["licence of the data"] == [licence]
    assert (dataset.replace("|", "\\|") + ", all training images") in card


def test_a_ledger_without_its_study_leaves_the_difference_open(tmp_path: Path, small: Study) -> None:
    row, facts = finished(tmp_path, small, 0)
    del facts[Fact.STUDY_FILE]
    card = model_card(row, CONTROLS, facts, ENCODER, "x")
    assert rows_of(card)["differs from the study's reference in"] == ["not known"]


def test_a_reference_that_could_not_run_leaves_the_difference_open(tmp_path: Path) -> None:
    text = SEARCH.replace("reference: {", "reference: {batch_size: 100, accumulate: 3, ")
    text = text.replace("  space:", "  space:\n    batch_size: {choices: [96, 192]}")
    study = study_from_text(text, "found.yaml")
    assert study.search is not None
    card = card_of_sample(tmp_path, study, {"lr": 0.25, "batch_size": 96})
    assert rows_of(card)["differs from the study's reference in"] == [
        "not known, for the reference is no cell that could run"
    ]


def test_a_sample_of_a_search_has_its_values(tmp_path: Path) -> None:
    rows = rows_of(card_of_sample(tmp_path, study_from_text(SEARCH, "found.yaml"), {"lr": 0.25}))
    assert rows["searched values"] == ["`lr: 0.25`"]
    assert rows["differs from the study's reference in"] == ["`lr: 0.25` (reference: 0.1)"]
    assert rows["kNN accuracy"] == ["not measured"]


def card_of_sample(folder: Path, study: Study, values: Mapping[str, Scalar]) -> str:
    """The card of a sample of a search, as ONNX."""
    assert study.search is not None
    trial = sample(study.reference, study.search, values)
    with directory.driver_lock(folder), Ledger(folder / files.LEDGER) as ledger:
        ledger.set_fact(Fact.STUDY, study.name)
        ledger.set_fact(Fact.COLLAPSE, same_study.rule_text(study))
        ledger.set_fact(Fact.STUDY_FILE, study.to_yaml())
        ledger.add(trial, 20, design="search")
        found, facts = ledger.trial(trial.trial_id), ledger.facts()
    assert found is not None
    return model_card(found, CONTROLS, facts, ENCODER, "x.onnx")


def test_a_damaged_encoder_is_named_and_its_bytes_are_not_printed(tmp_path: Path, small: Study) -> None:
    row, facts = finished(tmp_path, small, 0)
    with pytest.raises(CheckpointError) as raised:
        model_card(row, CONTROLS, facts, ENCODER[:-1] + b"!", "x")
    problem = "is damaged: its content is not that of its digest"
    assert str(raised.value) == f"the encoder of {row.trial_id}: {problem}"
    with pytest.raises(CheckpointError, match=r"^the file: is not a readable safetensors file \(7 bytes\)$"):
        verified_header(ENCODER[:7])
