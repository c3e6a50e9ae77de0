"""docs/cluster/sweep.sbatch, run by bash with stand-ins for Slurm's and Ray's commands and for the driver."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from run_sweep import _parser
from tests.cluster.launcher_rules import ROOT

SCRIPT = ROOT / "docs" / "cluster" / "sweep.sbatch"
NAMES_OF_A_JOB = {
    "SLURM_JOB_ID": "71",
    "SLURM_JOB_NODELIST": "node[1-2]",
    "SLURM_JOB_NUM_NODES": "2",
    "SLURM_CPUS_PER_TASK": "16",
    "SLURM_GPUS_ON_NODE": "4",
}
DRIVER = """
import os, pathlib, signal, sys, time
here, end = pathlib.Path(os.environ["NOTES"]), []
signal.signal(signal.SIGUSR1, lambda *_: end.append(1))
(here / "arguments").write_text("\\n".join(sys.argv[1:]))
(here / "started").touch()
until = time.monotonic() + float(os.environ["DRIVER_SECONDS"])
while not end and time.monotonic() < until:
    time.sleep(0.01)
if end:
    time.sleep(0.3)  # it saves what there is, and the batch shell has to wait for that
    (here / "saved").touch()
sys.exit(int(os.environ["ENDS_SIGNALLED" if end else "ENDS_ALONE"]))
"""
COMMANDS = {
    # As srun starts a task: its options first, the exit status is the task's.
    "srun": 'while [[ $1 == --* ]]; do shift; done\n"$@"',
    # As `ray symmetric-run` does: runs what follows --, as a child, with its exit status. USR1 would end it.
    "ray": 'echo "$@" > "$NOTES/ray"\nwhile [[ $1 != -- ]]; do shift; done\nshift\n"$@"',
    "scontrol": 'if [[ $1 == show ]]; then echo node1; echo node2; else echo "$@" >> "$NOTES/scontrol"; fi',
    "python": f'exec {sys.executable} "$NOTES/driver.py" "$@"',
}


@dataclass
class Job:
    """A batch job under way."""

    shell: subprocess.Popen[bytes]
    notes: Path

    def signal(self) -> None:
        """As `--signal=B:USR1` does, once the driver is at work."""
        for _ in range(1000):
            if (self.notes / "started").exists():
                break
            time.sleep(0.01)
        os.kill(self.shell.pid, signal.SIGUSR1)

    def end(self) -> tuple[int, str]:
        """Exit status, and what scontrol was asked for beside the nodes' names."""
        status = self.shell.wait(timeout=15)
        asked = self.notes / "scontrol"
        return status, asked.read_text().strip() if asked.exists() else ""


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A checkout with the stand-ins, where they write down what they were asked."""
    commands = tmp_path / ".venv" / "bin"
    commands.mkdir(parents=True)
    for name, text in COMMANDS.items():
        (commands / name).write_text(f"#!/bin/bash\n{text}\n")
        (commands / name).chmod(0o755)
    (tmp_path / "driver.py").write_text(DRIVER)
    return tmp_path


@pytest.fixture
def started(notes: Path) -> Iterator["list[Job]"]:
    """Jobs that the test has started; none outlives it."""
    jobs: list[Job] = []
    yield jobs
    for job in jobs:
        if job.shell.poll() is None:
            os.killpg(job.shell.pid, signal.SIGKILL)
            job.shell.wait()


def submit(notes: Path, started: list[Job], *, seconds: float, alone: int, signalled: int = 130) -> Job:
    environment = {
        **NAMES_OF_A_JOB, "PATH": os.environ["PATH"], "NOTES": str(notes), "TMPDIR": str(notes),
        "DRIVER_SECONDS": str(seconds), "ENDS_ALONE": str(alone), "ENDS_SIGNALLED": str(signalled),
    }  # fmt: skip
    command = ["bash", str(SCRIPT), "studies/my-ablation.yaml"]
    shell = subprocess.Popen(command, cwd=notes, env=environment, start_new_session=True)
    started.append(Job(shell, notes))
    return started[-1]


def test_bash_can_read_it() -> None:
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)


def test_slurm_is_asked_for_the_signal_and_for_whole_nodes() -> None:
    head = SCRIPT.read_text().partition("\nset -u")[0]
    asked = re.findall(r"^#SBATCH (\S+)$", head, re.MULTILINE)
    assert {"--signal=B:USR1@120", "--requeue", "--exclusive", "--ntasks-per-node=1"} <= set(asked)
    assert "#SBATCH" not in SCRIPT.read_text().removeprefix(head), "Slurm reads no options after a command"


def test_the_driver_stops_on_usr1_and_the_job_is_queued_again(notes: Path, started: list[Job]) -> None:
    job = submit(notes, started, seconds=15, alone=0)
    job.signal()
    assert job.end() == (130, "requeue 71")
    assert (notes / "saved").exists(), "it waits until the driver has ended"


def test_a_second_signal_changes_nothing(notes: Path, started: list[Job]) -> None:
    job = submit(notes, started, seconds=15, alone=0)
    job.signal()
    time.sleep(0.05)
    job.signal()
    assert job.end() == (130, "requeue 71")


@pytest.mark.parametrize("status", [0, 1, 2])
def test_a_driver_that_ends_by_itself_gives_the_exit_status(
    notes: Path, started: list[Job], status: int
) -> None:
    assert submit(notes, started, seconds=0, alone=status).end() == (status, "")


@pytest.mark.parametrize("status", [0, 1])
def test_a_driver_that_was_done_anyhow_is_not_queued_again(
    notes: Path, started: list[Job], status: int
) -> None:
    job = submit(notes, started, seconds=15, alone=9, signalled=status)
    job.signal()
    assert job.end() == (status, "")


def test_who_interrupts_the_driver_otherwise_means_it(notes: Path, started: list[Job]) -> None:
    assert submit(notes, started, seconds=0, alone=130).end() == (130, "")


def test_ray_and_the_driver_get_what_they_need(notes: Path, started: list[Job]) -> None:
    assert submit(notes, started, seconds=0, alone=0).end() == (0, "")
    asked = (notes / "ray").read_text()
    assert asked.startswith(
        "symmetric-run --address node1:20071 --min-nodes 2 --num-cpus=16 --num-gpus=4 -- "
    )
    program, *arguments = (notes / "arguments").read_text().splitlines()
    options = _parser().parse_args(arguments)
    assert (program, options.command, options.address) == ("run_sweep.py", "run", "node1:20071")
    assert (options.study, str(options.out)) == ("studies/my-ablation.yaml", "runs/my-ablation")
    assert not list(notes.glob("tmp.*")), "the file with the process id is gone"


def test_without_a_study_nothing_starts(notes: Path) -> None:
    done = subprocess.run(
        ["bash", str(SCRIPT)], cwd=notes, env=NAMES_OF_A_JOB, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "usage: sbatch" in done.stderr


@pytest.mark.timeout(60)
def test_this_ray_has_symmetric_run() -> None:
    ray = Path(sys.executable).with_name("ray")
    done = subprocess.run([ray, "symmetric-run", "--help"], capture_output=True, text=True, check=True)
    for option in ("--address", "--min-nodes"):
        assert option in done.stdout
