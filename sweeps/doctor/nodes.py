"""Ray here or on a cluster: whether it starts, who may join, and whether its nodes are as this machine."""

import contextlib
import importlib.metadata
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from byol.errors import plural
from sweeps.doctor.check import UNEXPECTED, Check, Trouble, examined
from sweeps.doctor.places import skew
from sweeps.errors import EngineError
from sweeps.record.manifest import versions
from sweeps.study import Resources

if TYPE_CHECKING:  # it imports Ray, which takes seconds
    from sweeps.engine.survey import Node

_SAME_EVERYWHERE = "install on every node what is installed here (docs/cluster.md), and restart Ray there"


def token(address: str | None) -> str:
    """Whether Ray asks for a token, and who may read it."""
    from sweeps.engine import access
    from sweeps.engine.environment import AUTH_MODE

    if (os.environ.get(AUTH_MODE) or "token").lower() != "token":
        raise Trouble(
            f"{AUTH_MODE} is {os.environ[AUTH_MODE]}: whoever reaches Ray's ports can run code",
            f"unset {AUTH_MODE}, or set it to token",
        )
    if os.environ.get("RAY_AUTH_TOKEN"):
        return "in RAY_AUTH_TOKEN"
    path = access.token_file()
    if not path.exists():
        if address is None:
            return f"{path} will be made by the first sweep"
        raise Trouble(f"{path} does not exist", f"copy the cluster's token there: `chmod 600 {path}`")
    if path.stat().st_mode & 0o077:
        raise Trouble(
            f"{path} can be read by others (mode {path.stat().st_mode & 0o777:04o})", f"chmod 600 {path}"
        )
    return f"{path}, for its owner alone"


def examine_ray(address: str | None) -> Iterator[Check]:
    """Starts or joins Ray, and asks every node what it is."""
    from sweeps.engine import runtime

    with contextlib.ExitStack() as stack:
        found: list[Node] = []

        def ray() -> str:
            try:
                available = stack.enter_context(runtime.connected(address, Resources()))
            except EngineError as error:
                remedy = (
                    "start the cluster, name its head by --address HOST:PORT, and have its token here "
                    "(docs/cluster.md)"
                    if address
                    else "a busy machine may be too slow for it: try again, and look at the checks above; "
                    "`ray stop` ends what an earlier Ray has left, and every other Ray of this machine"
                )
                raise Trouble(str(error), remedy) from None
            resources = f"{available.get('CPU', 0):g} CPUs, {available.get('GPU', 0):g} GPUs"
            return f"{importlib.metadata.version('ray')}, {address or 'this machine'}: {resources}"

        [started] = examined({"ray": ray})
        yield started
        if not started.fine:
            return
        if address is not None:
            yield from examined({"access": lambda: _access(address)})
        yield from examined(
            {
                "nodes": lambda: _survey(found),
                "versions": lambda: _versions(found),
                "clocks": lambda: _clocks(found),
                "node data": lambda: _data(found),
            }
        )


def _access(address: str) -> str:
    from sweeps.engine import survey

    try:
        is_open = survey.is_open()
    except EngineError as error:
        raise Trouble(
            f"whether the cluster at {address} lets in whoever reaches its ports is unknown: {error}",
            "ask again; look at the network between this machine and the head, and at Ray's log there",
        ) from None
    if is_open:
        raise Trouble(
            f"the cluster at {address} lets in whoever reaches its ports",
            "start every node with RAY_AUTH_MODE=token (docs/cluster.md, Security)",
        )
    return "who has no token is refused"


def _survey(found: "list[Node]") -> str:
    """Runs a task on every node; it has to import what a trial imports."""
    from sweeps.engine import survey

    found += survey.survey()
    broken = [node for node in found if node.problem]
    if broken:
        raise Trouble(
            "; ".join(f"{node.name}: {node.problem}" for node in broken),
            "look at the node's memory and its Ray's log. " + _SAME_EVERYWHERE,
        )
    return f"{len(found)} answer: {', '.join(node.name for node in found)}"


def _answered(found: "list[Node]") -> "list[Node]":
    answered = [node for node in found if not node.problem]
    if not answered:
        raise Trouble("no node has answered", UNEXPECTED)
    return answered


def _versions(found: "list[Node]") -> str:
    here, wrong = versions(), []
    for node in _answered(found):
        wrong += [
            f"{node.name} has {name} {node.versions.get(name, 'missing')}, and this machine "
            + here.get(name, "none")
            for name in sorted(here.keys() | node.versions.keys())
            if node.versions.get(name) != here.get(name)
        ]
    if wrong:
        raise Trouble("; ".join(wrong), _SAME_EVERYWHERE)
    have = f"{plural(len(found), 'node')} {'has' if len(found) == 1 else 'have'}"
    return f"{have} the {len(here)} versions of this machine"


def _clocks(found: "list[Node]") -> str:
    told = [skew(node.name, node.clock, node.before, node.after) for node in _answered(found)]
    return "; ".join(told)


def _data(found: "list[Node]") -> str:
    from byol.data import load_data

    digest = load_data("fashion-mnist-8k").digest
    wrong = [node.name for node in _answered(found) if node.data_digest != digest]
    if wrong:
        raise Trouble(
            f"{', '.join(wrong)}: the embedded images are not those of this machine", _SAME_EVERYWHERE
        )
    return "every node has the embedded images of this machine"
