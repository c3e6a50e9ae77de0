"""What the page says about the runs: what is alike once, what differs with whose it is; the plan."""

import json
import re
from pathlib import Path

from analysis.load import load_results
from analysis.outcomes import count
from analysis.page.provenance import plan_card, provenance
from analysis.plan_actual import plan_against_actual
from analysis.results import StudyResults
from tests.analysis.tables import unfinished, write_sweep

VERSIONS = {"python": "3.11.9", "torch": "2.15.0"}


def with_manifest(directory: Path, **changes: object) -> StudyResults:
    path = write_sweep(directory, study={"estimate": {"seconds_per_trial": 5, "hardware": "a core"}})
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | changes))
    return load_results([path]).studies[0]


def driver(started: str, **changes: object) -> dict[str, object]:
    return {"started": started, "command": f"run --started {started}", "wall_seconds": 60.0,
            "versions": VERSIONS, "git": {"commit": "abc", "clean": True}, "hardware": {"cpu": "X"},
            **changes}  # fmt: skip


def test_what_is_alike_in_all_runs_is_said_once(tmp_path: Path) -> None:
    study = with_manifest(tmp_path, drivers=[driver("monday"), driver("tuesday")])
    html = provenance(study, count(study.trials))
    assert html.count("2.15.0") == 1
    assert "<dt>versions.torch</dt><dd>2.15.0</dd>" in html
    rows = re.findall(r"<td>run \d</td><td>[^<]*</td><td>([^<]*)</td><td>([^<]*)</td>", html)
    assert rows == [("monday", "1 min 0 s"), ("tuesday", "1 min 0 s")]
    titles = re.findall("<h3>([^<]*)</h3>", html)
    assert titles == ["Plan against actual", "Runs", "Code", "Machine", "Data", "Study file"]


def test_what_differs_is_said_with_the_runs_that_had_it(tmp_path: Path) -> None:
    newer = driver("wednesday", versions={**VERSIONS, "torch": "2.16.0"})
    study = with_manifest(tmp_path, drivers=[driver("monday"), driver("tuesday"), newer])
    html = provenance(study, count(study.trials))
    assert "<dd>2.15.0 (run 1 and run 2); 2.16.0 (run 3)</dd>" in html


def test_a_missing_manifest_is_said(tmp_path: Path) -> None:
    path = write_sweep(tmp_path)
    (path / "manifest.json").unlink()
    study = load_results([path]).studies[0]
    html = provenance(study, count(study.trials))
    assert "manifest.json is missing" in html


def test_plan_against_actual(tmp_path: Path) -> None:
    plan = {"workers": 2, "trial_seconds": 240.0, "wall_seconds": 120.0, "finished_trials": 48,
            "finished_planned_seconds": 240.0, "finished_seconds": 360.0}  # fmt: skip
    study = with_manifest(tmp_path, plan=plan)
    rows = {row.name: (row.planned, row.actual) for row in plan_against_actual(study, count(study.trials))}
    assert rows == {
        "trials": ("48", "48 judged"),
        "optimiser steps": ("4,800", "4,800"),
        "time of 48 finished trials": ("4 min 0 s", "6 min 0 s (1.5 times)"),
        "time on the clock": ("2 min 0 s with 2 at a time", "3 min 0 s"),
        "time of a trial, by the study file": ("5.0 s on a core", "median 7.5 s, 7.5 s to 7.5 s"),
    }
    assert "(1.5 times)" in plan_card(study, count(study.trials))


def test_an_unfinished_plan_and_one_that_makes_no_sense(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, edit=unfinished(after=20))
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["plan"] = {"wall_seconds": "soon", "finished_trials": 3}
    (path / "manifest.json").write_text(json.dumps(manifest))
    study = load_results([path]).studies[0]
    rows = {row.name: row.actual for row in plan_against_actual(study, count(study.trials))}
    assert rows == {"trials": "20 judged (28 to come)", "optimiser steps": "2,000"}
