"""Soak: a long sweep over three local nodes, of which something is killed again and again.

`python -m tests.faults.soak --to DIR --minutes N` goes on with the soak in DIR for N minutes, and adds its
figures to DIR/soak.json: minutes, kills, trials, memory. Trials mostly sleep. At the end each complete trial
is compared with what an undisturbed one measures.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow.parquet as pq

from byol.presets import from_settings
from sweeps import files, simulated
from sweeps.inspect import refresh_tables
from sweeps.record import directory
from sweeps.record.manifest import git_state
from sweeps.record.rows import EndReason, TrialState
from sweeps.study import load_study
from tests import processes
from tests.faults.driver import ROOT
from tests.faults.real import local_nodes, patiently

STUDY = """
name: soak
question: Is anything lost?
reference: {dataset: fashion-mnist-8k, steps: 20, eval_every: 2, weight_decay: 20}
factors:
  encoder_norm: [batch, group]
  predictor: [mlp, none]
seeds: 1000
"""
NODES, EVERY_SECONDS = 3, 120
"""Nodes with two CPUs each, and the seconds between two kills."""
SHARES = {"worker": 0.6, "node": 0.3, "driver": 0.1}
"""What is killed, drawn each time."""
SAMPLE_SECONDS = 15
YOUNG_SECONDS = 120
"""A process still grows until it is this old, and its slope is fitted from then on."""
LEAST_SECONDS = 240
"""Slopes are of processes that were watched for at least this long after that."""


@dataclass
class Soak:
    """What is known of the soak in one folder."""

    folder: Path
    """Where everything is kept."""
    figures: dict[str, Any] = field(default_factory=dict)
    """The content of soak.json."""

    def __post_init__(self) -> None:
        """Reads what earlier parts have found."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "soak.yaml").write_text(STUDY)
        path = self.folder / "soak.json"
        empty = {"minutes": 0.0, "parts": 0, "kills": dict.fromkeys(SHARES, 0), "lives": []}
        self.figures = json.loads(path.read_text()) if path.exists() else empty

    @property
    def out(self) -> Path:
        """The sweep's directory."""
        return self.folder / "sweep"

    def save(self) -> None:
        """Writes soak.json."""
        text = json.dumps(self.figures, indent=1) + "\n"
        (self.folder / "soak.json").write_text(text)


def driver(soak: Soak, address: str) -> "subprocess.Popen[bytes]":
    """Starts the driver, or starts it again."""
    command = [sys.executable, "-m", "tests.faults.driver", "run", str(soak.folder / "soak.yaml")]
    command += ["--out", str(soak.out), "--address", address]
    with (soak.folder / "driver.log").open("ab") as log:
        return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def private_mib(process: int) -> float | None:
    """Memory of a process alone, without what is shared, in MiB; None if it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                return int(line.split()[1]) / 1024
    return None


def slope(samples: list[tuple[float, float]]) -> float | None:
    """MiB an hour over a process's life after its youth, by least squares; None if it was too short."""
    old = [(seconds, mib) for seconds, mib in samples if seconds - samples[0][0] >= YOUNG_SECONDS]
    if len(old) < 3 or old[-1][0] - old[0][0] < LEAST_SECONDS:
        return None
    return float(np.polyfit([seconds for seconds, _ in old], [mib for _, mib in old], 1)[0]) * 3600


def part(soak: Soak, minutes: float) -> None:
    """Goes on for some minutes."""
    draws = random.Random(f"soak {soak.figures['parts']}")
    began = time.monotonic()
    lives: dict[tuple[str, int], list[tuple[float, float]]] = {}
    with local_nodes(NODES) as cluster:
        running = driver(soak, cluster.address)
        for now in _ticks(began, minutes):
            for kind, process in [
                ("driver", running.pid),
                *(("worker", pid) for pid in processes.workers(os.getpid())),
            ]:
                mib = private_mib(process)
                if mib is not None:
                    lives.setdefault((kind, process), []).append((now, mib))
            if now // EVERY_SECONDS > (now - SAMPLE_SECONDS) // EVERY_SECONDS:
                running = _kill(soak, cluster, running, draws)
            if running.poll() is not None:  # nobody has killed it
                if running.returncode == 0:
                    break
                soak.figures.setdefault("ended by itself", []).append(running.returncode)
                running = driver(soak, cluster.address)
        running.send_signal(signal.SIGTERM)
        running.wait(timeout=120)
    soak.figures["parts"] += 1
    soak.figures["commit"] = git_state()["commit"]
    soak.figures["minutes"] += (time.monotonic() - began) / 60
    for (kind, _), samples in lives.items():
        rises = slope(samples)
        if rises is not None:
            seconds = samples[-1][0] - samples[0][0]
            life = {"kind": kind, "minutes": seconds / 60, "mib": samples[-1][1], "mib_per_hour": rises}
            soak.figures["lives"].append(life)
    soak.save()


def _ticks(began: float, minutes: float) -> Iterator[float]:
    """Seconds since the beginning, every SAMPLE_SECONDS."""
    now = 0.0
    while now < minutes * 60:
        time.sleep(SAMPLE_SECONDS)
        now = time.monotonic() - began
        yield now


def _kill(
    soak: Soak, cluster: Any, running: "subprocess.Popen[bytes]", draws: random.Random
) -> "subprocess.Popen[bytes]":
    """Kills something; returns the driver, which may be a new one."""
    [kind] = draws.choices([*SHARES], weights=[*SHARES.values()])
    if kind == "worker":
        workers = processes.workers(os.getpid())
        if not workers:
            return running
        processes.send({draws.choice(workers)})
    elif kind == "node":
        victim = draws.choice([node for node in cluster.list_all_nodes() if not node.is_head()])
        processes.send(processes.family(victim.all_processes["raylet"][0].process.pid))
        cluster.remove_node(victim, allow_graceful=False)
        patiently(lambda: cluster.add_node(num_cpus=2))
    else:
        running.kill()
        running.wait()
        running = driver(soak, cluster.address)
    soak.figures["kills"][kind] += 1
    return running


def check(soak: Soak) -> None:
    """Compares every complete trial with an undisturbed one, and counts what does not hold."""
    refresh_tables(soak.out)
    with directory.open_ledger(soak.out) as ledger:
        ledger.check_rows()
        rows = ledger.trials()
    metrics = pq.read_table(soak.out / files.METRICS).to_pandas()
    measured = dict(iter(metrics.groupby("trial_id")))
    planned = {trial.trial_id: trial for trial in load_study(str(soak.folder / "soak.yaml")).trials()}
    images = simulated.load_data("x")
    wrong, complete = 0, [row for row in rows if row.state == TrialState.COMPLETE]
    with mock.patch("time.sleep"):
        for row in complete:
            expected = [*simulated.train(from_settings(planned[row.trial_id].settings), images)]
            found = measured[row.trial_id].sort_values("step")
            wrong += [*found["step"]] != [each.step for each in expected] or not np.array_equal(
                found["representation_std"],
                np.array([each.representation_std for each in expected], np.float32),
            )
    soak.figures |= {
        "complete": len(complete),
        # Those that ran as the part ended are no failures: the next part goes on with them.
        "failed": sum(
            row.state == TrialState.FAIL and row.end_reason != EndReason.INTERRUPTED for row in rows
        ),
        "wrong": wrong,
        "lost": len(planned) - len(rows),
        "started again": sum(row.attempt - 1 for row in rows if row.attempt > 1),
    }
    earlier = soak.figures.get("complete before", 0)
    soak.figures["vanished"] = max(0, earlier - len(complete))
    soak.figures["complete before"] = len(complete)
    soak.save()


def main() -> None:
    """Runs one part, checks everything, and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20.0)
    options = parser.parse_args()
    soak = Soak(options.to.absolute())
    part(soak, options.minutes)
    check(soak)
    print(json.dumps({key: value for key, value in soak.figures.items() if key != "lives"}))


if __name__ == "__main__":
    main()
