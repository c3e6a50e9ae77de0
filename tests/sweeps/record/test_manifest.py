"""The manifest: what it says of a sweep's drivers, and of the code that drove it."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

import sweeps
from sweeps.record import manifest as module
from sweeps.record.manifest import DriverRecord, git_state, manifest_text, versions


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_manifest_adds_up_its_drivers_and_keeps_no_secrets() -> None:
    text = "{}"

    def write(hour: int, seconds: float) -> None:
        nonlocal text
        text = manifest_text(
            json.loads(text),
            study="small",
            precision="fp32",
            data={"set": "digest"},
            driver=DriverRecord(
                command=["run_sweep.py", "run", "--storage", "s3://AKIA:a-secret@bucket/x?token=a-secret"],
                started=datetime(2026, 1, 1, hour, tzinfo=UTC),
                wall_seconds=seconds,
                resources={"CPU": 2.0, "accelerator_type:H200": 1.0, "memory": 1e9},
            ),
        )

    write(1, 1.0)
    write(1, 10.0)
    write(2, 5.0)
    manifest = json.loads(text)
    assert manifest["created"] == "2026-01-01T01:00:00+00:00"
    assert [driver["wall_seconds"] for driver in manifest["drivers"]] == [10.0, 5.0]
    assert manifest["command"] == "run_sweep.py run --storage s3://***@bucket/x?token=***"
    assert "a-secret" not in text
    assert manifest["wall_seconds"] == 15.0
    assert manifest["data"] == {"name": "set", "digest": "digest", "all": {"set": "digest"}}
    assert manifest["hardware"]["engine"] == {"CPU": 2.0}
    assert manifest["hardware"]["accelerators"] == ["H200"]
    assert {"python", "byol-sweeps", "torch", "ray"} <= set(manifest["versions"])
    assert set(manifest["git"]) == {"commit", "clean"}


def test_the_version_of_this_tool_is_among_the_versions() -> None:
    assert versions()["byol-sweeps"] == sweeps.__version__


def test_a_checkout_has_its_commit_and_says_whether_it_is_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "sweeps" / "record" / "manifest.py"
    code.parent.mkdir(parents=True)
    code.touch()
    monkeypatch.setattr(module, "__file__", str(code))
    assert git_state() == {"commit": None, "clean": None}

    git(tmp_path, "init", "--quiet")
    (tmp_path / "notes").touch()
    git(tmp_path, "add", "notes")
    git(tmp_path, "commit", "--quiet", "--message", "of something else")
    assert git_state() == {"commit": None, "clean": None}, "this repository does not hold the code"

    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "of the code")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert git_state() == {"commit": commit, "clean": True}
    code.write_text("# changed")
    assert git_state() == {"commit": commit, "clean": False}
