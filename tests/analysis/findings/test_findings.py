"""Every sentence is held against its numbers, worked out from the rows as they were written."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.findings import findings
from analysis.findings.finding import Finding
from analysis.load import load_results
from analysis.results import StudyResults
from tests.analysis.tables import Row, unfinished, write_sweep


def finding(directory: Path, kind: str) -> Finding:
    return next(item for item in findings(load_results([directory])).items if item.kind == kind)


def kinds(directory: Path) -> list[str]:
    return [item.kind for item in findings(load_results([directory])).items]


def numbers_of(text: str) -> list[float]:
    return [float(match) for match in pd.Series([text]).str.findall(r"-?\d+(?:\.\d+)?")[0]]


def test_the_reference_with_its_interval(sweep: Path) -> None:
    rows = pd.read_parquet(sweep / "trials.parquet").query(
        "f_encoder_norm == 'batch' and f_head_norm == 'batch' and f_predictor == 'mlp' and f_tau_base == 0.99"
    )
    values = rows["knn_accuracy"].to_numpy()
    half = 4.302653 * values.std(ddof=1) / np.sqrt(3)
    text = finding(sweep, "reference").text
    assert "collapsed in 0 of 3 seeds (95 % interval 0 to 71 %)" in text
    low, high = 100 * (values.mean() - half), 100 * (values.mean() + half)
    assert f"{100 * values.mean():.1f} % (95 % interval {low:.1f} to {high:.1f} %, 3 seeds)" in text


def test_the_conditional_effect_is_the_one_built_in(sweep: Path) -> None:
    effect = finding(sweep, "knn")
    # The heads' norm is worth 8 points less where the projection collapses anyway, the encoder's always 7.
    assert effect.values["factor"] == "encoder_norm"
    assert effect.values["effect"] == pytest.approx(-0.07, abs=0.01)
    assert "Among the 12 cells that did not collapse" in effect.text
    assert "over 4 of 8 matched pairs" in effect.text


def test_onset_with_its_cadence(sweep: Path) -> None:
    onsets = pd.read_parquet(sweep / "trials.parquet")["onset_step"].dropna()
    text = finding(sweep, "onset").text
    assert numbers_of(text) == [onsets.min(), onsets.max(), onsets.median(), 12, 10]


def test_projection_apart_from_representation(sweep: Path) -> None:
    text = finding(sweep, "projection").text
    assert text == "The projection collapsed in 30 of 48 trials; in 18 of them the representation did not."


def test_few_seeds_are_called_few(sweep: Path) -> None:
    assert "(the smallest possible is 0.25)" in finding(sweep, "seeds").text


def test_one_seed_has_no_interval(tmp_path: Path) -> None:
    write_sweep(tmp_path, seeds=(0,))
    items = findings(load_results([tmp_path])).items
    texts = [item.text for item in items if item.kind != "information"]  # its intervals are over test images
    assert not any("95 %" in text for text in texts)
    assert any("One seed only" in text for text in texts)


def test_leave_one_out_says_what_each_removal_did(tmp_path: Path) -> None:
    def fatal(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            if row["f_predictor"] == "none":
                row.update(collapsed=True, representation_std=0.01)

    text = finding(write_sweep(tmp_path, design="leave-one-out", edit=fatal), "removals").text
    assert "made it collapse: no predictor (3 of 3 seeds, 95 % interval 29 to 100 %)" in text
    assert (
        "These changes alone did not make it collapse: encoder norm group, no head norm, tau 0 (each: 0"
        in text
    )


def test_a_partial_sweep_says_what_is_missing(tmp_path: Path) -> None:
    def edit(trials: list[Row], metrics: list[Row]) -> None:
        unfinished(after=15)(trials, metrics)
        trials[3].update(state="FAIL", end_reason="error", collapsed=None)
        trials[5].update(end_reason="diverged")

    results = findings(load_results([write_sweep(tmp_path, edit=edit)]))
    texts = {item.kind: item.text for item in results.items}
    assert texts["missing"] == "Not finished: 33 of 48 trials still to come, and 3 cells without any result."
    assert "1 failed and 1 diverged" in texts["ends"]
    assert "2 are left out of the rates" in texts["ends"]
    assert (results.counts.ran, results.counts.judged, results.counts.waiting) == (15, 13, 33)
    assert str(results.counts) == "48 planned, 15 ran, 3 collapsed, 1 failed, 1 diverged, 33 waiting"


def test_nothing_finished_yet(tmp_path: Path) -> None:
    write_sweep(tmp_path, edit=unfinished(after=0))
    assert kinds(tmp_path) == ["verdict", "missing"]


def test_early_stops_are_not_compared(tmp_path: Path) -> None:
    def stop(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            if row["collapsed"]:
                row.update(end_reason="collapsed", steps_run=60, loss=-1.0)

    write_sweep(tmp_path, edit=stop)
    assert "12 trials ended before the planned number of steps" in finding(tmp_path, "early").text
    assert (
        "of 36 by kNN accuracy" in finding(tmp_path, "loss").text
    )  # the lowest loss is of a full-length trial
    assert "12 of 12 without" in finding(tmp_path, "verdict").text


def test_without_labels_the_verdict_stands(tmp_path: Path) -> None:
    write_sweep(tmp_path, labels=False)
    assert finding(tmp_path, "verdict").text.startswith("encoder_norm = batch, or head_norm")
    assert "knn" not in kinds(tmp_path)
    assert "No trial has a kNN accuracy" in finding(tmp_path, "labels").text


def test_nothing_collapsed(tmp_path: Path) -> None:
    levels: dict[str, Sequence[Any]] = {"predictor": ["mlp", "none"], "tau_base": [0.99, 0.9]}
    text = finding(write_sweep(tmp_path, factors=levels), "verdict").text
    assert text.startswith("Nothing collapsed")
    assert "all 12 trials of 4 cells (collapse in 0 of 3 seeds, 95 % interval 0 to 71 %)" in text


def test_a_search_is_only_described(tmp_path: Path) -> None:
    write_sweep(tmp_path, design="search", study={"factors": []})
    results = findings(load_results([tmp_path]))
    assert "has no score: it has yet to run on fresh seeds" in results.sentences[0]
    assert "is the best of many, and so optimistic" in results.sentences[0]
    assert results.sentences[1].startswith(
        "The representation collapsed in 12 of 48 samples. This is a description"
    )
    assert not any("95 %" in text for text in results.sentences)


def test_a_threshold_that_decides_is_called_out(tmp_path: Path) -> None:
    def edit(trials: list[Row], metrics: list[Row]) -> None:
        trials[0].update(representation_std=0.15)

    text = finding(write_sweep(tmp_path, edit=edit), "threshold").text
    assert "12 trials below 0.05, 12 below 0.1 (the study's), 13 below 0.2" in text


def test_different_precisions_are_called_out(tmp_path: Path) -> None:
    def edit(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials[::3]:
            row["precision"] = "bf16"

    text = finding(write_sweep(tmp_path / "mixed", edit=edit), "precision").text
    assert text.startswith("Trials ran in different precisions (bf16 in 16 and fp32 in 32), so differences")

    def as_planned(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            row["precision"] = row["f_precision"]

    as_a_factor = write_sweep(
        tmp_path / "factor", edit=as_planned, factors={"precision": ["bf16", "fp32"], "q": [1, 2]}
    )
    for directory in (as_a_factor, write_sweep(tmp_path / "one")):
        assert "precision" not in kinds(directory)


def test_several_studies_are_told_apart(tmp_path: Path, sweep: Path) -> None:
    other = write_sweep(tmp_path, seeds=(0,), study={"name": "other"})
    results = findings(load_results([sweep, other]))
    assert results.counts.planned == 64
    of_studies = [item.text for item in results.items if item.kind != "overview"]
    assert {text.split(":")[0] for text in of_studies} == {"made-up", "other"}


def test_numbers_stand_beside_each_sentence(study: StudyResults, sweep: Path) -> None:
    for item in findings(load_results([sweep])).items:
        for name, value in item.values.items():
            if isinstance(value, int) and name in ("k", "n", "cells", "every", "none", "pairs", "only"):
                assert value in numbers_of(item.text), (item.text, name)
