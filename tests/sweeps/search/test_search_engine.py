"""Searches on a real Ray, with a learner that only pretends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from sweeps.files import JOURNAL
from sweeps.study import study_from_text
from tests.sweeps.engine.test_engine import DRIVER, swept, table, wait_for_results

SEARCH = """
name: found
reference: {dataset: fashion-mnist-8k, steps: 20, eval_every: 5, knn_every: 5}
search:
  trials: 14
  space:
    lr: {low: 0.001, high: 10, log: true}
    encoder_norm: {choices: [batch, group]}
    tau_base: {low: 0.9, high: 1, when: {encoder_norm: [batch]}}
  scheduler: {kind: asha, grace_steps: 5, reduction: 2}
seeds: 2
"""
FATES = """
name: fates
reference: {dataset: fashion-mnist-8k, steps: 20, eval_every: 5}
search:
  sampler: random
  trials: 12
  objectives: {knn_accuracy: maximize, wall_seconds: minimize}
  space:
    lr: {choices: [0.1, 1000]}
    momentum: {choices: [0.9, 0.123]}
    encoder_norm: {choices: [batch, group]}
seeds: [5]
"""
SLOW = """
name: slow
reference: {dataset: fashion-mnist-8k, steps: 20, eval_every: 5, weight_decay: 1.5}
search: {trials: 6, space: {lr: {low: 0.001, high: 10, log: true}}}
seeds: 1
"""

pytestmark = [pytest.mark.ray, pytest.mark.timeout(200)]


def plain_optuna(out: Path, name: str) -> optuna.Study:
    backend = optuna.storages.journal.JournalFileBackend(str(out / JOURNAL))
    return optuna.load_study(study_name=name, storage=optuna.storages.JournalStorage(backend))


@pytest.mark.usefixtures("one_ray")
class TestOnOneRay:
    def test_a_search_its_winner_and_its_growth(self, tmp_path: Path) -> None:
        outcome, shown = swept(tmp_path, study_from_text(SEARCH, "f"), workers=1)
        rows = table(tmp_path, "trials")
        samples = [row for row in rows if row["design"] == "search"]
        fresh = [row for row in rows if row["design"] == "winner"]
        assert len(samples) == 14
        assert {row["seed"] for row in samples} == {1000}
        assert {row["end_reason"] for row in samples} == {"finished", "pruned"}
        for row in samples:
            assert (row["steps_run"] < 20) == (row["end_reason"] == "pruned") == (row["state"] == "PRUNED")
            assert (row["f_tau_base"] is None) == (row["f_encoder_norm"] == "group")
        full = [row for row in samples if row["state"] == "COMPLETE"]
        best = max(full, key=lambda row: row["knn_accuracy"])
        assert [row["cell_id"] for row in fresh] == [best["cell_id"]] * 2
        assert [(row["seed"], row["end_reason"]) for row in fresh] == [(0, "finished"), (1, "finished")]
        assert (outcome.counts["planned"], outcome.counts["waiting"]) == (16, 0)
        assert "16/16 done" in shown

        found = plain_optuna(tmp_path, "found")
        assert [trial.state.name for trial in found.trials] == [row["state"] for row in samples]
        assert found.best_trial.user_attrs["trial_id"] == best["trial_id"]
        assert found.best_value == best["knn_accuracy"]

        assert not swept(tmp_path, study_from_text(SEARCH, "f"), workers=1)[0].ran
        more = study_from_text(
            SEARCH.replace("trials: 14", "trials: 17").replace("seeds: 2", "seeds: 3"), "f"
        )
        swept(tmp_path, more, workers=1)
        after = {row["trial_id"]: row for row in table(tmp_path, "trials")}
        assert sum(row["design"] == "search" for row in after.values()) == 17
        assert all(after[row["trial_id"]] == row for row in rows), "what has run is as it was"
        states = [trial.state.name for trial in plain_optuna(tmp_path, "found").trials]
        assert len(states) == 17
        assert set(states) <= {"COMPLETE", "PRUNED"}

    def test_failures_and_repeats_leave_nothing_running(self, tmp_path: Path) -> None:
        outcome, _ = swept(tmp_path, study_from_text(FATES, "f"), workers=3)
        rows = table(tmp_path, "trials")
        samples = [row for row in rows if row["design"] == "search"]
        assert len({row["trial_id"] for row in samples}) == len(samples) < 12, "none ran twice"
        assert all(row["attempt"] == 1 for row in rows)
        by_id = {row["trial_id"]: row for row in samples}
        told = plain_optuna(tmp_path, "fates").trials
        assert len(told) == 12
        for trial in told:
            row = by_id[trial.user_attrs["trial_id"]]
            fine = row["end_reason"] == "finished"
            assert trial.state.name == ("COMPLETE" if fine else "FAIL")
            assert trial.values == ([row["knn_accuracy"], row["wall_seconds"]] if fine else None)
        assert {row["end_reason"] for row in samples} == {"finished", "diverged", "error"}
        [fresh] = [row for row in rows if row["design"] == "winner"]
        assert (fresh["f_lr"], fresh["f_momentum"], fresh["f_encoder_norm"]) == (0.1, 0.9, "batch")
        assert outcome.counts["planned"] == len(rows)


def test_a_killed_search_goes_on(tmp_path: Path) -> None:
    (tmp_path / "slow.yaml").write_text(SLOW)
    out = tmp_path / "out"
    command = [sys.executable, "-c", DRIVER, "run", str(tmp_path / "slow.yaml"), "--out", str(out)]
    with subprocess.Popen(
        [*command, "--workers", "2"], stdout=subprocess.PIPE, start_new_session=True
    ) as driver:
        wait_for_results(out, 2)
        os.killpg(driver.pid, signal.SIGKILL)
    killed = plain_optuna(out, "slow")
    known = [trial.value for trial in killed.trials if trial.state.name == "COMPLETE"]
    assert "RUNNING" in {trial.state.name for trial in killed.trials}
    assert known

    swept(out, study_from_text(SLOW, "f"), workers=2)
    rows = table(out, "trials")
    assert [row["design"] for row in rows] == ["search"] * 6 + ["winner"]
    assert {row["end_reason"] for row in rows} == {"finished"}
    assert max(row["attempt"] for row in rows) == 2
    told = [trial.value for trial in plain_optuna(out, "slow").trials if trial.value is not None]
    assert {trial.state.name for trial in plain_optuna(out, "slow").trials} == {"COMPLETE", "FAIL"}
    assert len(told) == 6
    assert set(known) <= set(told)
    assert sorted(told) == sorted(row["knn_accuracy"] for row in rows[:6])
