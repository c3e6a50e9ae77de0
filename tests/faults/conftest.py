"""Fixtures of the fault suite, and the record of what it has injected."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.injected import Results
from tests.faults.real import whole_sweep
from tests.sweeps.conftest import object_store, small

__all__ = ["injected", "object_store", "small"]
_RESULTS = Results()


@pytest.fixture
def injected(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Counts a fault by row and outcome: `injected("driver", SAME)`."""

    def add(row: str, outcome: str, count: int = 1) -> None:
        _RESULTS.add(request.node.nodeid, row, outcome, count)

    return add


@pytest.fixture(scope="module")
def undisturbed(nodes: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """An undisturbed sweep on the `nodes` of its module, and the moments that its driver passed."""
    return whole_sweep(tmp_path_factory.mktemp("undisturbed") / "sweep")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a failed test has injected did not survive."""
    report = yield
    if report.failed:
        _RESULTS.failed(item.nodeid)
    if call.when == "teardown":
        _RESULTS.save()  # what comes later may end this process
    return report
