"""Searches on a real Ray, with the simulated trainer."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from sweeps.files import JOURNAL
from sweeps.record.directory import open_ledger
from sweeps.study import study_from_text
from tests.sweeps.engine.real_sweeps import DRIVER, run_study, table, wait_for_results
from tests.sweeps.search.plain import assert_agrees, opened

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

pytestmark = [pytest.mark.ray, pytest.mark.timeout(200), pytest.mark.usefixtures("one_ray")]


def plain_optuna(out: Path, name: str) -> optuna.Study:
    return opened(out / JOURNAL, name)


def assert_the_ledger_says_the_same(out: Path, text: str) -> None:
    study = study_from_text(text, "f")
    assert study.search is not None
    with open_ledger(out) as ledger:
        assert_agrees(plain_optuna(out, study.name), ledger, study.search)


def test_a_search_its_winner_and_its_growth(tmp_path: Path) -> None:
    outcome, shown = run_study(tmp_path, study_from_text(SEARCH, "f"), workers=1)
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

    optuna_study = plain_optuna(tmp_path, "found")
    assert [trial.state.name for trial in optuna_study.trials] == [row["state"] for row in samples]
    assert optuna_study.best_trial.user_attrs["trial_id"] == best["trial_id"]
    assert optuna_study.best_value == best["knn_accuracy"]
    pruned = [row for row in samples if row["state"] == "PRUNED"]
    last_steps = [
        trial.last_step for trial in optuna_study.get_trials(states=(optuna.trial.TrialState.PRUNED,))
    ]
    assert last_steps == [row["steps_run"] for row in pruned]
    assert_the_ledger_says_the_same(tmp_path, SEARCH)

    assert not run_study(tmp_path, study_from_text(SEARCH, "f"), workers=1)[0].ran
    more = study_from_text(SEARCH.replace("trials: 14", "trials: 17").replace("seeds: 2", "seeds: 3"), "f")
    run_study(tmp_path, more, workers=1)
    after = {row["trial_id"]: row for row in table(tmp_path, "trials")}
    assert sum(row["design"] == "search" for row in after.values()) == 17
    assert all(after[row["trial_id"]] == row for row in rows), "finished trials do not change"
    states = [trial.state.name for trial in plain_optuna(tmp_path, "found").trials]
    assert len(states) == 17
    assert set(states) <= {"COMPLETE", "PRUNED"}
    assert_the_ledger_says_the_same(tmp_path, SEARCH)


def test_failures_and_repeats_leave_no_trial_running(tmp_path: Path) -> None:
    outcome, _ = run_study(tmp_path, study_from_text(FATES, "f"), workers=3)
    rows = table(tmp_path, "trials")
    samples = [row for row in rows if row["design"] == "search"]
    assert len({row["trial_id"] for row in samples}) == len(samples) < 12, "none ran twice"
    assert all(row["attempt"] == 1 for row in rows)
    by_id = {row["trial_id"]: row for row in samples}
    optuna_trials = plain_optuna(tmp_path, "fates").trials
    assert len(optuna_trials) == 12
    for trial in optuna_trials:
        row = by_id[trial.user_attrs["trial_id"]]
        finished = row["end_reason"] == "finished"
        assert trial.state.name == ("COMPLETE" if finished else "FAIL")
        assert trial.values == ([row["knn_accuracy"], row["wall_seconds"]] if finished else None)
    assert {row["end_reason"] for row in samples} == {"finished", "diverged", "error"}
    [fresh] = [row for row in rows if row["design"] == "winner"]
    assert (fresh["f_lr"], fresh["f_momentum"], fresh["f_encoder_norm"]) == (0.1, 0.9, "batch")
    assert outcome.counts["planned"] == len(rows)
    assert_the_ledger_says_the_same(tmp_path, FATES)


def test_a_killed_search_resumes(tmp_path: Path) -> None:
    (tmp_path / "slow.yaml").write_text(SLOW)
    out = tmp_path / "out"
    command = [sys.executable, "-c", DRIVER, "run", str(tmp_path / "slow.yaml"), "--out", str(out)]
    with subprocess.Popen(
        [*command, "--workers", "2"], stdout=subprocess.PIPE, start_new_session=True
    ) as driver:
        wait_for_results(out, 2)
        os.killpg(driver.pid, signal.SIGKILL)
    killed = plain_optuna(out, "slow")
    values_before = [trial.value for trial in killed.trials if trial.state.name == "COMPLETE"]
    assert "RUNNING" in {trial.state.name for trial in killed.trials}
    assert values_before

    run_study(out, study_from_text(SLOW, "f"), workers=2)
    rows = table(out, "trials")
    assert [row["design"] for row in rows] == ["search"] * 6 + ["winner"]
    assert {row["end_reason"] for row in rows} == {"finished"}
    assert max(row["attempt"] for row in rows) == 2
    values = [trial.value for trial in plain_optuna(out, "slow").trials if trial.value is not None]
    assert {trial.state.name for trial in plain_optuna(out, "slow").trials} == {"COMPLETE", "FAIL"}
    assert len(values) == 6
    assert set(values_before) <= set(values)
    assert sorted(values) == sorted(row["knn_accuracy"] for row in rows[:6])
    assert_the_ledger_says_the_same(out, SLOW)
