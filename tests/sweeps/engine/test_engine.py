"""Sweeps on a real Ray, with a learner that only pretends."""

import contextlib
import dataclasses
import io
import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from byol.config import TrialConfig
from byol.presets import from_settings
from sweeps import files, simulated
from sweeps.errors import RequestError
from sweeps.inspect import status
from sweeps.options import Outcome, RunOptions
from sweeps.record.ledger import Ledger
from sweeps.record.rows import METRICS
from sweeps.run import run
from sweeps.simulated import TRAINER
from sweeps.study import Study, study_from_text
from tests.sweeps.conftest import SMALL

TRAINED = """
name: trained
reference:
  train_images: 64
  batch_size: 16
  steps: 4
  eval_every: 2
  eval_images: 64
  projector_width: 32
  projector_size: 16
  predictor_width: 32
  precision: fp32
factors:
  encoder_norm: [batch, group]
seeds: 2
"""

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

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


def swept(out: Path, study: Study, *, trainer: Any = TRAINER, **options: Any) -> tuple[Outcome, str]:
    stream = io.StringIO()
    outcome = run(study, out, options=RunOptions(**options), trainer=trainer, stream=stream)
    return outcome, stream.getvalue()


def table(out: Path, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(out / f"{name}.parquet").to_pylist()
    return rows


def in_fives(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    return [rows[start : start + 5] for start in range(0, len(rows), 5)]


@pytest.mark.usefixtures("one_ray")
class TestOnOneRay:
    def test_a_sweep_its_tables_and_its_growth(self, tmp_path: Path, small: Study) -> None:
        before = dict(os.environ)
        outcome, shown = swept(tmp_path, small, workers=1)
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
        outcome, shown = swept(tmp_path, grown, workers=1)
        assert outcome.counts["complete"] == 12
        assert len(shown.splitlines()) == 5, "only the new seed's trials ran"
        assert {row["attempt"] for row in table(tmp_path, "trials")} == {1}

    def test_actors_are_reused_threads_match_and_a_leak_would_show(
        self, tmp_path: Path, small: Study
    ) -> None:
        leaky = dataclasses.replace(TRAINER, train=train_with_a_leak)
        swept(tmp_path, small, trainer=leaky, workers=1)
        begun = [row for row in table(tmp_path, "metrics") if row["step"] == 0]
        assert [row["lr"] for row in begun] == [1, 2, 3, 4, 5, 6, 7, 8]
        assert {row["tau"] for row in begun} == {1.0}, "threads, of a trial that asks for one CPU"
        with pytest.raises(AssertionError):
            assert_rows_equal_training_without_ray(
                small.trials()[1].settings, table(tmp_path, "metrics")[5:10]
            )

    def test_collapse_divergence_and_errors_are_told_apart(self, tmp_path: Path) -> None:
        study = study_from_text(FATES, "f")
        outcome, shown = swept(tmp_path, study, workers=1)
        assert (outcome.counts["complete"], outcome.counts["failed"], outcome.counts["diverged"]) == (4, 2, 2)
        assert shown.count("failed: ") == 2
        trials = table(tmp_path, "trials")
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
        assert {row["attempt"] for row in trials} == {1}, "an error is not tried again by itself"
        outcome, shown = swept(tmp_path, study)
        assert (outcome.ran, shown) == (False, "")
        outcome, shown = swept(tmp_path, study, retry_failed=True, workers=1)
        assert outcome.ran
        assert sorted(row["attempt"] for row in table(tmp_path, "trials")) == [1, 1, 1, 1, 2, 2]

    def test_a_worker_that_dies_is_started_again(self, tmp_path: Path, small: Study) -> None:
        mortal = dataclasses.replace(TRAINER, train=train_and_die_once)
        study = dataclasses.replace(small, seeds=(0,))
        outcome, _ = swept(tmp_path, study, trainer=mortal, workers=1)
        assert outcome.counts["complete"] == 4
        assert sorted(row["attempt"] for row in table(tmp_path, "trials")) == [1, 1, 1, 2]
        assert len(table(tmp_path, "metrics")) == 20, "no row stands twice"

    def test_a_trial_that_runs_out_of_memory_is_tried_once_more_alone(self, tmp_path: Path) -> None:
        greedy = dataclasses.replace(TRAINER, train=train_greedily)
        study = study_from_text(FATES.replace("seeds: 1", "seeds: 2"), "f")
        outcome, shown = swept(tmp_path, study, trainer=greedy, workers=2)
        ends = {
            (row["f_encoder_norm"], row["f_fate"], row["seed"]): (row["attempt"], row["end_reason"])
            for row in table(tmp_path, "trials")
        }
        assert shown.count("out of memory; will be retried alone: ") == 3
        assert ends["batch", "fine", 0] == (2, "finished"), "it fits when nobody else is there"
        assert {ends["group", "fine", seed] for seed in (0, 1)} == {(2, "error")}
        assert {ends["batch", "fine", 1], ends["batch", "diverges", 0]} == {(1, "finished"), (1, "diverged")}
        [error] = {row["error"] for row in table(tmp_path, "trials") if row["f_fate"] == "fine"} - {None}
        assert error.startswith(
            "OutOfMemoryError: simulated; it also ran out of memory alone on a GPU: make batch_size"
        )
        assert outcome.counts["failed"] == 6, "the two, and four that are made to fail"

    def test_books_that_cannot_be_kept_end_the_sweep_with_the_reason(
        self, tmp_path: Path, small: Study, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*arguments: Any) -> bool:
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(Ledger, "append", full)
        with pytest.raises(sqlite3.OperationalError, match="disk is full"):
            swept(tmp_path, small, workers=1)
        monkeypatch.undo()
        assert status(tmp_path)["interrupted"] == 1
        assert status(tmp_path)["waiting"] == 7, "nothing was started after it"

    def test_a_time_budget_leaves_whole_replicates_first(self, tmp_path: Path) -> None:
        study = study_from_text(SMALL.replace("steps: 20", "steps: 20, weight_decay: 2"), "f")
        outcome, _ = swept(tmp_path, study, workers=1, time_budget=14.0)
        assert (outcome.interrupted, outcome.out_of_time) == (True, True)
        states = [row["state"] for row in table(tmp_path, "trials")]
        assert 1 <= states.count("COMPLETE") < 8
        assert states == sorted(states, key=["COMPLETE", "FAIL", "WAITING"].index)
        outcome, _ = swept(tmp_path, study, time_budget=0.001)
        assert (outcome.out_of_time, outcome.counts["complete"]) == (True, states.count("COMPLETE"))

    def test_measurements_reach_tensorboard_and_mlflow(self, tmp_path: Path) -> None:
        study = study_from_text(FATES, "f")
        swept(tmp_path, study, workers=1, log=("tensorboard", "mlflow"))
        fine, failed = (
            next(
                trial.trial_id
                for trial in study.trials()
                if trial.labels == {"encoder_norm": "batch", "fate": fate}
            )
            for fate in ("fine", "fails")
        )
        stored = [row for row in table(tmp_path, "metrics") if row["trial_id"] == fine]
        [events] = (tmp_path / "tensorboard" / fine).iterdir()
        seen = scalars(events, "ray/tune/representation_std")
        # Ray counts from 1 where the step is 0.
        assert [step for step, _ in seen] == [1, 5, 10, 15, 20]
        assert [value for _, value in seen] == [row["representation_std"] for row in stored]

        runs = {run.data.tags["trial_name"]: run for run in mlflow_runs(tmp_path, study.name)}
        assert set(runs) == {trial.trial_id for trial in study.trials()}
        assert (runs[fine].info.status, runs[failed].info.status) == ("FINISHED", "FAILED")
        assert runs[fine].data.metrics["knn_accuracy"] == pytest.approx(stored[-1]["knn_accuracy"])
        assert "error" not in runs[failed].data.metrics

    def test_a_trained_trial_is_the_same_in_a_fresh_actor_a_used_one_and_without_ray(
        self, tmp_path: Path
    ) -> None:
        """Number for number, with the learner of byol/: what reusing actors asks of it."""
        from byol.data import ImageData, load_data
        from byol.train import train

        study = study_from_text(TRAINED, "f")
        swept(tmp_path, study, trainer=None, workers=1)
        data = load_data("fashion-mnist-8k", train_images=64)
        assert isinstance(data, ImageData)
        metrics, spectra = table(tmp_path, "metrics"), table(tmp_path, "spectra")
        torch.set_num_threads(1)
        for trial in reversed(study.trials()):
            rows = [row for row in metrics if row["trial_id"] == trial.trial_id]
            mine = [row for row in spectra if row["trial_id"] == trial.trial_id]
            direct = list(train(from_settings(trial.settings), data))
            assert [row["step"] for row in rows] == [0, 2, 4]
            for name in set(METRICS) - {"samples_per_second"}:
                expected = [getattr(one, name) for one in direct]
                stored = [None if value is None else float(np.float32(value)) for value in expected]
                assert [row[name] for row in rows] == stored, name
            for level in ("representation", "projection"):
                kept = [row["eigenvalues"] for row in mine if row["level"] == level]
                assert kept == [getattr(one, f"{level}_spectrum").tolist() for one in direct]
        encoders = sorted(path.parent.name for path in tmp_path.glob("checkpoints/*/encoder.safetensors"))
        assert encoders == sorted(trial.trial_id for trial in study.trials())

    def test_more_than_the_machine_has_is_refused_before_anything_starts(
        self, tmp_path: Path, small: Study
    ) -> None:
        with pytest.raises(RequestError, match=r"resources\.cpu: must be at most the \d+ of this machine"):
            swept(tmp_path / "out", small, cpus_per_trial=1000)
        assert not (tmp_path / "out").exists()

    def test_a_sweep_that_was_interrupted_says_so_and_goes_on(self, tmp_path: Path) -> None:
        text = SMALL.replace("steps: 20", "steps: 20, weight_decay: 2")
        (tmp_path / "small.yaml").write_text(text)
        out = tmp_path / "out"
        # A terminal's, the system's and Slurm's way to ask for an end.
        for done, number in enumerate((signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)):
            interrupt_a_run(tmp_path / "small.yaml", out, number, complete=done + 1)
            counts, before = status(out), {row["trial_id"]: row for row in table(out, "trials")}
            assert counts["running"] == 0
            assert counts["complete"] >= done + 1
            assert counts["waiting"] + counts["interrupted"] >= 1
        outcome, _ = swept(out, study_from_text(text, "f"))
        assert outcome.counts["complete"] == 8
        for row in table(out, "trials"):
            again = before[row["trial_id"]]["state"] != "COMPLETE"
            assert row["attempt"] == before[row["trial_id"]]["attempt"] + again
        assert len(table(out, "metrics")) == 40


def interrupt_a_run(study: Path, out: Path, number: int, *, complete: int) -> None:
    """Starts the command line in a process of its own and sends a signal once so many trials are complete."""
    command = [sys.executable, "-c", DRIVER, "run", str(study), "--out", str(out), "--workers", "1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as driver:
        try:
            wait_for_results(out, complete)
            if number == signal.SIGINT:
                os.killpg(driver.pid, number)  # a terminal sends it to Ray's processes, too
            else:
                driver.send_signal(number)
            shown, errors = driver.communicate(timeout=90)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(driver.pid, signal.SIGKILL)
    assert errors == ""
    assert driver.returncode == 130
    assert "Interrupted. Run the same command again to resume." in shown
    assert "\x1b" not in shown


def assert_rows_equal_training_without_ray(settings: Any, rows: Any) -> None:
    images = simulated.load_data("x")
    for metrics, row in zip(simulated.train(from_settings(settings), images), rows, strict=True):
        for name in METRICS:
            value = getattr(metrics, name)
            assert row[name] == (value if value is None else pytest.approx(value, rel=1e-6)), name


def scalars(events: Path, tag: str) -> list[tuple[int, float]]:
    """The values of one tag in TensorBoard's file: records of length, checksum, event, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    content, place, found = events.read_bytes(), 0, []
    while place < len(content):
        length = int.from_bytes(content[place : place + 8], "little")
        event = Event.FromString(content[place + 12 : place + 12 + length])
        found += [(event.step, value.simple_value) for value in event.summary.value if value.tag == tag]
        place += length + 16
    return found


def mlflow_runs(out: Path, experiment: str) -> list[Any]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{out / 'mlflow.db'}")
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    return list(client.search_runs([found.experiment_id]))


class OutOfMemoryError(RuntimeError):
    """By the name of torch's."""


def train_greedily(config: TrialConfig, data: Any, *, checkpoint_folder: Path | None, **rest: Any) -> Any:
    """Without batch statistics it never fits; the reference's first seed not beside another trial."""
    assert checkpoint_folder is not None
    mark = checkpoint_folder.parent.parent / "seen"
    first = config.encoder_norm == "batch" and config.seed == 0 and config.lr < 100 and not mark.exists()
    if config.momentum != 0.123 and (first or (config.encoder_norm == "group" and config.lr < 100)):
        if first:
            mark.touch()
        raise OutOfMemoryError("simulated")
    yield from simulated.train(config, data)


CALLS = itertools.count(1)


def train_with_a_leak(config: TrialConfig, data: Any, **places: Any) -> Iterator[Any]:
    call = next(CALLS)
    for metrics in simulated.train(config, data, **places):
        threads = float(os.environ["OMP_NUM_THREADS"])
        yield dataclasses.replace(metrics, lr=float(call), tau=threads)


def train_and_die_once(
    config: TrialConfig, data: Any, *, checkpoint_folder: Path | None, checkpoint_every: int
) -> Iterator[Any]:
    assert checkpoint_folder is not None
    mark = checkpoint_folder.parent.parent / "died"
    for metrics in simulated.train(config, data):
        yield metrics
        if config.encoder_norm == "group" and metrics.step == 10 and not mark.exists():
            mark.touch()
            os._exit(1)


DRIVER = """
import sys
from run_sweep import main
from sweeps.simulated import TRAINER
sys.exit(main(sys.argv[1:], trainer=TRAINER))
"""


def wait_for_results(out: Path, complete: int) -> None:
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        if (out / files.LEDGER).exists() and status(out)["complete"] >= complete:
            return
        time.sleep(0.1)
    raise AssertionError("the sweep did not start")
