"""The outcome of the quickstart is the textbook one: its study with fewer cells and seeds, really trained."""

import dataclasses
import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sweeps.run import run
from sweeps.study import load_study
from sweeps.study.designs import Design, Labels

CHANCE = 0.1
"""kNN accuracy of a guess among the ten classes."""


@pytest.mark.ray
@pytest.mark.timeout(300)
def test_without_batch_statistics_every_seed_collapses_and_the_reference_does_not(tmp_path: Path) -> None:
    whole = load_study("collapse-quickstart")
    bare: list[Labels] = [
        {"encoder_norm": "group", "head_norm": "none", "predictor": predictor, "target": target}
        for predictor in ("mlp", "none")
        for target in ("moving average", "online network")
    ]
    design = Design(kind="listed", listed=({}, *bare))
    outcome = run(dataclasses.replace(whole, design=design, seeds=(0, 1)), tmp_path, stream=io.StringIO())
    assert (outcome.counts["complete"], outcome.counts["failed"]) == (10, 0)

    rows = pq.read_table(tmp_path / "trials.parquet").to_pylist()
    kept = [row for row in rows if row["f_encoder_norm"] == "batch"]
    lost = [row for row in rows if row["f_encoder_norm"] == "group"]
    assert (len(kept), len(lost)) == (2, 8)
    assert [row["collapsed"] for row in kept] == [False, False]
    assert [row["collapsed"] for row in lost] == [True] * 8
    assert min(row["representation_std"] for row in kept) > 0.3
    assert max(row["representation_std"] for row in lost) < 0.05
    assert min(row["knn_accuracy"] for row in kept) > 0.5
    assert max(row["knn_accuracy"] for row in lost) < CHANCE + 0.08
