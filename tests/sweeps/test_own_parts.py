"""Parts of the user's own in a study, in the record and on real workers, as docs/extending.md shows them."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from byol.own_parts import packages
from byol.presets import from_settings
from byol.train import train
from sweeps import files
from sweeps.datasets import DataSets
from sweeps.errors import DirectoryError, RequestError, StudyError
from sweeps.inputs import _check_parts, prepare
from sweeps.options import RunOptions
from sweeps.planning.estimates import shape
from sweeps.record import directory, same_study
from sweeps.record.ledger import Ledger
from sweeps.record.rows import Fact, Measurement, data_of
from sweeps.record.tables import write_tables
from sweeps.study import Study, load_study
from sweeps.study.samples import sample
from sweeps.trainer import byol_trainer, data_key
from tests.own_package import fresh_imports, write_example

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def path(tmp_path: Path) -> Iterator[Path]:
    """The study of the page, in a folder from which this process does not import."""
    for _ in fresh_imports("mypkg"):
        (tmp_path / "project").mkdir()
        yield write_example(tmp_path / "project")


def test_the_study_of_the_page_is_planned_without_running_a_part(path: Path) -> None:
    study = load_study(path)
    assert "mypkg" not in sys.modules
    assert [cell.labels for cell in study.cells()] == [
        {"encoder.width": width, "objective.power": power} for width in (16, 32) for power in (2, 1)
    ]
    assert len({trial.trial_id for trial in study.trials()}) == 8
    settings = study.trials()[0].settings
    assert settings["metrics"] == "mypkg.metrics:spread,mypkg.metrics:separation"
    assert data_key(settings) == ('mypkg.data:load {"count": 256}', 0, 12)
    assert data_of(settings) == 'mypkg.data:load {"count": 256}, all training images, 12 pixels'
    assert packages(["mypkg.models:make_encoder", "mypkg.losses:distance"]) == [path.parent / "mypkg"]
    resolved = path.with_name("resolved.yaml")
    resolved.write_text(study.to_yaml())
    assert load_study(resolved) == study


def test_a_change_of_the_package_makes_other_trials(path: Path) -> None:
    before = {trial.trial_id for trial in load_study(path).trials()}
    assert before == {trial.trial_id for trial in load_study(path).trials()}
    with (path.parent / "mypkg" / "losses.py").open("a") as file:
        file.write("# changed\n")
    assert before.isdisjoint(trial.trial_id for trial in load_study(path).trials())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("encoder=mypkg.models:make_encodr", '(did you mean "make_encoder"?)'),
        ("encoder.widht=3", 'is not an argument of mypkg.models:make_encoder (did you mean "width"?)'),
        ("encoder_code=abc", "reference.encoder_code: is not a setting"),
        ("objective=built-in", "objective.power: is not a setting, for objective built-in has none"),
        ("encoder=timm/resnet10t", "needs the package timm, which is not installed here"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(
    path: Path, setting: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(StudyError) as raised:
        load_study(path, [setting])
    assert message in str(raised.value)


def test_trials_of_two_widths_do_not_take_the_same_time(path: Path) -> None:
    cells = load_study(path).cells()
    assert len({shape(cell.config.to_settings()) for cell in cells}) == 4


def test_a_search_varies_settings_of_a_part_but_not_of_the_data(path: Path) -> None:
    text = path.read_text().partition("factors:")[0]
    space = "search: {trials: 2, space: {%s: {low: 8, high: 64, log: true}}}\n"
    path.write_text(text + space % "encoder.width")
    [parameter] = load_study(path).search.space  # type: ignore[union-attr]
    assert (parameter.low, parameter.high, type(parameter.low)) == (8, 64, int)
    path.write_text(text + space % "dataset.count")
    with pytest.raises(StudyError, match="must be the same in all samples"):
        load_study(path)


def test_a_search_does_not_go_on_under_another_source(path: Path, tmp_path: Path) -> None:
    text = path.read_text().partition("factors:")[0]
    path.write_text(text + "search: {trials: 4, space: {encoder.width: {low: 8, high: 64}}}\n")
    study, out = load_study(path), tmp_path / "out"
    assert study.search is not None
    trial = sample(study.reference, study.search, {"encoder.width": 16})
    with directory.driver_lock(out), Ledger(out / files.LEDGER) as ledger:
        for fact, value in (
            (Fact.STUDY, study.name),
            (Fact.COLLAPSE, same_study.rule_text(study)),
            (Fact.SEARCH, same_study.search_text(study)),
        ):
            ledger.set_fact(fact, value)
        ledger.add(trial, 20, design="search")
        same_study.check(ledger, "DIR", study, set())
        with (path.parent / "mypkg" / "losses.py").open("a") as file:
            file.write("# changed\n")
        with pytest.raises(DirectoryError) as error:
            same_study.check(ledger, "DIR", load_study(path), set())
    assert f"all Python files in {path.parent / 'mypkg'} is" in str(error.value)
    assert "so --accept-changes does not help: bring the files back, or take another" in str(error.value)


def test_a_module_of_the_working_directory_is_found_for_a_study_that_ships(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    settings = ["encoder=mypkg.models:make_encoder", "encoder_norm=native"]
    [first, *_] = load_study("predictor-lr", settings).trials()
    assert first.settings["encoder"] == "mypkg.models:make_encoder"


def test_a_part_that_fails_is_refused_before_ray_starts(path: Path, tmp_path: Path) -> None:
    losses = path.parent / "mypkg" / "losses.py"
    losses.write_text(losses.read_text() + "\n\nraise OSError('no')\n")
    message = r"^objective mypkg\.losses:distance: raised OSError: no \(losses\.py, line \d+\)$"
    with pytest.raises(RequestError, match=message):
        inputs(load_study(path), tmp_path)


def inputs(study: Study, out: Path) -> Any:
    return prepare(study, out, options=RunOptions(), trainer=byol_trainer(), source=out)


def test_what_the_parts_measure_is_in_the_tables(path: Path, tmp_path: Path) -> None:
    study = load_study(path, ["steps=4", "eval_every=2", "batch_size=16", "precision=fp32"])
    trial, other = study.trials()[:2]
    data = inputs(study, tmp_path).data
    assert list(data.digests) == ['mypkg.data:load {"count": 256}']
    images = DataSets.load(study, [trial], trainer=byol_trainer(), root=None).images[data_key(trial.settings)]
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.plan([(trial, 4), (other, 4)])
        attempt = ledger.start(trial.trial_id)
        measured = list(train(from_settings(trial.settings), images, device="cpu"))  # type: ignore[arg-type]
        for metrics in measured:
            reported = Measurement.of(metrics, wall_seconds=1.0, device="cpu")
            assert Measurement.from_report(
                json.loads(json.dumps({**reported.to_report(), "spectra": {}}))
            ).own
            assert ledger.append(trial.trial_id, attempt, reported)
        write_tables(ledger, tmp_path)
    names = ["m_spread_representation", "m_spread_projection", "m_separation"]
    rows = pq.read_table(tmp_path / "metrics.parquet").to_pylist()
    assert [name for name in rows[0] if name.startswith("m_")] == names
    for row, metrics in zip(rows, measured, strict=True):
        for name in names:
            assert row[name] == pytest.approx(metrics.own[name.removeprefix("m_")], rel=1e-6)
    first, second = pq.read_table(tmp_path / "trials.parquet").to_pylist()
    assert [first[name] for name in names] == list(measured[-1].own.values())
    assert [second[name] for name in names] == [None, None, None]
    assert (first["f_encoder.width"], first["f_objective.power"]) == (16, 2)


@pytest.mark.ray
@pytest.mark.timeout(500)
def test_the_study_of_the_page_runs_from_another_folder(path: Path, tmp_path: Path) -> None:
    elsewhere, out = tmp_path / "elsewhere", tmp_path / "out"
    elsewhere.mkdir()
    (path.parent / "mypkg" / ".gitignore").write_text("losses.py\n")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, str(ROOT / "run_sweep.py"), "run", str(path), "--out", str(out)]
    settings = ["steps=4", "eval_every=4", "precision=fp32", "projector_width=32", "predictor_width=32"]
    options = [option for setting in settings for option in ("--set", setting)]
    shown = subprocess.run(
        [*command, *options], cwd=elsewhere, env=environment, capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    trials = pq.read_table(out / "trials.parquet").to_pylist()
    assert [row["state"] for row in trials] == ["COMPLETE"] * 8
    assert all(row["m_separation"] > 0 for row in trials)
    exported = [sys.executable, str(ROOT / "run_sweep.py"), "export", str(out), trials[0]["trial_id"]]
    file = tmp_path / "encoder.safetensors"
    subprocess.run([*exported, "--to", str(file)], cwd=elsewhere, env=environment, check=True)
    from safetensors.numpy import load_file

    assert load_file(file)["0.weight"].shape[0] in (16, 32)
    with (path.parent / "mypkg" / "losses.py").open("a") as losses:
        losses.write("# changed\n")
    again = subprocess.run(
        [*command, *options], cwd=elsewhere, env=environment, capture_output=True, text=True, check=False
    )
    assert again.returncode == 2
    assert "planned with another source of their" in again.stderr


def test_arguments_that_only_equal_are_each_tried_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = path.read_text().partition("factors:")[0]
    levels = "{a: {objective.power: 1}, b: {objective.power: 1.0}}"
    path.write_text(f"{text}factors: {{kind: {levels}}}\nseeds: 1\n")
    tried: list[type] = []
    trainer = dataclasses.replace(
        byol_trainer(),
        check=lambda config: tried.append(type(config.to_settings()["objective.power"])),
    )
    _check_parts(load_study(path).trials(), trainer)
    assert tried == [int, float]
