"""What a worker reports with each measurement, without Ray."""

from pathlib import Path

import pytest

from byol.measure.collapse import CollapseRule
from byol.presets import from_settings
from sweeps.engine import worker
from sweeps.record.manifest import versions_line
from sweeps.record.rows import Measurement
from sweeps.simulated import TRAINER, load_data
from sweeps.storage.checkpoints import Checkpoints, Workspace
from sweeps.study import Resources


def test_each_measurement_says_what_it_was_made_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[Measurement] = []
    monkeypatch.setattr(worker, "_report", reported.append)
    monkeypatch.setattr(worker, "versions_line", lambda: "torch 0")
    job = worker.Job(
        common={},
        data={},
        node_data=None,
        trainer=TRAINER,
        precision="fp32",
        rule=CollapseRule(),
        resources=Resources(),
        checkpoints=Checkpoints(folder=tmp_path),
        checkpoint_every=0,
        code={"commit": "abc", "clean": False},
    )
    trial = from_settings({"steps": 10, "eval_every": 5})
    worker._train(trial, load_data("made-up"), Workspace(tmp_path), job, 0.0)
    assert [row.step for row in reported] == [0, 5, 10]
    assert {(row.commit, row.clean, row.versions) for row in reported} == {("abc", False, "torch 0")}


def test_the_versions_are_those_of_this_process() -> None:
    import torch

    assert f", torch {torch.__version__.split('+')[0]}" in versions_line()
    assert versions_line().startswith("python 3.")
