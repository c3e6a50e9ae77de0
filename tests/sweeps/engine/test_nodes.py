"""A sweep over three Ray nodes, one of which is killed while its trials run."""

import dataclasses
import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from byol.config import TrialConfig
from byol.presets import from_settings
from sweeps import simulated
from sweeps.options import RunOptions
from sweeps.run import run
from sweeps.simulated import TRAINER
from sweeps.study import study_from_text
from tests.faults.real import local_nodes

STUDY = """
name: nodes
reference: {dataset: fashion-mnist-8k, steps: 20, eval_every: 2, weight_decay: 6}
factors:
  encoder_norm: [batch, group]
  predictor: [mlp, none]
seeds: 2
"""


def train(
    config: TrialConfig, data: Any, *, checkpoint_folder: Path | None, checkpoint_every: int | None
) -> Iterator[Any]:
    """The simulated trainer with checkpoints. Records the node and the step of each start."""
    import ray

    assert checkpoint_folder is not None
    checkpoint_folder.mkdir(parents=True, exist_ok=True)
    state = checkpoint_folder / "state.json"
    start = json.loads(state.read_text())["step"] if state.exists() else -1
    node = ray.get_runtime_context().get_node_id()
    with (checkpoint_folder / "starts").open("a") as file:
        file.write(f"{node} {start}\n")
    for metrics in simulated.train(config, data):
        if metrics.step <= start:
            continue
        yield metrics
        if checkpoint_every and metrics.step % checkpoint_every == 0:
            partial = checkpoint_folder / "partial"
            partial.write_text(json.dumps({"step": metrics.step}))
            partial.replace(state)


@pytest.mark.ray
@pytest.mark.timeout(240)
def test_trials_spread_over_nodes_and_survive_a_killed_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with local_nodes(3) as cluster:
        nodes = cluster.list_all_nodes()[1:]
        victim = nodes[-1]
        killer = threading.Thread(target=kill_when_busy, args=(cluster, victim, tmp_path), daemon=True)
        killer.start()
        study = study_from_text(STUDY, "f")
        outcome = run(
            study,
            tmp_path,
            options=RunOptions(address=cluster.address, checkpoint_every=4),
            trainer=dataclasses.replace(TRAINER, train=train),
            stream=io.StringIO(),
        )
        killer.join(timeout=30)

    assert not killer.is_alive()
    assert outcome.counts["complete"] == len(study.trials()) == 8
    starts = {path.parent.name: path.read_text().split("\n")[:-1] for path in tmp_path.glob("*/*/starts")}
    used = {line.split()[0] for lines in starts.values() for line in lines}
    assert used == {node.node_id for node in nodes}, "trials spread over all nodes"
    restarted = {trial for trial, lines in starts.items() if len(lines) > 1}
    assert 1 <= len(restarted) <= 2, "the trials that ran on the killed node"
    resumed_at = []
    for trial in restarted:
        [first, second] = starts[trial]
        assert first.split()[0] == victim.node_id != second.split()[0]
        resumed_at.append(int(second.split()[1]))
    assert max(resumed_at) >= 4, "from a checkpoint, not from the start"

    trials = {row["trial_id"]: row for row in pq.read_table(tmp_path / "trials.parquet").to_pylist()}
    # One that was about to start on the killed node has a second attempt, too.
    again = {trial for trial, row in trials.items() if row["attempt"] == 2}
    assert restarted <= again
    assert len(again) <= len(restarted) + 1
    metrics = pq.read_table(tmp_path / "metrics.parquet").to_pylist()
    steps: dict[str, list[int]] = {}
    for row in metrics:
        steps.setdefault(row["trial_id"], []).append(row["step"])
    assert steps == {trial: list(range(0, 21, 2)) for trial in trials}, "complete, in order, no duplicates"
    images = simulated.load_data("x")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    for planned in study.trials():
        measurements = simulated.train(from_settings(planned.settings), images)
        stds = [row["representation_std"] for row in metrics if row["trial_id"] == planned.trial_id]
        assert stds == pytest.approx([each.representation_std for each in measurements], rel=1e-6)


def kill_when_busy(cluster: Any, node: Any, out: Path) -> None:
    """Kills the node once a trial on it has saved a checkpoint."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for starts in out.glob("*/*/starts"):
            is_here, state = starts.read_text().startswith(node.node_id), starts.parent / "state.json"
            if is_here and state.exists() and json.loads(state.read_text())["step"] >= 4:
                cluster.remove_node(node, allow_graceful=False)
                return
        time.sleep(0.1)
