"""The command `measure`: which files are which trial, what it says of them, the tables and the report."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.load import load_results
from run_sweep import main
from sweeps import files
from sweeps.errors import RequestError
from sweeps.measured import sources
from sweeps.measured.sources import find_sources
from tests.cli.test_cli import snapshot

pytestmark = pytest.mark.timeout(60)

GENERATOR = np.random.default_rng(0)
NOISE = GENERATOR.normal(size=(200, 16))
LABELS = np.arange(200) % 4
SPREAD = GENERATOR.normal(size=(4, 16))[LABELS] + 0.3 * NOISE
POINT = np.ones((200, 16)) + 0.003 * NOISE


def save(path: Path, array: np.ndarray, labels: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array.astype(np.float32))
    if labels is not None:
        np.save(path.with_name(f"{path.stem}.labels.npy"), labels)
    return path


def measured(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, dict[str, Any]]:
    """What `measure --json` says of each trial, by name."""
    assert main(["measure", *map(str, arguments), "--json"]) == 0
    return {trial["name"]: trial for trial in json.loads(capsys.readouterr().out)["trials"]}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two trainings: one keeps its spread, the other loses it from step 100 on."""
    for step, array in ((0, SPREAD), (50, SPREAD), (100, POINT), (200, POINT)):
        save(tmp_path / "runs" / "kept" / f"step-{step}.npy", SPREAD, LABELS)
        save(tmp_path / "runs" / "lost" / f"step-{step}.npy", array, LABELS)
    return tmp_path / "runs"


def test_a_folder_of_folders_is_a_trial_each_in_order_of_step(runs: Path) -> None:
    sources = find_sources([runs])
    assert [source.name for source in sources] == ["kept", "lost"]
    assert [step for step, _ in sources[0].files] == [0, 50, 100, 200]  # not in the order of their names
    assert find_sources([runs / "kept"])[0] == sources[0]


def test_names_are_as_long_as_tells_them_apart(runs: Path, tmp_path: Path) -> None:
    other = save(tmp_path / "others" / "kept" / "step-1.npy", SPREAD)
    names = [source.name for source in find_sources([runs / "kept", other.parent, other])]
    assert names == ["runs/kept", "others/kept", "kept/step-1"]


def test_files_of_labels_among_the_paths_are_no_embeddings(runs: Path) -> None:
    paths = sorted((runs / "kept").glob("*.npy"))
    assert len(paths) == 8
    assert len(find_sources(paths)) == 4


def test_too_many_files_are_refused_before_they_are_compared(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = [runs / "kept", runs / "kept"]
    with pytest.raises(RequestError, match=r"kept: must be named once, but is named 2 times$"):
        find_sources(twice)
    monkeypatch.setattr(sources, "MOST_FILES", 7)
    with pytest.raises(RequestError, match=r"must be at most 7 files in all, but got 8$"):
        find_sources(twice)


def test_paths_are_not_compared_pair_by_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [save(tmp_path / f"run-{number}.npy", SPREAD[:2]) for number in range(100)]
    compared: list[Path] = []

    def equal(one: Path, other: object) -> bool:
        compared.append(one)
        return str(one) == str(other)

    monkeypatch.setattr(Path, "__eq__", equal)
    assert len(find_sources(paths)) == 100
    assert len(compared) < 200


def test_verdicts_and_onset(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = save(tmp_path / "line.npy", NOISE[:, :1] * NOISE[:1])
    found = measured(capsys, runs, line)
    assert [
        (trial["collapsed"], trial["dimensional_collapse"], trial["onset_step"]) for trial in found.values()
    ] == [
        (False, False, None),
        (True, False, 100),
        (False, True, None),
    ]
    last = found["kept"]["measurements"][-1]
    assert last["knn_accuracy"] > 0.95
    assert last["chance"] == 0.25
    assert last["step"] == 200
    assert found["line"]["measurements"][0]["step"] is None


def test_a_constant_file_is_collapse_beside_another_step_or_by_ones_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    constant = np.ones((200, 16))
    alone = save(tmp_path / "run" / "step-10.npy", constant)
    assert measured(capsys, alone)["step-10"]["verdict"] == "cannot be told"
    assert measured(capsys, alone.parent)["run"]["collapsed"] is None
    assert measured(capsys, alone, "--different-inputs")["step-10"]["collapsed"] is True
    save(tmp_path / "run" / "step-0.npy", SPREAD)
    assert measured(capsys, alone.parent)["run"]["collapsed"] is True
    save(tmp_path / "run" / "step-0.npy", SPREAD[:100])
    assert measured(capsys, alone.parent)["run"]["collapsed"] is None


def test_labels_for_every_file(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = save(tmp_path / "plain.npy", SPREAD)
    labels = save(tmp_path / "all.labels.npy", LABELS.astype(float))
    np.save(labels, np.array(["a", "b", "c", "d"])[LABELS])
    (one,) = measured(capsys, plain, "--labels", labels)["plain"]["measurements"]
    assert one["knn_accuracy"] > 0.95
    assert measured(capsys, plain)["plain"]["measurements"][0].get("knn_accuracy") is None


def test_tables_and_report(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few, broken = save(tmp_path / "few.npy", SPREAD[:8]), SPREAD.copy()
    broken[7, 3] = np.nan
    out = tmp_path / "out"
    assert (
        main(["measure", *map(str, (runs, few, save(tmp_path / "broken.npy", broken))), "--to", str(out)])
        == 0
    )
    text = capsys.readouterr().out
    assert "kept: not collapsed" in text
    assert "lost: collapsed, from step 100 on" in text
    assert "few: cannot be told" in text
    assert "row 7 (from 0) is not finite" in text
    (study,) = load_results(out).studies
    assert study.is_measured
    trials = study.trials.set_index(study.trials["trial_id"].str.rpartition("-")[0])
    assert trials["outcome"].to_dict() == {
        "kept": "survived", "lost": "collapsed", "few": "unknown", "broken": "diverged",
    }  # fmt: skip
    assert trials.loc["lost", "onset_step"] == 100
    assert trials.loc["kept", "steps_run"] == 200
    assert trials["knn_accuracy_start"]["kept"] == trials["knn_accuracy"]["kept"]
    assert trials["loss"].isna().all()
    assert "8 rows cannot tell" in str(trials["note"]["few"])
    metrics = pd.read_parquet(out / files.METRICS)
    assert len(metrics) == 10
    assert metrics[["loss", "tau", "lr", "alignment", "projection_std"]].isna().all(axis=None)
    assert len(pd.read_parquet(out / files.SPECTRA)["eigenvalues"][0]) == 16
    findings = (out / files.FINDINGS).read_text()
    assert "1 collapsed: lost; 1 kept the spread: kept; " in findings
    assert "seed" not in findings
    page = (out / files.REPORT).read_text()
    for absent in (
        "How much each factor matters",
        "Audit of the design",
        "Plan against actual",
        "t over seeds",
    ):
        assert absent not in page
    assert main(["report", str(out)]) == 0
    assert (out / files.REPORT).read_text() == page


def test_the_folder_of_results_is_taken_again_but_never_another_one(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, request = tmp_path / "out", ["measure", str(runs / "kept" / "step-0.npy"), "--to"]
    assert main([*request, str(out)]) == 0
    assert main([*request, str(out)]) == 0
    capsys.readouterr()
    sweep = tmp_path / "sweep"
    sweep.mkdir()
    (sweep / files.STUDY).write_text("name: mine\n")
    full = tmp_path / "full"
    save(full / "x.npy", SPREAD)
    for folder, what in ((sweep, "other results"), (full, "x.npy"), (full / "x.npy", "is a file")):
        before = snapshot(tmp_path)
        assert main([*request, str(folder)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert what in error
        assert snapshot(tmp_path) == before


def test_a_wrong_file_leaves_nothing_behind(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / "lost" / "step-200.npy").write_bytes(b"rubbish")
    assert main(["measure", str(runs), "--to", str(tmp_path / "out")]) == 2
    assert f"{runs}/lost/step-200.npy: must be a readable file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (["a/x.npy"], "must have its step in its name, such as step-001000.npy, but got 'x.npy'"),
        (["a/step-1.npy", "a/step-01.npy"], "step-01.npy and step-1.npy are both of step 1"),
        (["a/step-1.npy", "a/b/step-1.npy"], "but has step-1.npy beside the folder b"),
        (["a/b/notes.txt"], "must hold files that end in .npy, .parquet, .safetensors, but holds none"),
        (["a/notes.txt"], "or folders of them, but holds none"),
        ([], "must be a file or a folder of embeddings, but is not there"),
    ],
)
def test_folders_that_cannot_be_told(make: list[str], message: str, tmp_path: Path) -> None:
    for name in make:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with pytest.raises(RequestError) as error:
        find_sources([tmp_path / "a"])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_one_embedding_is_named_once(runs: Path) -> None:
    with pytest.raises(RequestError, match="must be named once, but is named 2 times"):
        find_sources([runs / "kept", runs])
