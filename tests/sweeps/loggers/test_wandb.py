"""Offline runs of Weights & Biases: in the sweep's directory, wherever the driver was started."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sweeps.errors import RequestError
from sweeps.loggers import places
from sweeps.study import Study
from sweeps.study.designs import Trial
from tests.sweeps.loggers.conftest import LoggedSweep

wandb = pytest.importorskip("wandb")
pytestmark = pytest.mark.timeout(180)
_BLOCK = 32768


def records(file: Path) -> Iterator[bytes]:
    """The records of an offline file, a log as LevelDB writes it after a header of 7 bytes."""
    content, position, parts = file.read_bytes(), 7, b""
    while position < len(content):
        if _BLOCK - position % _BLOCK < 7:  # no room for a header: the block is padded
            position += _BLOCK - position % _BLOCK
            continue
        length, kind = struct.unpack("<4xHB", content[position : position + 7])
        parts += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


class Recorded:
    """What one offline file holds."""

    def __init__(self, file: Path) -> None:
        from wandb.proto.wandb_internal_pb2 import Record

        self.rows: list[dict[str, Any]] = []
        self.summary: dict[str, Any] = {}
        self.exit_code = None
        for content in records(file):
            record = Record.FromString(content)
            kind = record.WhichOneof("record_type")
            if kind == "run":
                self.run = record.run
                self.config = {item.key: json.loads(item.value_json) for item in record.run.config.update}
            elif kind == "history":
                items = record.history.item
                self.rows.append(
                    {item.key or item.nested_key[0]: json.loads(item.value_json) for item in items}
                )
            elif kind == "summary":
                for item in record.summary.update:
                    self.summary[item.key or item.nested_key[0]] = json.loads(item.value_json)
            elif kind == "exit":
                self.exit_code = record.exit.exit_code


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    wandb.teardown()


def test_offline_runs_land_in_the_directory_and_keep_their_id(
    tmp_path: Path, study: Study, healthy: Trial, collapsing: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    sweep = LoggedSweep(Path("runs"), study, "wandb")
    places.check(["wandb"])
    sweep.run_interrupted(healthy, collapsing)
    sweep.resume(healthy)
    assert sweep.shown.getvalue().count("--log") == 0
    folder = tmp_path / "runs" / "wandb"
    files = {name: sorted(folder.glob(f"offline-run-*-{name}-abc123/*.wandb")) for name in
             (healthy.trial_id, collapsing.trial_id)}  # fmt: skip
    [collapsed] = map(Recorded, files[collapsing.trial_id])
    assert (collapsed.run.project, collapsed.run.run_id) == ("small", f"{collapsing.trial_id}-abc123")
    assert collapsed.run.display_name == "encoder_norm=group, data=a/b|c, seed 7"
    assert collapsed.run.run_group == "encoder_norm=group, data=a/b|c"
    assert collapsed.config["level"] == {"encoder_norm": "group", "data": "a/b|c"}
    assert collapsed.config["settings"] == dict(collapsing.settings)
    assert collapsed.config["report"] == str(tmp_path / "runs" / "report.html")
    assert {"study", "commit", "cell_id", "seed"} <= set(collapsed.config)
    assert (collapsed.summary["end_reason"], collapsed.summary["collapsed"]) == ("diverged", True)
    assert [row["_step"] for row in collapsed.rows] == [0, 5, 10, 15, 20]

    first, second = map(Recorded, files[healthy.trial_id])
    assert first.run.run_id == second.run.run_id
    assert ([row["_step"] for row in first.rows], first.exit_code) == ([0, 5, 10], 1)
    assert ([row["_step"] for row in second.rows], second.exit_code) == ([15, 20], 0)
    assert (first.summary["end_reason"], second.summary["end_reason"]) == ("interrupted", "finished")
    assert [row["loss"] for row in second.rows] == pytest.approx([1.5, 2])


def test_online_without_a_key_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    wandb.teardown()
    with pytest.raises(RequestError, match=r"^--log wandb: No API key configured"):
        places.check(["wandb"])


def test_a_server_that_is_not_there_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    wandb.teardown()
    with pytest.raises(RequestError, match=r"^--log wandb: Failed to authenticate with http://127.0.0.1:9"):
        places.check(["wandb"])
