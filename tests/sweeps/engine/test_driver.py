"""The driver on a real Ray, with the simulated trainer: results, failures, retries and loggers."""

import dataclasses
import errno
import importlib.util
import itertools
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from byol.config import TrialConfig
from byol.presets import from_settings
from sweeps import files, simulated
from sweeps.engine.driver import _split
from sweeps.errors import WorkersError
from sweeps.inspect import status
from sweeps.record.conditions import of_numbers
from sweeps.record.ledger import Ledger
from sweeps.record.rows import METRICS
from sweeps.simulated import TRAINER
from sweeps.study import Study, study_from_text
from tests.faults import ALL
from tests.sweeps.conftest import SMALL
from tests.sweeps.engine.real_sweeps import run_study, table, trained
from tests.sweeps.loggers.test_mlflow import runs as mlflow_runs
from tests.sweeps.loggers.test_tensorboard import curve, hyperparameters

FATES = """
name: fates
reference: {dataset: fashion-mnist-8k, steps: 20, eval_every: 5}
factors:
  encoder_norm: [batch, group]
  fate:
    fine: {}
    diverges: {lr: 1000}
    fails: {momentum: 0.123}
seeds: 1
collapse: {patience: 2, stop: true, representation_threshold: 0.2}
"""

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300), pytest.mark.usefixtures("one_ray")]


def in_fives(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    return [rows[start : start + 5] for start in range(0, len(rows), 5)]


def test_a_sweep_its_tables_and_its_growth(tmp_path: Path, small: Study) -> None:
    before = dict(os.environ)
    outcome, shown = run_study(tmp_path, small, workers=1)
    assert dict(os.environ) == before, "nothing that Ray needs leaks"
    assert (outcome.ran, outcome.interrupted) == (True, False)
    assert outcome.counts["complete"] == 8
    assert outcome.counts["collapsed"] == 4
    assert len(shown.splitlines()) == 9
    assert "8/8 done · 0 running · 0 left · 4 collapsed" in shown.splitlines()[-1]

    trials = table(tmp_path, "trials")
    assert [row["trial_id"] for row in trials] == [trial.trial_id for trial in small.trials()]
    assert {(row["f_encoder_norm"], row["collapsed"]) for row in trials} == {
        ("batch", False),
        ("group", True),
    }
    metrics = table(tmp_path, "metrics")
    # With one worker the order of the rows in time is the order of the trials: replicate-major.
    assert [row["step"] for row in metrics] == [0, 5, 10, 15, 20] * 8
    assert len(table(tmp_path, "spectra")) == 80
    for trial, rows in zip(small.trials(), in_fives(metrics), strict=True):
        assert_rows_equal_training_without_ray(trial.settings, rows)
    assert {path.name for path in tmp_path.iterdir()} == {
        files.LEDGER, files.LOCK, files.STUDY, files.MANIFEST,
        "trials.parquet", "metrics.parquet", "spectra.parquet",
    }  # fmt: skip

    grown = study_from_text(SMALL.replace("seeds: 2", "seeds: 3"), "f")
    outcome, shown = run_study(tmp_path, grown, workers=1)
    assert outcome.counts["complete"] == 12
    first, *others = shown.splitlines()
    assert first == f"resuming {tmp_path}: 8 of 12 trials are complete"
    assert len(others) == 5, "only the new seed's trials ran"
    assert {row["attempt"] for row in table(tmp_path, "trials")} == {1}


def test_a_sequence_runs_seed_by_seed_until_its_verdict_is_settled(tmp_path: Path) -> None:
    text = SMALL.replace("seeds: 2", "seeds: {min: 3, max: 8, until: decided}")
    outcome, shown = run_study(tmp_path, study_from_text(text, "f"), workers=2)
    assert (outcome.interrupted, outcome.counts["complete"]) == (False, 16)
    assert "The verdict is not settled after 3 seeds: one more." in shown
    assert shown.startswith("small: 12 to 32 trials planned")
    assert [row["seed"] for row in table(tmp_path, "trials")] == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4


def test_actors_are_reused_threads_match_and_a_leak_would_show(tmp_path: Path, small: Study) -> None:
    leaky = dataclasses.replace(TRAINER, train=train_with_a_leak)
    run_study(tmp_path, small, trainer=leaky, workers=1)
    first_rows = [row for row in table(tmp_path, "metrics") if row["step"] == 0]
    assert [row["lr"] for row in first_rows] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert {row["tau"] for row in first_rows} == {1.0}, "one thread, because a trial has one CPU"
    with pytest.raises(AssertionError):
        assert_rows_equal_training_without_ray(small.trials()[1].settings, table(tmp_path, "metrics")[5:10])


def test_collapse_divergence_and_errors_are_distinguished_also_by_the_loggers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loggers write to a relative directory, as on most command lines; W&B where it is installed."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.chdir(tmp_path)
    has_wandb = importlib.util.find_spec("wandb") is not None
    study = study_from_text(FATES, "f")
    loggers = ("tensorboard", "mlflow", *["wandb"] * has_wandb)
    outcome, shown = run_study(Path("out"), study, workers=1, log=loggers)
    out = tmp_path / "out"
    assert (outcome.counts["complete"], outcome.counts["failed"], outcome.counts["diverged"]) == (4, 2, 2)
    assert shown.count("failed: ") == 2
    trials = table(out, "trials")
    ends = {
        (row["f_encoder_norm"], row["f_fate"]): (row["end_reason"], row["collapsed"], row["steps_run"])
        for row in trials
    }
    assert ends == {
        ("batch", "fine"): ("finished", False, 20),
        ("batch", "diverges"): ("diverged", False, 10),
        ("batch", "fails"): ("error", None, 0),
        ("group", "fine"): ("collapsed", True, 10),
        ("group", "diverges"): ("diverged", True, 10),
        ("group", "fails"): ("error", None, 0),
    }
    assert {row["error"] for row in trials} == {None, "RuntimeError: simulated failure of two lines"}
    assert {row["attempt"] for row in trials} == {1}, "an error is not retried without a request"
    assert_loggers_have_what_the_tables_have(out, study)
    assert len(list(out.glob("wandb/offline-run-*/*.wandb"))) == len(trials) * has_wandb

    outcome, shown = run_study(out, study)
    left = f"nothing is left to run in {out}: 4 of 6 trials are complete, 2 failed\n"
    assert (outcome.ran, shown) == (False, left)
    outcome, shown = run_study(out, study, retry_failed=True, workers=1)
    assert outcome.ran
    assert sorted(row["attempt"] for row in table(out, "trials")) == [1, 1, 1, 1, 2, 2]


def test_a_worker_that_dies_is_restarted(tmp_path: Path, small: Study) -> None:
    mortal = dataclasses.replace(TRAINER, train=train_and_die_once)
    study = dataclasses.replace(small, seeds=(0,))
    outcome, _ = run_study(tmp_path, study, trainer=mortal, workers=1)
    assert outcome.counts["complete"] == 4
    assert sorted(row["attempt"] for row in table(tmp_path, "trials")) == [1, 1, 1, 2]
    assert len(table(tmp_path, "metrics")) == 20, "no duplicate rows"


@pytest.mark.skipif(not ALL, reason="starts a worker seven times; `make faults` runs it")
def test_a_trial_whose_processes_die_at_once_is_tried_again_at_the_end(
    tmp_path: Path, small: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a node that is dead, and that Ray has not yet missed."""
    monkeypatch.setattr("sweeps.engine.driver._NOTICE_SECONDS", 1)
    mortal = dataclasses.replace(TRAINER, train=train_and_die_four_times)
    study = dataclasses.replace(small, seeds=(0,))
    outcome, shown = run_study(tmp_path, study, trainer=mortal, workers=1)
    assert (outcome.counts["complete"], outcome.counts["failed"]) == (4, 0)
    assert sorted(row["attempt"] for row in table(tmp_path, "trials")) == [1, 1, 1, 5]
    assert shown.count("will be tried again: ") == 1
    assert len(table(tmp_path, "metrics")) == 20, "no duplicate rows"


def test_a_disk_that_is_full_in_a_trial_and_other_code_end_the_sweep_at_once(
    tmp_path: Path, small: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = dataclasses.replace(TRAINER, train=train_on_a_full_disk)
    with pytest.raises(
        WorkersError, match=r"No space left on device \(in a trial on .*\); the sweep has end"
    ):
        run_study(tmp_path, small, trainer=full, workers=1)
    counts = status(tmp_path)
    assert (counts["failed"], counts["interrupted"], counts["waiting"]) == (0, 1, 7)
    here, other = of_numbers(), "1" * 64
    monkeypatch.setattr("sweeps.sweep.conditions.of_numbers", lambda: {**here, "byol/": other})
    problem = f"OtherCodeError: byol/ on this node is {here['byol/'][:12]}, and not {other[:12]} as the"
    with pytest.raises(WorkersError, match=re.escape(problem)):
        run_study(tmp_path, small, workers=1)
    monkeypatch.undo()
    outcome, _ = run_study(tmp_path, small, workers=1)
    assert outcome.counts["complete"] == 8


def test_a_trial_that_runs_out_of_memory_is_retried_alone(tmp_path: Path) -> None:
    greedy = dataclasses.replace(TRAINER, train=train_greedily)
    study = study_from_text(FATES.replace("seeds: 1", "seeds: 2"), "f")
    outcome, shown = run_study(tmp_path, study, trainer=greedy, workers=2)
    ends = {
        (row["f_encoder_norm"], row["f_fate"], row["seed"]): (row["attempt"], row["end_reason"])
        for row in table(tmp_path, "trials")
    }
    assert shown.count("out of memory; will be retried alone: ") == 3
    assert ends["batch", "fine", 0] == (2, "finished"), "alone it fits"
    assert {ends["group", "fine", seed] for seed in (0, 1)} == {(2, "error")}
    assert {ends["batch", "fine", 1], ends["batch", "diverges", 0]} == {(1, "finished"), (1, "diverged")}
    [error] = {row["error"] for row in table(tmp_path, "trials") if row["f_fate"] == "fine"} - {None}
    assert error.startswith(
        "OutOfMemoryError: simulated; it also ran out of memory alone on a GPU: make batch_size"
    )
    assert outcome.counts["failed"] == 6, "these two, and four that fail on purpose"


def test_a_sweep_that_cannot_be_recorded_ends_with_the_reason(
    tmp_path: Path, small: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def append_to_full_disk(*arguments: Any) -> bool:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Ledger, "append", append_to_full_disk)
    with pytest.raises(sqlite3.OperationalError, match="disk is full"):
        run_study(tmp_path, small, workers=1)
    monkeypatch.undo()
    assert status(tmp_path)["interrupted"] == 1
    assert status(tmp_path)["waiting"] == 7, "no trial was started afterwards"


def test_training_is_the_same_in_a_fresh_actor_a_reused_one_and_without_ray(tmp_path: Path) -> None:
    """Number for number, with the learner in byol/. It must keep no state, because actors are reused."""
    from byol.data import ImageData, load_data
    from byol.train import train

    study = study_from_text(trained(steps=4, eval_every=2, seeds=2), "f")
    run_study(tmp_path, study, trainer=None, workers=1)
    data = load_data("fashion-mnist-8k", train_images=64)
    assert isinstance(data, ImageData)
    metrics, spectra = table(tmp_path, "metrics"), table(tmp_path, "spectra")
    torch.set_num_threads(1)
    for trial in reversed(study.trials()):
        rows = [row for row in metrics if row["trial_id"] == trial.trial_id]
        spectra_rows = [row for row in spectra if row["trial_id"] == trial.trial_id]
        measurements = list(train(from_settings(trial.settings), data))
        assert [row["step"] for row in rows] == [0, 2, 4]
        for name in set(METRICS) - {"samples_per_second"}:
            expected = [getattr(measurement, name) for measurement in measurements]
            stored = [None if value is None else float(np.float32(value)) for value in expected]
            assert [row[name] for row in rows] == stored, name
        for level in ("representation", "projection"):
            eigenvalues = [row["eigenvalues"] for row in spectra_rows if row["level"] == level]
            assert eigenvalues == [getattr(each, f"{level}_spectrum").tolist() for each in measurements]
    encoders = sorted(path.parent.name for path in tmp_path.glob("checkpoints/*/encoder.safetensors"))
    assert encoders == sorted(trial.trial_id for trial in study.trials())


def assert_loggers_have_what_the_tables_have(out: Path, study: Study) -> None:
    trials = {trial.trial_id: trial for trial in study.trials()}
    stored = table(out, "metrics")
    for row in table(out, "trials"):
        trial = trials[row["trial_id"]]
        [events] = out.glob(f"tensorboard/*{row['cell_id']}/seed 0/events.*")
        logged = curve(events, "representation_std")
        expected = [(each["step"], each["representation_std"]) for each in stored
                    if each["trial_id"] == row["trial_id"]]  # fmt: skip
        assert logged == expected
        assert hyperparameters(events)["level.fate"] == trial.labels["fate"]
        assert hyperparameters(events)["end_reason"] == row["end_reason"]
    _, runs = mlflow_runs(out, study.name)
    assert set(runs) == set(trials)
    for row in table(out, "trials"):
        run = runs[row["trial_id"]]
        assert run.info.status == ("FAILED" if row["end_reason"] == "error" else "FINISHED")
        assert run.data.tags["end_reason"] == row["end_reason"]
        assert run.data.tags["collapsed"] == (
            "unknown" if row["collapsed"] is None else str(row["collapsed"])
        )
        if row["end_reason"] == "finished":
            assert run.data.metrics["knn_accuracy"] == pytest.approx(row["knn_accuracy"])


def assert_rows_equal_training_without_ray(settings: Any, rows: Any) -> None:
    images = simulated.load_data("x")
    for metrics, row in zip(simulated.train(from_settings(settings), images), rows, strict=True):
        for name in METRICS:
            value = getattr(metrics, name)
            assert row[name] == (value if value is None else pytest.approx(value, rel=1e-6)), name


class OutOfMemoryError(RuntimeError):
    """Has the name of torch's error."""


def train_greedily(
    config: TrialConfig, data: Any, *, checkpoint_folder: Path | None, **options: Any
) -> Iterator[Any]:
    """Runs out of memory: always without batch statistics, once for the reference's first seed."""
    assert checkpoint_folder is not None
    marker = checkpoint_folder.parent.parent / "seen"
    first = config.encoder_norm == "batch" and config.seed == 0 and config.lr < 100 and not marker.exists()
    if config.momentum != 0.123 and (first or (config.encoder_norm == "group" and config.lr < 100)):
        if first:
            marker.touch()
        raise OutOfMemoryError("simulated")
    yield from simulated.train(config, data)


CALLS = itertools.count(1)


def train_with_a_leak(config: TrialConfig, data: Any, **options: Any) -> Iterator[Any]:
    """Reports how often this process has trained as lr, and its threads as tau."""
    call = next(CALLS)
    for metrics in simulated.train(config, data, **options):
        threads = float(os.environ["OMP_NUM_THREADS"])
        yield dataclasses.replace(metrics, lr=float(call), tau=threads)


def train_and_die_once(
    config: TrialConfig, data: Any, *, checkpoint_folder: Path | None, checkpoint_every: int | None
) -> Iterator[Any]:
    assert checkpoint_folder is not None
    marker = checkpoint_folder.parent.parent / "died"
    for metrics in simulated.train(config, data):
        yield metrics
        if config.encoder_norm == "group" and metrics.step == 10 and not marker.exists():
            marker.touch()
            os._exit(1)


def test_a_newer_setting_of_the_reference_alone_is_passed_on() -> None:
    """Settings newer than a trial's own are left out of its record at their defaults, so keys differ."""
    shared, differing = _split([{"lr": 0.1, "view_count": 4}, {"lr": 0.1}, {"lr": 0.1, "view_count": 8}])
    assert shared == {"lr": 0.1}
    assert differing == [{"view_count": 4}, {}, {"view_count": 8}]


def test_what_only_equals_is_not_shared() -> None:
    """To a part of the user's own, 1, 1.0 and true are different arguments, and make different trials."""
    settings: list[dict[str, Any]] = [{"encoder.n": value} for value in (1, 1.0, True)]
    shared, differing = _split(settings)
    assert shared == {}
    assert [type(each["encoder.n"]) for each in differing] == [int, float, bool]


def train_on_a_full_disk(
    config: TrialConfig, data: Any, *, checkpoint_folder: Path | None, checkpoint_every: int | None
) -> Iterator[Any]:
    for metrics in simulated.train(config, data):
        yield metrics
        if metrics.step == 10:
            raise OSError(errno.ENOSPC, "No space left on device")


def train_and_die_four_times(
    config: TrialConfig, data: Any, *, checkpoint_folder: Path | None, checkpoint_every: int | None
) -> Iterator[Any]:
    assert checkpoint_folder is not None
    marker = checkpoint_folder.parent.parent / "died"
    deaths = len(marker.read_text()) if marker.exists() else 0
    doomed = (config.encoder_norm, config.projector_norm) == ("batch", "none")
    for metrics in simulated.train(config, data):
        yield metrics
        if doomed and deaths < 4:
            marker.write_text("x" * (deaths + 1))
            os._exit(1)
