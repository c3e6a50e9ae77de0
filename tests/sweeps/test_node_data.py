"""Data that each node loads itself: downloaded once, checked against the driver's, loaded once."""

import dataclasses
import io
import multiprocessing
import os
import pickle
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweeps.node_data import NodeData, NodeDataError
from sweeps.options import RunOptions
from sweeps.record.ledger import Ledger
from sweeps.run import run
from sweeps.simulated import TRAINER, SimulatedImages
from sweeps.study import Study
from sweeps.trainer import DataKey, LoadData

KEY: DataKey = ("a-set", 0, 28)


def load_data(dataset: str, *, root: Path | None, train_images: int, **options: Any) -> SimulatedImages:
    """Downloads slowly, in two steps that must not overlap, and logs each download and each load."""
    assert root is not None
    root.mkdir(exist_ok=True)
    if not (root / "complete").exists():
        (root / "partial").touch(exist_ok=False)
        time.sleep(0.3)
        (root / "partial").rename(root / "complete")
        _log(root, f"download by {os.getpid()}")
    _log(root, "load")
    return SimulatedImages(train_images=np.zeros((200, 1, 1, 1), np.uint8), digest="good", name=dataset)


def load_other_data_in_workers(dataset: str, *, root: Path | None, **options: Any) -> SimulatedImages:
    images = load_data(dataset, root=root, **options)
    assert root is not None
    driver = (root / "log").read_text().splitlines()[0].split()[-1]
    return images if str(os.getpid()) == driver else dataclasses.replace(images, digest="bad")


def load_nothing(dataset: str, **options: Any) -> SimulatedImages:
    raise OSError("no route\nto host")


def _log(root: Path, line: str) -> None:
    with (root / "log").open("a") as file:
        file.write(f"{line}\n")


def node_data(root: Path, load: LoadData = load_data, digest: str = "good") -> NodeData:
    return NodeData(load_data=load, root=root, on_broken="fail", digests={KEY: digest})


def wait_for_others(barrier: Barrier) -> None:
    barrier.wait(30)


def get_twice(data: bytes) -> None:
    node: NodeData = pickle.loads(data)
    first = node.get(KEY)
    assert isinstance(first, SimulatedImages)
    assert node.get(KEY) is first
    with pytest.raises(ValueError, match="read-only"):
        first.train_images[0] = 1


@pytest.mark.timeout(60)
def test_one_of_several_processes_downloads_and_each_loads_once(tmp_path: Path) -> None:
    data = pickle.dumps(node_data(tmp_path / "root"))
    processes = multiprocessing.get_context("spawn")
    barrier = processes.Barrier(4)
    with processes.Pool(4, initializer=wait_for_others, initargs=(barrier,)) as pool:
        pool.map(get_twice, [data] * 8, chunksize=2)
    lines = (tmp_path / "root" / "log").read_text().splitlines()
    assert sum(line.startswith("download") for line in lines) == 1
    assert 1 <= lines.count("load") <= 4, "at most once in a process"


def test_data_that_differs_from_the_drivers_or_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        NodeDataError, match=r"^a-set on the node .*: the digest must be the driver's, other, but"
    ):
        node_data(tmp_path / "root", digest="other").get(KEY)
    with pytest.raises(NodeDataError, match=r"^a-set on the node .*: cannot be loaded: no route to host$"):
        node_data(tmp_path / "root", load_nothing).get(KEY)


@pytest.mark.ray
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("one_ray")
def test_trials_load_on_their_node_and_fail_on_other_data(tmp_path: Path, small: Study) -> None:
    root = tmp_path / "root"

    def counts(name: str, load: LoadData) -> dict[str, int]:
        options = RunOptions(workers=2, data_via="node", data_root=root)
        trainer = dataclasses.replace(TRAINER, load_data=load)
        return run(small, tmp_path / name, options=options, trainer=trainer, stream=io.StringIO()).counts

    assert counts("good", load_data)["complete"] == 8
    lines = (root / "log").read_text().splitlines()
    assert sum(line.startswith("download") for line in lines) == 1
    assert 2 <= lines.count("load") <= 3, "the driver and at most two workers, for eight trials"
    assert counts("bad", load_other_data_in_workers)["failed"] == 8
    with Ledger(tmp_path / "bad" / "ledger.sqlite", read_only=True) as ledger:
        error = ledger.trials()[0].error or ""
    assert "fashion-mnist-8k on the node " in error
    assert error.endswith("the digest must be the driver's, good, but got bad")
