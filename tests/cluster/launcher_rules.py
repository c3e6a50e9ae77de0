"""What cluster.yaml must say, beyond what Ray's own schema asks: each broken rule is one line of text."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml

ROOT = Path(__file__).parents[2]


def document() -> Any:
    """The file as it stands."""
    return yaml.safe_load((ROOT / "cluster.yaml").read_text())


def pins() -> dict[str, str]:
    """The versions in requirements.txt, by name with extras."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))


def prepared(written: Any) -> Any:
    """The document as `ray up` completes it with Ray's defaults, after Ray's own validation."""

    from ray.autoscaler._private.util import prepare_config, validate_config  # isort: skip

    complete = prepare_config(copy.deepcopy(written))
    validate_config(complete)
    return complete


def complaints(written: Any) -> list[str]:
    """Everything that is wrong with a document; empty if it may be used."""
    try:
        complete = prepared(written)
    except (jsonschema.ValidationError, ValueError, KeyError, AttributeError, RuntimeError) as error:
        return [f"Ray refuses it: {str(error).splitlines()[0]}"]
    return [*_nodes(complete), *_access(complete), *_software(complete)]


def _nodes(complete: Any) -> Iterator[str]:
    kinds = dict(complete["available_node_types"])
    head = kinds.pop(complete["head_node_type"])
    if head["resources"] != {"CPU": 0, "GPU": 0} or head["max_workers"] != 0:
        yield "the head takes trials"
    for flag in ("--num-cpus=0", "--num-gpus=0"):
        if flag not in _start(complete, "head"):
            yield f"the head is started without {flag}"
    if not kinds:
        yield "there are no workers"
    yield from _workers(kinds, complete["max_workers"])
    if not 0 < complete["idle_timeout_minutes"] <= 30:
        yield "idle workers stay"
    if complete["provider"].get("cache_stopped_nodes", True):
        yield "idle workers are stopped and still paid for"


def _workers(kinds: dict[str, Any], most: int) -> Iterator[str]:
    for name, kind in kinds.items():
        if not (kind["resources"].get("GPU", 0) >= 1 and kind["resources"].get("CPU", 0) >= 1):
            yield f"{name} declares no GPU or no CPU"
        if kind["node_config"].get("InstanceMarketOptions", {}).get("MarketType") != "spot":
            yield f"{name} is not spot"
        if kind["min_workers"] != 0:
            yield f"{name} is kept without work"
        if not 1 <= kind["max_workers"] <= most:
            yield f"{name} has room for no worker, or more than the cluster"


def _access(complete: Any) -> Iterator[str]:
    for role in ("head", "worker"):
        if not re.search(r"export RAY_AUTH_MODE=token; .*\bray start\b", _start(complete, role)):
            yield f"{role} is started without token authentication"
        if not any("RAY_AUTH_MODE=token" in line and ".bashrc" in line for line in _setup(complete, role)):
            yield f"shells on the {role} lack token authentication"
    if complete["file_mounts"].get("~/.ray/auth_token") != "~/.ray/auth_token":
        yield "nodes lack the token"
    hosts = re.findall(r"--dashboard-host[= ](\S+)", _start(complete, "head"))
    if hosts != ["127.0.0.1"]:
        yield f"the dashboard listens on {hosts}"
    if "--autoscaling-config=~/ray_bootstrap_config.yaml" not in _start(complete, "head"):
        yield "the head starts no workers"


def _software(complete: Any) -> Iterator[str]:
    for role in ("head", "worker"):
        setup = "\n".join(_setup(complete, role))
        if "-r ~/byol-sweeps/requirements.txt -c ~/byol-sweeps/requirements.lock" not in setup:
            yield f"{role} does not install requirements.txt as requirements.lock has it"
        if any(version != pins()["ray[tune]"] for version in re.findall(r"ray\[\w+\]==([\d.]+)", setup)):
            yield f"{role} installs another Ray than requirements.txt"
        uv = re.search(r"uv==([\d.]+)", (ROOT / "Makefile").read_text())
        if uv is None or f"pip install --quiet {uv[0]};" not in setup:
            yield f"{role} installs another uv than the Makefile"
    if "ray[default]==" not in "\n".join(_setup(complete, "head")):
        yield "the head has no dashboard"
    for local in complete["file_mounts"].values():
        if not local.startswith("~") and not (local in _PARTS and (ROOT / local).exists()):
            yield f"{local} is no part of the program, but is copied"
    if "**/__pycache__" not in complete["rsync_exclude"]:
        yield "compiled files are copied"


_PARTS = ("requirements.txt", "requirements.lock", "run_sweep.py", "byol", "sweeps", "analysis")


def _start(complete: Any, role: str) -> str:
    return "\n".join(complete[f"{role}_start_ray_commands"])


def _setup(complete: Any, role: str) -> list[str]:
    """All of a node's, since Ray's preparation puts the common ones in front."""
    return list(complete[f"{role}_setup_commands"])
