"""Checks this machine, its place for results, a store and a Ray cluster before a sweep runs there."""

from collections.abc import Iterator
from pathlib import Path

from sweeps.doctor import machine, nodes, places
from sweeps.doctor.check import Check, examined

__all__ = ["Check", "examine"]


def examine(out: Path, address: str | None = None, storage: str | None = None) -> Iterator[Check]:
    """Checks one thing after the other, the slow ones last. Leaves nothing behind.

    Args:
        out: where sweeps would be written; need not exist.
        address: a Ray cluster; None starts Ray on this machine.
        storage: URI or folder of a store, as of `run --storage`; None leaves it out.
    """
    yield from examined(
        {
            "python": machine.python,
            "packages": machine.packages,
            "studies": machine.studies,
            "disk": lambda: places.disk(out),
            "writing": lambda: places.writing(out),
            "memory": machine.memory,
            "shared memory": machine.shared_memory,
            "data": machine.data,
            "torch": machine.torch_build,
            "GPU": machine.gpus,
        }
    )
    if storage is not None:
        yield from examined(
            {"store": lambda: places.store(storage), "store's clock": lambda: places.store_clock(storage)}
        )
    yield from examined({"token": lambda: nodes.token(address)})
    yield from nodes.examine_ray(address)
