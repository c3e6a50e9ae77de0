"""The environment variables that Ray and the trials' processes read. They are set only here."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

AUTH_MODE = "RAY_AUTH_MODE"
"""The variable that turns tokens on (token) or off (disabled)."""
_RAY = {
    # They keep Ray's messages out of the sweep's output, and turn off what is not used.
    "RAY_DEDUP_LOGS_SKIP_REGEX": "(?s).",  # a node that dies would print a page of its state
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_RUNTIME_ENV_IGNORE_GITIGNORE": "1",  # all files of a package of the user's own reach the workers
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    # How many trials may wait for a place at once. Tune's default for a searcher is 1, which fills a cluster
    # slowly and gives its autoscaler nothing to see; 200 is its default for grids.
    "TUNE_MAX_PENDING_TRIALS_PG": "200",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "86400",
}
_ALLOCATOR = {
    # The trials' processes inherit these. By default glibc returns the memory of each large tensor to the
    # system and faults it in again at the next step. Keeping it saves a tenth of a trial's time on a CPU.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 29),
    "MALLOC_TOP_PAD_": str(1 << 27),
    # Each trial runs in a thread of its own, for which glibc would open another pool of that much memory.
    # Side by side, 40 trials with batches of 64 to 512 left a worker with 2.7 GB, and with two pools with
    # 1.2 GB; with batches of 64 alone there was no difference. The time per trial was 1.02 times as long
    # (.87 to 1.13 in 80 % of the pairs).
    "MALLOC_ARENA_MAX": "2",
}


def _python_path() -> str:
    """PYTHONPATH, and where the packages are that this process has imported.

    Ray tells its workers the folder of the script and the current one. The packages may be elsewhere: in a
    checkout that a script has put on sys.path. An installed package every process finds.
    """
    given = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    checkout = Path(__file__).resolve().parents[2]
    installed = {"site-packages", "dist-packages"} & set(checkout.parts)
    return os.pathsep.join(given if installed else dict.fromkeys((*given, str(checkout))))


@contextlib.contextmanager
def ray_environment(*, threads: int | None = None) -> Iterator[None]:
    """Sets the variables while Ray is imported, started and used, and restores the earlier values at the end.

    The user's own settings of the allocator are kept.

    Args:
        threads: threads of a trial's process if it runs on this machine, where it then finds the packages of
            this process too; None lets the machine that it runs on decide.
    """
    variables = dict(_RAY)
    variables |= {name: value for name, value in _ALLOCATOR.items() if name not in os.environ}
    if threads is not None:
        variables["OMP_NUM_THREADS"] = str(threads)
        variables["PYTHONPATH"] = _python_path()
    earlier = {name: os.environ.get(name) for name in (*variables, AUTH_MODE)}  # Ray turns tokens on itself
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in earlier.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
