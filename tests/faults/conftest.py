"""Fixtures of the fault suite, and the record of what it has injected."""

from collections.abc import Callable, Generator, Iterator

import pytest

from tests.faults.injected import Results
from tests.sweeps.conftest import object_store, small

__all__ = ["injected", "object_store", "results", "small"]
_RESULTS = Results()


@pytest.fixture
def injected(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Counts a fault by row and outcome: `injected("driver", SAME)`."""

    def add(row: str, outcome: str, count: int = 1) -> None:
        _RESULTS.add(request.node.nodeid, row, outcome, count)

    return add


@pytest.fixture(scope="session", autouse=True)
def results() -> Iterator[None]:
    """Saves what was injected, at the end."""
    yield
    _RESULTS.save()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a failed test has injected did not survive."""
    report = yield
    if report.failed:
        _RESULTS.failed(item.nodeid)
    return report
