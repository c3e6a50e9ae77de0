"""One Ray for all tests that need one."""

import contextlib
from collections.abc import Iterator

import pytest

_RAY = pytest.StashKey[contextlib.ExitStack]()


@pytest.fixture
def one_ray(pytestconfig: pytest.Config) -> None:
    """A Ray that this process starts once, for all tests in a row that ask for it: a start takes 10 s."""
    import ray

    from sweeps.engine import runtime
    from sweeps.study import Resources

    if not ray.is_initialized():
        _stop(pytestconfig)
        running = pytestconfig.stash[_RAY] = contextlib.ExitStack()
        running.enter_context(runtime.connected(None, Resources()))


def _stop(config: pytest.Config) -> None:
    if _RAY in config.stash:
        config.stash[_RAY].close()
        del config.stash[_RAY]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Stops it before a test that does not use it, which may start its own or look at the environment."""
    if "one_ray" not in getattr(item, "fixturenames", ()):
        _stop(item.config)


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Stops it at the end."""
    try:
        yield
    finally:
        _stop(session.config)
