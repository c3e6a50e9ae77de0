"""Data that each node loads for itself, instead of from the object store of Ray.

For sets that torchvision downloads, and for nodes that share no file system. One process of a node at a time
loads, so that one downloads and the others find what it left.
"""

import contextlib
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from byol.config import OnBroken
from sweeps.trainer import DataKey, LoadData

_loaded: dict[tuple[Path, DataKey, str], Any] = {}
"""What this process has loaded, for its later trials: place, key, digest -> data set."""


class NodeDataError(ValueError):
    """A node that cannot load the data, or loads other data than the driver did."""


@dataclass(frozen=True, kw_only=True)
class NodeData:
    """How a worker comes by its data. Small and picklable."""

    load_data: LoadData
    """The learner's. Must be picklable by name."""
    root: Path
    """Where downloads are kept, on every node; absolute."""
    on_broken: OnBroken
    """The study's."""
    digests: Mapping[DataKey, str]
    """What the driver loaded."""

    def get(self, key: DataKey) -> Any:
        """The data set, read-only, loaded at most once in a process.

        Raises:
            NodeDataError: it cannot be loaded here, or is not the driver's.
        """
        cached = self.root, key, self.digests[key]
        if cached not in _loaded:
            _loaded[cached] = self._load(key)
        return _loaded[cached]

    def _load(self, key: DataKey) -> Any:
        dataset, train_images, image_size = key
        here = f"{dataset} on the node {os.uname().nodename}"
        try:
            with _alone_on_this_node(self.root):
                images = self.load_data(
                    dataset,
                    root=self.root,
                    train_images=train_images,
                    image_size=image_size,
                    on_broken=self.on_broken,
                )
        except (ValueError, OSError) as error:
            raise NodeDataError(f"{here}: cannot be loaded: {' '.join(str(error).split())}") from error
        if images.digest != self.digests[key]:
            raise NodeDataError(
                f"{here}: the digest must be the driver's, {self.digests[key]}, but got {images.digest}"
            )
        for field in fields(images) if is_dataclass(images) else ():
            if isinstance(array := getattr(images, field.name), np.ndarray):
                array.flags.writeable = False  # as the object store has it: trials share it
        return images


@contextlib.contextmanager
def _alone_on_this_node(root: Path) -> Iterator[None]:
    """Holds a lock among all processes of this node that load into `root`; it ends with the process."""
    place = hashlib.sha256(str(root).encode()).hexdigest()[:12]
    path = Path(tempfile.gettempdir()) / f"sweep-data-{os.getuid()}-{place}.lock"
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
