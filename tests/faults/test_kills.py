"""Driver, workers and everything at once are killed at moments of a sweep on a real Ray.

Each time the sweep is resumed, or goes on by itself, and its tables equal those of an undisturbed sweep, bit
for bit. In `make faults` each is killed at 20 moments, which lie in its start, the entry of its directory,
its training, and the writing of its tables. `make test` kills a node in tests/sweeps/engine/test_nodes.py,
and the driver in tests/faults/test_entry.py.
"""

import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sweeps.inspect import status
from sweeps.record.directory import has_ledger
from tests import processes
from tests.faults import ALL
from tests.faults.driver import Drivers, drivers
from tests.faults.injected import SAME
from tests.faults.moments import Moments, counted, spread
from tests.faults.real import TEXT, cluster, run_real, tables, whole_sweep
from tests.faults.saving import SHORT_OF_MEMORY

KILLS = range(20)
PACKS = pytest.mark.parametrize("pack", [1, 3])
"""How many trials a worker runs in turns, of six on two workers."""
pytestmark = [
    pytest.mark.ray,
    pytest.mark.timeout(240),
    pytest.mark.skipif(not ALL, reason="`make faults`"),
]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A cluster of one node, which this process has joined: it outlives its drivers."""
    with cluster(0) as started:
        yield started


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "small.yaml"
    path.write_text(TEXT.replace("seeds: 2", "seeds: 1"))
    return path


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drivers]:
    with drivers(tmp_path_factory.mktemp("printed")) as ready:
        yield ready


@pytest.fixture(scope="module")
def moments(undisturbed: tuple[Path, int], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An undisturbed sweep, and how many moments its driver passes by the most trials of a pack."""
    whole, alone = undisturbed
    return whole, {1: alone, 3: whole_sweep(tmp_path_factory.mktemp("packs") / "sweep", pack=3)[1]}


def check_resumed(out: Path, whole: Path, pack: int = 1) -> None:
    """Resumes a sweep, whose tables must then equal those of `whole`."""
    outcome, shown = run_real(out, pack=pack)
    assert outcome.counts["complete"] == 6, shown
    assert tables(out) == tables(whole)
    assert not [*out.rglob(".*.partial")]


def phase(out: Path) -> str:
    """How far a sweep has got."""
    if not has_ledger(out):
        return "started" if out.exists() else "not there"
    counts = status(out)
    ended = counts["complete"] + counts["failed"]
    return "entered" if ended + counts["running"] == 0 else "training" if ended < 6 else "trained"


@pytest.mark.parametrize("number", KILLS)
@pytest.mark.parametrize("whom", ["driver", "everything"])
def test_killed_drivers(
    tmp_path: Path, nodes: Any, study: Path, undisturbed: tuple[Path, int], started: Drivers,
    injected: Callable[..., None], whom: str, number: int,
) -> None:  # fmt: skip
    out, (whole, total) = tmp_path / "sweep", undisturbed
    moment = spread(total, len(KILLS), whom)[number]
    address = ["--address", nodes.address] if whom == "driver" else []
    command = ["run", str(study), "--out", str(out), "--workers", "2", *address]
    ended = started.run(command, out, at=moment, what=whom)
    assert ended.status == -signal.SIGKILL, (moment, total, ended)
    print(f"{whom} killed at moment {moment} of {total}: {phase(out)}")
    check_resumed(out, whole)
    injected(whom, SAME)


def kill_a_worker(draws: random.Random, killed: list[int], moments: Moments) -> None:
    """Kills one of the processes in which Ray's workers run, as soon as there is one."""
    workers = processes.workers(os.getpid())
    if not workers:
        moments.at += 1
        return
    killed.append(draws.choice(workers))
    os.kill(killed[-1], signal.SIGKILL)


@PACKS
@pytest.mark.parametrize("number", KILLS)
def test_killed_workers(
    tmp_path: Path,
    moments: tuple[Path, dict[int, int]],
    injected: Callable[..., None],
    pack: int,
    number: int,
) -> None:
    whole, totals = moments
    draws, killed = random.Random(number), list[int]()
    passed = Moments(tmp_path, spread(totals[pack], len(KILLS), "worker")[number])
    passed.action = lambda: kill_a_worker(draws, killed, passed)
    with counted(passed):
        outcome, shown = run_real(tmp_path, pack=pack)
    assert killed, f"moment {passed.at} of {totals[pack]} did not come"
    assert outcome.counts["complete"] == 6, shown
    assert tables(tmp_path) == tables(whole)
    injected("worker", SAME)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
@pytest.mark.parametrize("number", range(10))
def test_signals(
    tmp_path: Path, nodes: Any, study: Path, moments: tuple[Path, dict[int, int]], started: Drivers,
    injected: Callable[..., None], name: str, number: int,
) -> None:  # fmt: skip
    out, pack, (whole, totals) = tmp_path / "sweep", (1, 3)[number % 2], moments
    moment = spread(totals[pack], 10, name)[number]
    size = ["--workers", "2", "--pack", str(pack)]
    command = ["run", str(study), "--out", str(out), *size, "--address", nodes.address]
    ended = started.run(command, out, at=moment, what=name)
    assert ended.status == 130, ended
    assert "Traceback" not in ended.shown
    assert "Run the same command again to resume." in ended.shown
    check_resumed(out, whole, pack)
    injected("signals", SAME)


@PACKS
def test_the_time_budget(
    tmp_path: Path, undisturbed: tuple[Path, int], injected: Callable[..., None], pack: int
) -> None:
    for tenths in range(1, 40, 4):
        out = tmp_path / str(tenths)
        outcome, _ = run_real(out, time_budget=tenths / 10, pack=pack)
        assert outcome.out_of_time or outcome.counts["complete"] == 6
        check_resumed(out, undisturbed[0], pack)
        injected("budget", SAME)
        shutil.rmtree(out)


@PACKS
def test_trials_that_run_out_of_memory(
    tmp_path: Path, undisturbed: tuple[Path, int], injected: Callable[..., None], pack: int
) -> None:
    """Of a GPU's memory: tried again, alone. Of the machine's: an error, which --retry-failed runs again."""
    outcome, shown = run_real(tmp_path, trainer=SHORT_OF_MEMORY, pack=pack)
    assert (outcome.counts["complete"], outcome.counts["failed"]) == (3, 3), shown
    outcome, shown = run_real(tmp_path, trainer=SHORT_OF_MEMORY, retry_failed=True)
    assert outcome.counts["complete"] == 6, shown
    assert tables(tmp_path) == tables(undisturbed[0])
    injected("memory", SAME, 6)
