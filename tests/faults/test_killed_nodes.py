"""A node dies at moments of a sweep on a cluster: its trials go on elsewhere, and the tables are the same."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import processes
from tests.faults import ALL
from tests.faults.injected import SAME
from tests.faults.moments import Moments, counted, spread
from tests.faults.real import cluster, patiently, run_real, tables

KILLS = range(20)
pytestmark = [
    pytest.mark.ray,
    pytest.mark.timeout(240),
    pytest.mark.skipif(not ALL, reason="`make faults`; `make test` has tests/sweeps/engine/test_nodes.py"),
]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A cluster of two nodes and a head without CPUs, which this process has joined."""
    with cluster(2) as started:
        yield started


@pytest.mark.parametrize("number", KILLS)
def test_killed_nodes(
    tmp_path: Path, nodes: Any, undisturbed: tuple[Path, int], injected: Callable[..., None], number: int
) -> None:
    (whole, total), draws = undisturbed, random.Random(number)
    moment = spread(total, len(KILLS), "node")[number]
    victim = draws.choice([node for node in nodes.list_all_nodes() if not node.is_head()])
    raylet = victim.all_processes["raylet"][0].process.pid
    with counted(Moments(tmp_path, moment, lambda: processes.send(processes.family(raylet)))):
        outcome, shown = run_real(tmp_path)
    nodes.remove_node(victim, allow_graceful=False)
    patiently(lambda: nodes.add_node(num_cpus=2))
    nodes.wait_for_nodes()
    assert outcome.counts["complete"] == 6, shown
    assert tables(tmp_path) == tables(whole)
    injected("node", SAME)
