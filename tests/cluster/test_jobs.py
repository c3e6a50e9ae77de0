"""`ray job submit` to Ray's real job server on loopback, as docs/cluster.md shows it.

It needs ray[default], which nothing else here does: `make jobs` has it, elsewhere these tests are skipped.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sweeps import files
from tests import processes
from tests.cluster.launcher_rules import ROOT

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]
PORT, DASHBOARD = 6399, 8299
"""Below those that Ray gives to its workers."""
STUDY = """
name: job
reference: {dataset: fashion-mnist-8k, steps: 4, eval_every: 2, batch_size: 32}
factors: {predictor: [mlp, none]}
seeds: 1
"""


@dataclass
class Server:
    """A Ray with its job server."""

    environment: dict[str, str]

    def ray(self, *arguments: str, token: bool = True) -> "subprocess.CompletedProcess[str]":
        """Runs Ray's command line."""
        mode = {} if token else {"RAY_AUTH_MODE": "disabled"}
        return subprocess.run(
            [sys.executable, "-m", "ray.scripts.scripts", *arguments], env={**self.environment, **mode},
            check=False, capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    def submit(self, folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
        """Submits a command with a folder, and waits for its end."""
        where = ("--address", f"http://127.0.0.1:{DASHBOARD}", "--working-dir", str(folder))
        return self.ray("job", "submit", *where, "--", *command)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    pytest.importorskip("aiohttp_cors", reason="ray[default] is not installed: make jobs")
    with tempfile.TemporaryDirectory(prefix="jobs") as home:  # short: Ray's sockets are in it
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        names = {"HOME": home, "PATH": path, "RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}
        started = Server({**os.environ, **names})
        assert started.ray("get-auth-token", "--generate").returncode == 0
        listening = ("--dashboard-host=127.0.0.1", f"--dashboard-port={DASHBOARD}", f"--port={PORT}")
        command = ["start", "--head", "--block", "--num-cpus=2", f"--temp-dir={home}/ray", *listening]
        head = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", *command],
            env=started.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            _wait_for_agent(started, Path(home))
            yield started
        finally:
            processes.send(processes.family(head.pid))  # `ray stop` would stop every Ray of this machine
            head.wait()


def _wait_for_agent(started: Server, folder: Path) -> None:
    """The job server takes jobs once its agent has told it of itself, some time after Ray's start."""
    (folder / "empty").mkdir()
    for _ in range(30):
        if started.submit(folder / "empty", "true").returncode == 0:
            return
        time.sleep(2)
    raise AssertionError(started.submit(folder / "empty", "true").stderr)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a user submits: the program, and a study of their own."""
    for name in ("byol", "sweeps", "analysis"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "run_sweep.py", tmp_path)
    (tmp_path / "own.yaml").write_text(STUDY)
    return tmp_path


def test_a_sweep_runs_as_a_job_and_reports(server: Server, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    job = server.submit(folder, "python", "run_sweep.py", "run", "own.yaml", "--out", str(out))
    assert job.returncode == 0, job.stdout + job.stderr
    assert "2 planned, 2 complete" in job.stdout
    assert pq.read_table(out / files.TRIALS)["state"].to_pylist() == ["COMPLETE", "COMPLETE"]
    assert (out / files.REPORT).stat().st_size > 1e5


def test_a_wrong_study_fails_the_job_with_its_one_line(server: Server, folder: Path, tmp_path: Path) -> None:
    (folder / "own.yaml").write_text(STUDY.replace("predictor", "predicter"))
    job = server.submit(folder, "python", "run_sweep.py", "run", "own.yaml", "--out", str(tmp_path / "out"))
    assert job.returncode != 0
    assert 'did you mean "predictor"' in job.stdout
    assert not (tmp_path / "out").exists()


def test_who_has_no_token_submits_nothing(server: Server, folder: Path) -> None:
    address = f"http://127.0.0.1:{DASHBOARD}"
    refused = server.ray("job", "submit", "--address", address, "--", "true", token=False)
    assert refused.returncode != 0
    assert "Unauthorized" in refused.stderr
