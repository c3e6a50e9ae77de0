"""Who may reach Ray: a Ray started here listens on this machine alone, and every connection carries a token.

Anyone who reaches Ray's ports can run code (docs/cluster.md), so both are the default and each has a test.
"""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ray._private import ray_constants

from sweeps.engine.environment import AUTH_MODE
from sweeps.errors import EngineError


@contextlib.contextmanager
def loopback_only() -> Iterator[None]:
    """While Ray starts, its processes take 127.0.0.1 for this machine's address, and listen there alone.

    It is the switch that Ray has for macOS and Windows. Ray reads the variable when it is imported, which may
    be long ago, and its processes when they start; so both are set.
    """
    variable, earlier = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, ray_constants.ENABLE_RAY_CLUSTER
    given = os.environ.get(variable)
    os.environ[variable] = "0"
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = earlier
        os.environ.pop(variable)
        if given is not None:
            os.environ[variable] = given


def token_file() -> Path:
    """Where the token of this user is: RAY_AUTH_TOKEN_PATH, or Ray's default."""
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token").expanduser()


def protect_token() -> None:
    """Makes a token unless there is one, in a file that its owner alone may read; Ray's own is for all.

    A file that cannot be written or changed is left to Ray, which says so.
    """
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get(AUTH_MODE, "token").lower() != "token":
        return
    with contextlib.suppress(OSError, RuntimeError):  # the latter where nobody knows the home directory
        path = token_file()
        if path.exists():
            if path.stat().st_mode & 0o077:
                path.chmod(0o600)
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Whole before it has its name: a kill in between, or a second driver, never meets an empty one.
        descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # of mode 0600
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
            os.link(partial, path)
        finally:
            Path(partial).unlink()


def check_token(address: str) -> None:
    """Checks that there is a token for a cluster, unless the user has decided otherwise.

    Raises:
        EngineError: there is none.
    """
    if os.environ.get(AUTH_MODE) or os.environ.get("RAY_AUTH_TOKEN") or token_file().exists():
        return
    raise EngineError(
        f"Ray at {address}: needs a token, but {token_file()} does not exist: copy the cluster's there "
        f"({AUTH_MODE}=disabled joins a cluster that is open to all who reach its ports)"
    )
