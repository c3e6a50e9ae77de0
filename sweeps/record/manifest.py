"""The record of how a sweep was made: versions, code, machine, precision, data, command line."""

import functools
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any, TypedDict

from sweeps import __version__

PACKAGES = ("torch", "torchvision", "ray", "numpy", "pyarrow", "optuna", "safetensors", "pillow", "timm")


@dataclass(frozen=True, kw_only=True)
class DriverRecord:
    """One process that has driven a sweep."""

    command: list[str]
    """The command line."""
    started: datetime
    """When it started."""
    wall_seconds: float
    """How long it has run."""
    resources: Mapping[str, float]
    """What the engine had, such as {"CPU": 2}."""


def manifest_text(
    previous: Mapping[str, Any],
    *,
    study: str,
    precision: str,
    data: Mapping[str, str],
    driver: DriverRecord,
    plan: Mapping[str, Any] | None = None,
) -> str:
    """The manifest of a sweep, as JSON.

    Args:
        previous: the manifest until now. What it says about earlier drivers stays.
        study: name of the study.
        precision: what precision "auto" stands for.
        data: data set -> digest.
        driver: this process. It replaces what the manifest says about a driver that started at the same time.
        plan: expected times beside measured ones; None if nothing was expected.
    """
    current = {
        "started": driver.started.isoformat(timespec="seconds"),
        "command": without_secrets(" ".join(driver.command)),
        "wall_seconds": round(driver.wall_seconds, 3),
        "git": git_state(),
        "versions": versions(),
        "hardware": hardware(driver.resources),
    }
    earlier = [record for record in previous.get("drivers", []) if record["started"] != current["started"]]
    name, digest = next(iter(data.items()))
    manifest = {
        "created": previous.get("created", current["started"]),
        "updated": datetime.now(UTC).isoformat(timespec="seconds"),
        "study": study,
        **{key: current[key] for key in ("command", "versions", "git", "hardware")},
        "precision": precision,
        "data": {"name": name, "digest": digest, "all": dict(data)},
        "wall_seconds": round(sum(record["wall_seconds"] for record in earlier) + driver.wall_seconds, 3),
        **({} if plan is None else {"plan": plan}),
        "drivers": [*earlier, current],
    }
    return json.dumps(manifest, indent=2) + "\n"


def without_secrets(text: str) -> str:
    """`text` with *** in place of user and password, key, secret, token or signature in its URIs.

    >>> without_secrets("--storage s3://name:password@bucket/sweep?token=abc&region=x")
    '--storage s3://***@bucket/sweep?token=***&region=x'
    """
    text = re.sub(r"://[^\s:@/?]*:[^\s@]+@", "://***@", text)
    secret = r"([?&][^=&\s]*(?:key|secret|token|password|credential|sig)[^=&\s]*=)[^&\s]+"
    return re.sub(secret, r"\1***", text, flags=re.IGNORECASE)


def versions() -> dict[str, str]:
    """Versions of Python, of this tool and of the packages that shape results."""
    known = {"python": platform.python_version(), "byol-sweeps": __version__}
    for package in PACKAGES:
        try:
            known[package] = version(package)
        except PackageNotFoundError:
            continue
    return known


@functools.cache
def versions_line() -> str:
    """The versions of this process, as in `trials.parquet`: "python 3.11.9, torch 2.15.0"."""
    return ", ".join(f"{name} {number}" for name, number in versions().items())


def installed_distribution() -> Distribution | None:
    """The installed byol-sweeps that this code is part of; None in a checkout, and in a copy of one."""
    try:
        installed = distribution("byol-sweeps")
    except PackageNotFoundError:
        return None
    # A build leaves metadata in a checkout, too, but no record of installed files.
    here = Path(str(installed.locate_file("sweeps/record/manifest.py"))).resolve() == Path(__file__).resolve()
    return installed if here and installed.read_text("RECORD") is not None else None


class GitState(TypedDict):
    """Which code this is."""

    commit: str | None
    """None if unknown."""
    clean: bool | None
    """Whether the code is as committed; None if unknown."""


def git_state() -> GitState:
    """The commit of this code, and whether it is unchanged since; nulls if no commit is known."""
    installed = installed_distribution()
    if installed:
        origin = json.loads(installed.read_text("direct_url.json") or "{}")
        commit = origin.get("vcs_info", {}).get("commit_id")
        return {"commit": commit, "clean": None if commit is None else True}
    if _git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return {
            "commit": None,
            "clean": None,
        }  # a repository around a copy of this code says nothing about it
    status = _git("status", "--porcelain", "--untracked-files=no")
    return {"commit": _git("rev-parse", "HEAD"), "clean": None if status is None else status == ""}


def _git(*arguments: str) -> str | None:
    """What git prints in the folder of this code; None if it fails."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return process.stdout.strip() if process.returncode == 0 else None


def hardware(resources: Mapping[str, float]) -> dict[str, Any]:
    """Processor, memory and what the engine had of it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "accelerators": sorted(
            key.partition(":")[2] for key in resources if key.startswith("accelerator_type:")
        ),
        "engine": {key: value for key, value in resources.items() if key in ("CPU", "GPU")},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
