"""The Parquet tables: the contract's columns and types, and all or nothing."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from byol.files import replacing
from sweeps.record.ledger import Ledger
from sweeps.record.rows import METRICS, Baselines, Ending, EndReason, Fact, TrialState
from sweeps.record.tables import write_tables
from sweeps.study import Study, study_from_text
from tests.sweeps.conftest import SMALL
from tests.sweeps.record.test_ledger import measurement

CONTRACT = {
    "trials": """trial_id cell_id seed design state end_reason collapsed projection_collapsed onset_step
        steps_run steps_planned knn_accuracy loss representation_std projection_std effective_rank
        wall_seconds device error f_encoder_norm f_heads dimensional_collapse probe_accuracy attempt
        knn_accuracy_start knn_accuracy_pixels chance test_images precision
        commit clean versions code data_digest rankme stable_rank lidar projection_lidar
        effective_rank_centred alpha_req nesum participation_ratio""",
    "metrics": """trial_id step epoch loss representation_std projection_std effective_rank
        projection_effective_rank alignment uniformity positive_cosine negative_cosine knn_accuracy tau lr
        samples_per_second rankme projection_rankme stable_rank projection_stable_rank
        representation_positive_cosine representation_negative_cosine
        representation_std_min representation_std_median representation_std_max
        projection_std_min projection_std_median projection_std_max""",
    "spectra": "trial_id step level eigenvalues",
}


def write(folder: Path, study: Study) -> None:
    with Ledger(folder / "ledger.sqlite") as ledger:
        ledger.plan(((trial, 20) for trial in study.trials()), design="full-factorial")
        first, second, *_ = (trial.trial_id for trial in study.trials())
        attempt = ledger.start(first)
        ledger.append(first, attempt, measurement(0, loss=None))
        ledger.append(first, attempt, measurement(5, loss=math.nan, knn_accuracy=0.75))
        ledger.end(
            first, attempt, Ending(state=TrialState.COMPLETE, end_reason=EndReason.DIVERGED, collapsed=False)
        )
        attempt = ledger.start(second)
        ledger.end(
            second,
            attempt,
            Ending(state=TrialState.FAIL, end_reason=EndReason.ERROR, error="ValueError: boom"),
        )
        write_tables(ledger, folder)


def test_every_column_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "result-tables.md").read_text(encoding="utf-8")
    for table in ("trials", "metrics", "spectra"):
        _, _, section = text.partition(f"\n## {table}.parquet\n")
        section, _, _ = section.partition("\n## ")
        names = {name for name in CONTRACT[table].split() if not name.startswith("f_")}
        assert not {name for name in names if f"`{name}`" not in section}, table


def test_a_trial_has_the_shape_of_its_representations_last_spectrum(tmp_path: Path, small: Study) -> None:
    first, second, *_ = small.trials()
    spectra = {0: [1, 1, 1, 1], 5: [4, 2, 1, 1]}
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.plan((trial, 20) for trial in (first, second))
        attempt = ledger.start(first.trial_id)
        for step, values in spectra.items():
            levels = {"representation": np.array(values, "<f4").tobytes(), "projection": bytes(8)}
            ledger.append(
                first.trial_id, attempt, dataclasses.replace(measurement(step, lidar=3.0), spectra=levels)
            )
        write_tables(ledger, tmp_path)
    done, waiting = pq.read_table(tmp_path / "trials.parquet").to_pylist()
    assert (done["nesum"], done["participation_ratio"], done["lidar"]) == (2, 64 / 22, 3)
    assert [waiting[name] for name in ("nesum", "alpha_req", "lidar", "rankme")] == [None] * 4


def test_a_trial_stands_beside_what_it_is_compared_with(tmp_path: Path, small: Study) -> None:
    first, second, *_ = small.trials()
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.plan((trial, 20) for trial in (first, second))
        for step, accuracy in ((0, 0.25), (5, None), (10, 0.75)):
            if step == 0:
                attempt = ledger.start(first.trial_id)
            ledger.append(first.trial_id, attempt, measurement(step, knn_accuracy=accuracy))
        write_tables(ledger, tmp_path)
        unknown = pq.read_table(tmp_path / "trials.parquet").to_pylist()[1]
        baselines = {Baselines.key(first.settings): {"pixels": 0.5, "chance": 0.1, "test_images": 2000}}
        ledger.set_fact(Fact.BASELINES, json.dumps(baselines))
        ledger.set_fact(Fact.PRECISION, "bf16")
        write_tables(ledger, tmp_path)
    names = ("knn_accuracy_start", "knn_accuracy_pixels", "chance", "test_images", "precision")
    known = pq.read_table(tmp_path / "trials.parquet").to_pylist()
    assert [known[0][name] for name in names] == [0.25, 0.5, 0.1, 2000, "bf16"]
    assert [known[1][name] for name in names] == [None, 0.5, 0.1, 2000, "bf16"]
    assert [unknown[name] for name in names] == [None] * 5


def test_a_precision_that_the_study_names_stands_in_the_table(tmp_path: Path) -> None:
    study = study_from_text(SMALL.replace("steps: 20", "steps: 20, precision: fp32"), "small.yaml")
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.plan((trial, 20) for trial in study.trials())
        ledger.set_fact(Fact.PRECISION, "bf16")
        write_tables(ledger, tmp_path)
    assert set(pq.read_table(tmp_path / "trials.parquet")["precision"].to_pylist()) == {"fp32"}


def test_a_trial_says_what_it_ran_under_last(tmp_path: Path, small: Study) -> None:
    first, second, *_ = small.trials()
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.plan((trial, 20) for trial in (first, second))
        ledger.set_fact("fashion-mnist-8k, all training images, 28 pixels", "a digest")
        attempt = ledger.start(first.trial_id)
        for step, clean in ((0, False), (5, True)):
            made_with = dataclasses.replace(measurement(step), commit="abc", clean=clean, versions="torch 1")
            ledger.append(first.trial_id, attempt, made_with)
        write_tables(ledger, tmp_path)
    names = ("commit", "clean", "versions", "data_digest")
    ran, waiting = pq.read_table(tmp_path / "trials.parquet").to_pylist()
    assert [ran[name] for name in names] == ["abc", True, "torch 1", "a digest"]
    assert [waiting[name] for name in names] == [None, None, None, "a digest"]


def test_columns_are_those_of_the_contract(tmp_path: Path, small: Study) -> None:
    write(tmp_path, small)
    for name, columns in CONTRACT.items():
        schema = pq.read_schema(tmp_path / f"{name}.parquet")
        assert set(schema.names) == set(columns.split()), name
    metrics = pq.read_schema(tmp_path / "metrics.parquet")
    assert {str(metrics.field(name).type) for name in METRICS if name != "step"} == {"float"}
    assert str(pq.read_schema(tmp_path / "spectra.parquet").field("eigenvalues").type).startswith("list<")
    codec = pq.ParquetFile(tmp_path / "metrics.parquet").metadata.row_group(0).column(3).compression
    assert codec == "ZSTD"


def test_values(tmp_path: Path, small: Study) -> None:
    write(tmp_path, small)
    trials = pq.read_table(tmp_path / "trials.parquet").to_pylist()
    assert len(trials) == 8
    first, second, third = trials[:3]
    assert (first["state"], first["end_reason"], first["collapsed"]) == ("COMPLETE", "diverged", False)
    assert math.isnan(first["loss"])
    assert (first["knn_accuracy"], first["steps_run"], first["steps_planned"]) == (0.75, 5, 20)
    assert (second["state"], second["error"], second["collapsed"]) == ("FAIL", "ValueError: boom", None)
    assert (third["state"], third["end_reason"], third["loss"]) == ("WAITING", None, None)
    assert [row["f_heads"] for row in trials[:4]] == ["batch", "none", "batch", "none"]
    metrics = pq.read_table(tmp_path / "metrics.parquet").to_pylist()
    assert [(row["trial_id"], row["step"]) for row in metrics] == [
        (first["trial_id"], step) for step in (0, 5)
    ]
    assert metrics[0]["loss"] is None
    assert math.isnan(metrics[1]["loss"])
    spectra = pq.read_table(tmp_path / "spectra.parquet").to_pylist()
    lengths = [(row["step"], row["level"], len(row["eigenvalues"])) for row in spectra]
    assert lengths == [
        (s, level, n) for s in (0, 5) for level, n in (("projection", 1), ("representation", 2))
    ]


@pytest.mark.parametrize(
    ("levels", "kind"), [("[0.1, 1]", "double"), ("[1, 2]", "int64"), ("[true, false]", "bool")]
)
def test_factor_columns_have_the_type_of_their_levels(tmp_path: Path, levels: str, kind: str) -> None:
    factor = {"double": "lr", "int64": "knn_k", "bool": "probe"}[kind]
    study = study_from_text(f"name: typed\nseeds: 1\nfactors:\n  {factor}: {levels}\n", "f")
    write(tmp_path, study)
    assert str(pq.read_schema(tmp_path / "trials.parquet").field(f"f_{factor}").type) == kind


@pytest.mark.parametrize(
    ("factor", "levels", "kind", "label"),
    [
        ("lr", "[0.1, 1]", "double", 0.1),
        ("knn_k", "[1, 2]", "int64", 1),
        ("probe", "[true, false]", "bool", True),
    ],
)
def test_a_factor_that_does_not_apply_is_null_in_a_typed_column(
    tmp_path: Path, factor: str, levels: str, kind: str, label: object
) -> None:
    conditional = f"{factor}: {{levels: {levels}, when: {{encoder_norm: group}}}}"
    text = f"  encoder_norm: [batch, group]\n  {conditional}\n  symmetric: [true, false]\n"
    write(tmp_path, study_from_text(f"name: typed\nseeds: 1\nfactors:\n{text}", "f"))
    table = pq.read_table(tmp_path / "trials.parquet")
    assert table.column_names[-3:] == ["f_encoder_norm", f"f_{factor}", "f_symmetric"]
    assert str(table.schema.field(f"f_{factor}").type) == kind
    rows = {(row["f_encoder_norm"], row["f_symmetric"], row[f"f_{factor}"]) for row in table.to_pylist()}
    assert len(rows) == 6
    assert {("batch", True, None), ("batch", False, None), ("group", True, label)} < rows


def test_spectra_keep_their_values(tmp_path: Path, small: Study) -> None:
    trial = small.trials()[0]
    values = np.array([0.5, 0.25, 0.125], "<f4")
    with Ledger(tmp_path / "l") as ledger:
        ledger.plan([(trial, 20)])
        attempt = ledger.start(trial.trial_id)
        spectra = {"representation": values.tobytes()}
        ledger.append(trial.trial_id, attempt, dataclasses.replace(measurement(0), spectra=spectra))
        write_tables(ledger, tmp_path)
    (row,) = pq.read_table(tmp_path / "spectra.parquet").to_pylist()
    assert row == {
        "trial_id": trial.trial_id, "step": 0, "level": "representation", "eigenvalues": values.tolist(),
    }  # fmt: skip


def write_half(path: Path) -> None:
    with replacing(path) as partial:
        partial.write_bytes(b"half of the n")
        raise OSError("disk full")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "table"
    path.write_text("old")
    with pytest.raises(OSError, match="disk full"):
        write_half(path)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["table"]
    with replacing(path) as partial:
        partial.write_bytes(b"new")
    assert path.read_text() == "new"
