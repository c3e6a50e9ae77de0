"""The record of how a sweep was made: versions, code, machine, precision, data, command line."""

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from byol.files import write_text

PACKAGES = ("torch", "torchvision", "ray", "numpy", "pyarrow", "optuna", "safetensors", "pillow")
_ROOT = Path(__file__).parents[2]


def write_manifest(
    path: Path,
    *,
    study: str,
    precision: str,
    data: Mapping[str, str],
    command: list[str],
    started: datetime,
    wall_seconds: float,
    resources: Mapping[str, float],
    plan: Mapping[str, Any] | None = None,
) -> None:
    """Writes, or brings up to date, the manifest of a sweep.

    Args:
        path: the manifest. What it says of earlier drivers is kept.
        study: name of the study.
        precision: what precision "auto" stands for.
        data: data set -> digest.
        command: the command line.
        started: when this driver started.
        wall_seconds: how long this driver has run.
        resources: what the engine had, such as {"CPU": 2}.
        plan: expected times beside measured ones; None if nothing was expected.
    """
    before = read_manifest(path)
    driver = {
        "started": started.isoformat(timespec="seconds"),
        "command": without_secrets(" ".join(command)),
        "wall_seconds": round(wall_seconds, 3),
        "git": git_state(),
        "versions": versions(),
        "hardware": hardware(resources),
    }
    earlier = [one for one in before.get("drivers", []) if one["started"] != driver["started"]]
    name, digest = next(iter(data.items()))
    manifest = {
        "created": before.get("created", driver["started"]),
        "updated": datetime.now(UTC).isoformat(timespec="seconds"),
        "study": study,
        **{key: driver[key] for key in ("command", "versions", "git", "hardware")},
        "precision": precision,
        "data": {"name": name, "digest": digest, "all": dict(data)},
        "wall_seconds": round(sum(one["wall_seconds"] for one in earlier) + wall_seconds, 3),
        **({} if plan is None else {"plan": plan}),
        "drivers": [*earlier, driver],
    }
    write_text(path, json.dumps(manifest, indent=2) + "\n")


def without_secrets(text: str) -> str:
    """`text` with *** for what stands as user and password, key, secret, token or signature in its URIs."""
    text = re.sub(r"://[^\s:@/?]*:[^\s@]+@", "://***@", text)
    secret = r"([?&][^=&\s]*(?:key|secret|token|password|credential|sig)[^=&\s]*=)[^&\s]+"
    return re.sub(secret, r"\1***", text, flags=re.IGNORECASE)


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest at `path`; empty if there is none."""
    return dict(json.loads(path.read_text())) if path.exists() else {}


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape results."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def git_state() -> dict[str, str | bool | None]:
    """The commit of this checkout and whether it is clean; nulls outside a checkout."""
    commit = _git("rev-parse", "HEAD")
    status = _git("status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "clean": None if status is None else status == ""}


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(_ROOT), *arguments], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def hardware(resources: Mapping[str, float]) -> dict[str, Any]:
    """Processor, memory and what the engine had of it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    kept = ("CPU", "GPU")
    return {
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "accelerators": sorted(
            key.partition(":")[2] for key in resources if key.startswith("accelerator_type:")
        ),
        "engine": {key: value for key, value in resources.items() if key in kept},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
