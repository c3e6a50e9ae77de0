"""Asks every node of the Ray that this process has joined what it is, as `doctor` compares it."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from byol.errors import shortened
from sweeps.engine.environment import AUTH_MODE
from sweeps.errors import EngineError, one_line
from sweeps.record.manifest import versions

_SECONDS = 60
"""How long a node may take to answer."""
_STRANGER = """
import sys
from ray._raylet import GcsClient
GcsClient(address=sys.argv[1]).internal_kv_keys(b"", None, timeout=5)
print("inside")
"""
_REFUSED = "ray.exceptions.AuthenticationError: "
"""The error of a process without a token, once the cluster has answered it."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """What one node has answered."""

    name: str
    """Its host and address."""
    problem: str = ""
    """Why it has not answered; the rest is then empty."""
    versions: Mapping[str, str]
    """As `sweeps.record.manifest.versions`."""
    clock: float = 0.0
    """Seconds since 1970, by its clock."""
    before: float = 0.0
    """The driver's clock before it was asked."""
    after: float = 0.0
    """The driver's clock when the answer was there."""
    data_digest: str = ""
    """Digest of the embedded images there."""


def survey() -> list[Node]:
    """Asks all living nodes, one after the other."""
    return [_ask(node) for node in ray.nodes() if node["Alive"]]


def _ask(node: Mapping[str, Any]) -> Node:
    name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
    place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    try:
        remote = ray.remote(num_cpus=0)(answer).options(scheduling_strategy=place)
        ray.get(remote.remote(), timeout=_SECONDS)  # starts a worker, which takes seconds
        before = time.time()
        answered = ray.get(remote.remote(), timeout=_SECONDS)
        return Node(name=name, before=before, after=time.time(), **answered)
    except Exception as error:  # whatever it is, it is the node's answer
        lines = str(error).strip().splitlines()
        return Node(name=name, problem=shortened(lines[-1] if lines else one_line(error), 300), versions={})


def answer() -> dict[str, Any]:
    """What a node says about itself."""
    from byol.data import load_data

    return {
        "versions": versions(),
        "clock": time.time(),
        "data_digest": load_data("fashion-mnist-8k").digest,
    }


def is_open() -> bool:
    """Whether the Ray that this process has joined lets in a process without a token.

    Raises:
        EngineError: it has neither let it in nor refused it.
    """
    environment = {name: value for name, value in os.environ.items() if name != "RAY_AUTH_TOKEN"}
    try:
        asked = subprocess.run(
            [sys.executable, "-c", _STRANGER, ray.get_runtime_context().gcs_address],
            env={**environment, AUTH_MODE: "disabled"}, check=False, capture_output=True, text=True,
            timeout=120,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise EngineError("a process without a token got no answer within 120 s") from None
    if "inside" in asked.stdout:
        return True
    if _REFUSED not in asked.stderr:
        lines = asked.stderr.strip().splitlines() or [f"exit status {asked.returncode}"]
        raise EngineError(f"a process without a token got no answer: {shortened(lines[-1], 300)}")
    return False
