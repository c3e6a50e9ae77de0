"""The command line: what it prints, its exit status, and that wrong requests start and change nothing."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sweeps
from run_sweep import main
from sweeps import files
from sweeps.arguments import duration
from sweeps.planning.estimates import of_sweep, plan_fact
from sweeps.record import directory, same_study
from sweeps.record.ledger import Ledger
from sweeps.record.rows import Ending, EndReason, Fact, TrialState
from sweeps.simulated import TRAINER
from sweeps.study import load_study
from tests.sweeps.conftest import SMALL
from tests.sweeps.record.test_ledger import measurement

ROOT = Path(__file__).parents[2]


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def complete(out: Path, study_file: Path, *, failed: int = 0) -> None:
    """A sweep that is over, as a driver would have left it."""
    study = load_study(study_file)
    with directory.driver_lock(out), Ledger(out / files.LEDGER) as ledger:
        ledger.set_fact("study", study.name)
        ledger.set_fact("collapse", same_study.rule_text(study))
        ledger.set_fact("design", study.design.kind)
        ledger.plan((trial, 5) for trial in study.trials())
        for index, trial in enumerate(study.trials()):
            attempt = ledger.start(trial.trial_id)
            if index < failed:
                end = Ending(state=TrialState.FAIL, end_reason=EndReason.ERROR, error="boom")
            else:
                for step in (0, 5):
                    ledger.append(trial.trial_id, attempt, measurement(step))
                end = Ending(
                    state=TrialState.COMPLETE, end_reason=EndReason.FINISHED, collapsed=index % 2 == 0,
                    projection_collapsed=False, dimensional_collapse=False,
                )  # fmt: skip
            ledger.end(trial.trial_id, attempt, end)
    (out / files.STUDY).write_text(study.to_yaml())


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_plan_answers_within_a_second(study_file: Path) -> None:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "run_sweep.py", "plan", str(study_file)], cwd=ROOT, capture_output=True, text=True
    )
    seconds = time.perf_counter() - began
    assert (done.returncode, done.stderr) == (0, "")
    assert "4 cells x 2 seeds (0, 1) = 8" in done.stdout
    assert "aliases     none" in done.stdout
    # A second of processor time is the promise; the clock also counts whatever else this machine does.
    assert seconds < 5


def test_plan_loads_neither_torch_nor_ray_nor_pandas(study_file: Path) -> None:
    code = f"""
import sys, time
from run_sweep import main
assert main(["plan", {str(study_file)!r}]) == 0
assert not {{"torch", "ray", "pandas", "numpy", "pyarrow"}} & set(sys.modules), "heavy imports"
assert time.process_time() < 1, time.process_time()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", [["settings"], ["settings", "preset"], ["init", "{new}"]])
def test_settings_and_init_load_neither_torch_nor_ray(command: list[str], tmp_path: Path) -> None:
    arguments = [argument.format(new=tmp_path / "new.yaml") for argument in command]
    code = f"""
import sys, time
from run_sweep import main
assert main({arguments!r}) == 0
assert not {{"torch", "ray", "pandas", "numpy", "pyarrow"}} & set(sys.modules), "heavy imports"
assert time.process_time() < 1, time.process_time()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_study_that_init_writes_is_planned_with_settings_of_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a-start.yaml"
    assert main(["init", str(path)]) == 0
    assert capsys.readouterr().out.endswith(f"To see what it would run: run_sweep.py plan {path}\n")
    assert main(["plan", str(path), "--set", "steps=7", "--set", "lr=1e-2"]) == 0
    shown = capsys.readouterr().out
    assert "length      7 steps of 64 on all images of fashion-mnist-8k" in shown
    assert "steps=7, lr=0.01" in shown
    assert "3 cells x 3 seeds (0, 1, 2) = 9" in shown


def test_plan_as_json(study_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study_file.write_text(SMALL + "estimate: {seconds_per_trial: 10, hardware: here}\n")
    assert main(["plan", str(study_file), "--json", "--workers", "3"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["study"], plan["design"], plan["seeds"]) == ("small", "full-factorial", [0, 1])
    assert [len(plan["cells"]), len(plan["trials"])] == [4, 8]
    assert plan["cells"][1] == {
        "cell_id": plan["trials"][1]["cell_id"], "encoder_norm": "batch", "heads": "none",
    }  # fmt: skip
    # Eight trials, three at a time, are three rounds of ten seconds.
    assert (plan["trial_seconds"], plan["wall_seconds"], plan["workers"]) == (80, 30, 3)


def test_the_plan_of_a_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "found.yaml"
    path.write_text(
        "name: found\nsearch:\n  trials: 7\n  space:\n    predictor: {choices: [mlp, none]}\n"
        "    predictor_depth: {low: 1, high: 3, when: {predictor: [mlp]}}\n"
        "seeds: 3\nestimate: {seconds_per_trial: 10, hardware: here}\n"
    )
    assert main(["plan", str(path), "--workers", "2"]) == 0
    shown = capsys.readouterr().out
    assert "predictor_depth: 1 to 3 (where predictor is mlp)" in shown
    assert "7 samples with seed 1000, then the best of them with 3 fresh seeds (0, 1, 2) = 10" in shown
    assert "about 1:00 with 2 at a time" in shown  # four rounds of samples, two of fresh seeds
    assert main(["plan", str(path), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["design"], plan["trial_count"], plan["trial_seconds"]) == ("search", 10, 100)
    assert plan["search"]["space"]["predictor"] == {"choices": ["mlp", "none"]}


def test_status_counts_samples_that_are_still_to_be_drawn(
    tmp_path: Path, study_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    complete(tmp_path / "out", study_file)
    with Ledger(tmp_path / "out" / files.LEDGER) as ledger:
        ledger.set_fact("planned", "12")
    assert main(["status", str(tmp_path / "out"), "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert (counts["planned"], counts["waiting"], counts["complete"]) == (12, 4, 8)


def test_studies_are_listed_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["studies"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("collapse-quickstart ") for line in lines)
    assert all(" trials  " in line for line in lines)


def test_status(tmp_path: Path, study_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    complete(tmp_path / "out", study_file, failed=1)
    assert main(["status", str(tmp_path / "out"), "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    expected = {"planned": 8, "waiting": 0, "running": 0, "complete": 7, "failed": 1, "collapsed": 3}
    assert {key: counts[key] for key in expected} == expected
    assert main(["status", str(tmp_path / "out")]) == 0
    assert "     8 planned\n" in capsys.readouterr().out


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("failed", "code"), [(0, 0), (1, 1)])
def test_a_complete_sweep_runs_nothing_and_ends_with_findings_and_the_report(
    tmp_path: Path, study_file: Path, capsys: pytest.CaptureFixture[str], failed: int, code: int
) -> None:
    out = tmp_path / "out"
    complete(out, study_file, failed=failed)
    assert main(["run", str(study_file), "--out", str(out)], trainer=TRAINER) == code
    shown = capsys.readouterr().out
    assert f"\n8 planned, {8 - failed} complete, {4 - failed} collapsed, {failed} failed\n" in shown
    assert shown.endswith(f"\nReport: {out / 'report.html'}\n")
    assert (out / "report.html").exists()
    (out / "report.html").unlink()
    assert main(["report", str(out)]) == 0
    assert (out / "report.html").exists()
    elsewhere = tmp_path / "new" / "report.html"
    assert main(["report", str(out), "--to", str(elsewhere)]) == 0
    beside = sorted(path.name for path in elsewhere.parent.iterdir())
    assert beside == ["effects.parquet", "findings.json", "findings.txt", "report.html"]
    assert elsewhere.read_bytes() == (out / "report.html").read_bytes()


@pytest.mark.timeout(60)
def test_one_of_a_kind_is_no_plural(
    tmp_path: Path, study_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = SMALL.replace("[batch, group]", "[batch]").replace("seeds: 2", "seeds: 1")
    study_file.write_text(re.sub(r"    none: .*\n", "", text).replace("steps: 20", "epochs: 1"))
    out = tmp_path / "out"
    complete(out, study_file)
    np.save(tmp_path / "one.npy", np.ones((1, 1), dtype=np.float32))
    commands = (
        ["plan", str(study_file), "--from", str(out)],
        ["run", str(study_file), "--out", str(out)],
        ["status", str(out)],
        ["replay", str(out)],
        ["report", str(out)],
        ["verify", str(out)],
        ["measure", str(tmp_path / "one.npy")],
    )
    for command in commands:
        assert main(command, trainer=TRAINER) == 0
    shown = capsys.readouterr().out
    for words in (
        "1 cell x 1 seed (0) = 1",
        "1 epoch of",
        "1 of 1 trial is complete",
        "1 row of 1 dimension",
    ):
        assert words in shown
    plural = r"(trials|cells|seeds|steps|epochs|rows|dimensions|measurements|verdicts|are|have)\b"
    assert re.findall(rf"(?<![\d.,])1 (?:[a-z]+ )?{plural}.*", shown) == []


@pytest.mark.timeout(60)
def test_report_prints_the_findings_as_json_and_writes_the_files(
    tmp_path: Path, study_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    complete(out, study_file)
    assert main(["report", str(out), "--json"]) == 0
    shown = capsys.readouterr().out
    assert shown == (out / files.FINDINGS_DATA).read_text()
    document = json.loads(shown)
    assert document["items"][0]["kind"] == "verdict"
    assert document["counts"]["planned"] == 8
    assert document["items"][0]["text"] in (out / files.FINDINGS).read_text()
    assert (out / files.REPORT).exists()
    assert (out / files.EFFECTS).exists()


@pytest.mark.timeout(60)
def test_the_report_of_a_complete_sweep_is_built_again_only_when_it_is_out_of_date(
    tmp_path: Path, study_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    complete(out, study_file)
    command = ["run", str(study_file), "--out", str(out)]
    assert main(command, trainer=TRAINER) == 0
    built = (out / "report.html").stat().st_mtime_ns
    assert main(command, trainer=TRAINER) == 0
    assert (out / "report.html").stat().st_mtime_ns == built
    study_file.write_text(study_file.read_text() + "title: Another title\n")
    assert main(command, trainer=TRAINER) == 0
    assert ">Another title</h1>" in (out / "report.html").read_text()
    (out / "metrics.parquet").touch()  # changed in what the report does not show
    assert main(command, trainer=TRAINER) == 0
    built = (out / "report.html").stat().st_mtime_ns
    assert main(command, trainer=TRAINER) == 0
    assert (out / "report.html").stat().st_mtime_ns == built


def test_a_sweep_that_has_ended_is_reported_and_not_watched(
    tmp_path: Path, study_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    complete(out, study_file)
    monkeypatch.setattr("os.nice", lambda _: 0)  # the tests go on in this process
    assert main(["report", str(out), "--watch"]) == 0
    shown = capsys.readouterr()
    assert "nothing to watch" in shown.err
    assert f"Report: {out / files.REPORT}" in shown.out
    with pytest.raises(SystemExit, match="2"):
        main(["report", str(out), "--watch", "--port", "70000"])
    assert "at most 65535" in capsys.readouterr().err


@pytest.mark.parametrize("present", [[], [files.STUDY], [files.TRIALS]])
def test_a_report_on_a_directory_that_lacks_its_tables_names_what_is_missing(
    tmp_path: Path, study_file: Path, capsys: pytest.CaptureFixture[str], present: list[str]
) -> None:
    complete(tmp_path / "out", study_file)
    assert main(["report", str(tmp_path / "out")]) == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in present:
        (elsewhere / name).write_bytes((tmp_path / "out" / name).read_bytes())
    capsys.readouterr()
    assert main(["report", str(elsewhere)]) == 2
    shown = capsys.readouterr().err
    assert "holds no sweep (no ledger.sqlite, and no " in shown
    assert shown.count("\n") == 1
    for name in (files.STUDY, files.TRIALS):
        assert (name in shown) == (name not in present)
    assert sorted(path.name for path in elsewhere.iterdir()) == present


@pytest.mark.timeout(60)
def test_the_tables_of_a_sweep_say_the_same_without_its_ledger(tmp_path: Path, study_file: Path) -> None:
    out, copy = tmp_path / "out", tmp_path / "copy" / "out"
    complete(out, study_file)
    assert main(["report", str(out)]) == 0
    copy.mkdir(parents=True)
    for name in (files.STUDY, files.TRIALS, files.METRICS, files.SPECTRA):
        (copy / name).write_bytes((out / name).read_bytes())
    before = snapshot(copy)
    assert main(["report", str(copy)]) == 0
    assert (copy / files.REPORT).read_bytes() == (out / files.REPORT).read_bytes()
    for name in (files.FINDINGS, files.FINDINGS_DATA, files.EFFECTS):
        assert (copy / name).read_bytes() == (out / name).read_bytes()
    after = snapshot(copy)
    assert {path: after[path] for path in before} == before
    assert not (copy / files.LEDGER).exists()


GOOD = "steps: 20"
WRONG: list[tuple[list[str], str, str]] = [
    (["plan", "{study}"], "stesp: 20", 'reference.stesp: is not a setting (did you mean "steps"?)'),
    (["run", "{study}", "--out", "{out}"], "stesp: 20", "small.yaml:4: reference.stesp: is not a setting"),
    (["run", "{study}", "--out", "{out}"], "steps: many", "must be a whole number, but got 'many'"),
    (["run", "{study}", "--out", "{out}"], "steps: -5", "must be at least 0, but got -5"),
    (["run", "{study}", "--out", "{out}"], "steps: [", "is not YAML"),
    (
        ["run", "{study}", "--out", "{out}"],
        "batch_size: 9999, epochs: 1",
        "must not exceed the 1000 training",
    ),
    (["run", "{missing}", "--out", "{out}"], GOOD, "cannot be read: No such file or directory"),
    (["run", "colapse-quickstart", "--out", "{out}"], GOOD, '(did you mean "collapse-quickstart"?)'),
    (["run", "{study}"], GOOD, "the following arguments are required: --out"),
    (["run", "{study}", "--out", "{study}"], GOOD, "must be a directory, but is a file"),
    (["run", "{study}", "--out", "{out}", "--workers", "0"], GOOD, "must be a whole number, at least 1, but"),
    (["run", "{study}", "--out", "{out}", "--checkpoint-every=-1"], GOOD, "at least 0, but got '-1'"),
    (["run", "{study}", "--out", "{out}", "--gpus-per-trial", "1.5"], GOOD, "must be whole, or a fraction"),
    (["run", "{study}", "--out", "{out}", "--worker", "x"], GOOD, "--worker"),
    (
        ["run", "{study}", "--out", "{out}", "--storage", "s3a://bucket/x"],
        GOOD,
        """but got 's3a://bucket/x' (did you mean "s3"?)""",
    ),
    (
        [
            "run",
            "{study}",
            "--out",
            "{out}",
            "--storage",
            "s3://b/x?endpoint_override=127.0.0.1:1&scheme=http",
        ],
        GOOD,
        "cannot be reached",
    ),
    (
        ["run", "{study}", "--out", "{out}", "--storage", "s3://me:a-secret@b/x"],
        GOOD,
        "must hold no credentials (they come from the environment or the instance's role), but got s3://***@b/x",
    ),
    (["run", "{study}", "--out", "{out}", "--storage", "{study}/x"], GOOD, "small.yaml/x: cannot be used"),
    (["run", "{study}", "--out", "{out}", "--mirror-every", "0"], GOOD, "must be a duration such as 90s"),
    (["run", "{study}", "--out", "{out}", "--data-via", "nodes"], GOOD, "invalid choice: 'nodes'"),
    (
        ["run", "{study}", "--out", "{out}", "--cpus-per-trial", "0"],
        GOOD,
        "must be at least 0.01, but got '0'",
    ),
    (
        ["run", "lr-search", "--out", "{out}", "--pack", "2"],
        GOOD,
        "--pack: must be 1 in a search, which draws",
    ),
    (
        ["run", "{study}", "--out", "{out}", "--pack", "0"],
        GOOD,
        "must be a whole number, at least 1, but got",
    ),
    (["run", "{study}", "--out", "{out}", "--cpus-per-trial", "nan"], GOOD, "must be whole, or a fraction"),
    (
        ["run", "{study}", "--out", "{out}", "--time-budget", 400 * "9" + "h"],
        GOOD,
        "must be at most 100,000 ho",
    ),
    (
        ["run", "{study}", "--out", "{out}", "--workers", 5000 * "9"],
        GOOD,
        "must be at most 1,000,000,000, but",
    ),
    (["run", "{study}", "--out", "{out}", "--storage", ""], GOOD, "--storage: must not be empty, but got ''"),
    (["run", "{study}", "--out", ""], GOOD, "argument --out: must not be empty, but got ''"),
    (["run", "{study}", "--out", "{out}", "--address", ""], GOOD, "--address: must not be empty, but got ''"),
    (["run", "{study}", "--out", "{out}/\udc80"], GOOD, "argument --out: must be UTF-8 text, but got"),
    (["plan", "{study}", "a\nb" + 10_000 * "c"], GOOD, "unrecognized arguments: a\\nbccc"),
    (["plan", "{study}", "--set", "a\nb=" + 10_000 * "c"], GOOD, "is not a setting"),
    (["plan", "\0.yaml"], GOOD, "is no name of a file"),
    (["paln", "{study}"], GOOD, "invalid choice: 'paln'"),
    (["status", "{out}"], GOOD, "holds no sweep"),
    (["report", "{out}"], GOOD, "holds no sweep"),
    (["export", "{out}", "abc", "--to", "{missing}"], GOOD, "holds no sweep"),
    (
        ["settings", "tau_bas"],
        GOOD,
        "must be a setting, or the name of a preset or of a pair of views (did you",
    ),
    (["init", "{study}"], GOOD, "small.yaml: exists already, and is not overwritten"),
    (["init", "{out}/x.yaml"], GOOD, "x.yaml: cannot be written: No such file or directory"),
    (["init", "{out}.txt"], GOOD, "out.txt: must end in .yaml or .yml"),
]


@pytest.mark.parametrize(("command", "setting", "message"), WRONG, ids=[wrong[2][:40] for wrong in WRONG])
def test_a_wrong_request_is_answered_in_one_line_and_changes_nothing(
    tmp_path: Path,
    study_file: Path,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    setting: str,
    message: str,
) -> None:
    study_file.write_text(SMALL.replace(GOOD, setting))
    places = {"study": study_file, "out": tmp_path / "out", "missing": tmp_path / "missing.yaml"}
    before = snapshot(tmp_path)
    try:
        code = main([argument.format(**places) for argument in command], trainer=TRAINER)
    except SystemExit as ended:  # argparse leaves by itself
        code = int(str(ended.code))
    shown = capsys.readouterr()
    assert code == 2
    assert shown.out == ""
    assert message in shown.err
    assert shown.err.count("\n") == 1
    assert snapshot(tmp_path) == before
    assert not (tmp_path / "out").exists()


def test_a_directory_that_holds_another_study_is_left_alone(
    tmp_path: Path, study_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    complete(tmp_path / "out", study_file)
    before = snapshot(tmp_path / "out")
    study_file.write_text(SMALL.replace("name: small", "name: other"))
    assert main(["run", str(study_file), "--out", str(tmp_path / "out")], trainer=TRAINER) == 2
    assert 'holds the study "small", not "other"' in capsys.readouterr().err
    assert {name: data for name, data in snapshot(tmp_path / "out").items() if "ledger" not in name} == {
        name: data for name, data in before.items() if "ledger" not in name
    }


def test_a_damaged_data_file_is_named(
    tmp_path: Path, study_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from byol.data import named_sets as data

    assets = tmp_path / "assets"
    assets.mkdir()
    for path in data.ASSETS.glob("fashion-mnist-8k*"):
        (assets / path.name).write_bytes(path.read_bytes()[:-1])
    (assets / "fashion-mnist-8k.sha256").write_text((data.ASSETS / "fashion-mnist-8k.sha256").read_text())
    monkeypatch.setattr(data, "ASSETS", assets)
    assert main(["run", str(study_file), "--out", str(tmp_path / "out")]) == 2
    shown = capsys.readouterr()
    assert "fashion-mnist-8k-train.png: sha256 must be" in shown.err
    assert shown.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_report_that_cannot_be_written_is_one_line(
    tmp_path: Path, study_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    complete(tmp_path / "out", study_file)
    assert main(["report", str(tmp_path / "out"), "--to", str(study_file / "report.html")]) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert str(study_file) in shown


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("/home/me/.local/bin/byol-sweeps", "byol-sweeps"),
        ("byol-sweeps", "byol-sweeps"),
        ("run_sweep.py", "run_sweep.py"),
        ("/byol-sweeps/run_sweep.py", "run_sweep.py"),
        ("pytest", "run_sweep.py"),
    ],
)
def test_usage_and_errors_name_the_program_as_it_was_called(
    called: str,
    name: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", [called, "status", str(tmp_path)])
    assert main() == 2
    assert capsys.readouterr().err.startswith(f"{name}: {tmp_path}: ")
    with pytest.raises(SystemExit):
        main(["--help"])
    assert capsys.readouterr().out.startswith(f"usage: {name} [-h] ")
    with pytest.raises(SystemExit):
        main(["plan"])
    assert capsys.readouterr().err.startswith(f"{name} plan: the following arguments are required: STUDY")


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"byol-sweeps {sweeps.__version__}\n")


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("45m", 2700), ("2h30m", 9000), ("1h1s", 3601)])
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0s", "10", "1.5h", "30m2h", "h"])
def test_what_is_no_duration(
    text: str, study_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", str(study_file), "--out", str(tmp_path / "out"), "--time-budget", text])
    assert ended.value.code == 2
    assert f"must be a duration such as 90s, 45m or 2h30m, but got '{text}'" in capsys.readouterr().err


@pytest.mark.timeout(60)
def test_a_logger_that_is_not_there_is_refused_before_anything_starts(
    study_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, message in (
        (
            "mlfow",
            "--log: must be one of tensorboard, mlflow, wandb, but got 'mlfow' (did you mean \"mlflow\"?)",
        ),
        ("wandb", "--log wandb: the package wandb is not installed here"),
    ):
        out = tmp_path / "out"
        assert main(["run", str(study_file), "--out", str(out), "--log", name], trainer=TRAINER) == 2
        assert capsys.readouterr().err == f"run_sweep.py: {message}\n"
        assert not out.exists()


def test_the_readmes_python_does_what_the_commands_do(
    study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = (ROOT / "README.md").read_text()
    [code] = [block.split("```")[0] for block in readme.split("```python\n") if "load_results" in block]
    complete(tmp_path / "runs" / "my-ablation", study_file)
    study_file.rename(tmp_path / "my-ablation.yaml")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["outcome"].counts["complete"] == 8
    assert names["collapsed"].to_dict() == {"batch": 0.5, "group": 0.5}


@pytest.mark.timeout(60)
def test_plan_says_what_n_seeds_could_show_from_an_earlier_sweep(
    study_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "earlier"
    complete(out, study_file)
    assert main(["run", str(study_file), "--out", str(out)]) == 0
    study_file.write_text(SMALL.replace("seeds: 2", "seeds: {min: 4, max: 9, until: decided}"))
    findings = (out / files.FINDINGS).read_text()
    capsys.readouterr()
    command = ["plan", str(study_file), "--from", str(out)]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "trials      4 cells x 4 to 9 seeds (until the verdict is settled) = 16 to 36" in shown
    line = next(line for line in shown.splitlines() if line.startswith("representation: open. "))
    assert line.removeprefix("representation: open. ") in findings
    assert main([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["sequence"] == {"min": 4, "max": 9, "until": "decided"}
    assert (document["fewest"]["trial_count"], document["trial_count"]) == (16, 36)
    assert document["power"]["representation"]["case"] == "undetermined"
    assert list(document["power"]["most_rate_after_none"]) == ["3", "4", "5", "8", "9", "10"]


def test_plan_says_what_a_sweep_costs_and_what_may_surprise(
    study_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    complete(tmp_path / "earlier", study_file)
    text = SMALL.replace("fashion-mnist-8k", "cifar10") + "resources: {gpu: 0.5}\n"
    study_file.write_text(text)
    command = [
        "plan",
        str(study_file),
        "--from",
        str(tmp_path / "earlier"),
        "--price",
        "7200",
        "--workers",
        "8",
    ]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "of its shapes 0 of 4 cells, its mean for the rest" in shown
    assert "cost        8.00, at the price of a worker's hour" in shown  # 8 trials of half a second
    assert "cifar10 is downloaded unless --data-root holds it" in shown
    assert "What n seeds could show is unknown" in shown, "there are no tables"
    study_file.write_text(text.replace("cifar10", "cifar11"))
    assert main(["plan", str(study_file)]) == 2
    assert """(did you mean "cifar10"?), but got 'cifar11'""" in capsys.readouterr().err


def test_status_compares_the_plan_with_what_happened(
    study_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    complete(tmp_path, study_file)
    study = load_study(study_file)
    estimate = of_sweep(study.cells(), tmp_path)
    with Ledger(tmp_path / files.LEDGER) as ledger:
        ledger.set_fact(Fact.PLAN, plan_fact(estimate, study.trials(), 2))
    assert main(["status", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["plan"]["finished_seconds"] == 4.0
    assert main(["status", str(tmp_path)]) == 0
    assert "\n8 finished trials took 0.00 trial-hours, where 0.00 were planned" in capsys.readouterr().out
