"""Data that each node loads itself, instead of fetching it from Ray's object store.

For data sets that torchvision downloads, and for nodes that share no file system. The processes of a node
load one at a time, so that the first downloads and the others find its files.
"""

import contextlib
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from byol.config import OnBroken
from sweeps.errors import one_line
from sweeps.trainer import DataKey, Images, LoadData

_loaded: dict[tuple[Path, DataKey, str], Images] = {}
"""What this process has loaded, for its later trials: root, key, digest -> data set."""


class NodeDataError(ValueError):
    """A node cannot load the data, or its data differs from the driver's."""


@dataclass(frozen=True, kw_only=True)
class NodeData:
    """Loads a worker's data on its node. Small and picklable."""

    load_data: LoadData
    """The trainer's function. Must be picklable by name."""
    root: Path
    """Folder of downloaded data sets on every node; absolute."""
    on_broken: OnBroken
    """What to do about images that cannot be read."""
    digests: Mapping[DataKey, str]
    """Digests of the data that the driver loaded."""

    def get(self, key: DataKey) -> Images:
        """Returns the data set, read-only. Each process loads it at most once.

        Raises:
            NodeDataError: it cannot be loaded here, or differs from the driver's.
        """
        cached = self.root, key, self.digests[key]
        if cached not in _loaded:
            _loaded[cached] = self._load(key)
        return _loaded[cached]

    def _load(self, key: DataKey) -> Images:
        dataset, train_images, image_size = key
        here = f"{dataset} on the node {os.uname().nodename}"
        try:
            with _node_lock(self.root):
                images = self.load_data(
                    dataset,
                    root=self.root,
                    train_images=train_images,
                    image_size=image_size,
                    on_broken=self.on_broken,
                )
        except (ValueError, OSError) as error:
            raise NodeDataError(f"{here}: cannot be loaded: {one_line(error)}") from error
        if images.digest != self.digests[key]:
            raise NodeDataError(
                f"{here}: the digest must be the driver's, {self.digests[key]}, but got {images.digest}"
            )
        for value in vars(images).values():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False  # as in the object store, because trials share it
        return images


@contextlib.contextmanager
def _node_lock(root: Path) -> Iterator[None]:
    """Locks `root` against other processes of this node that load into it. The lock ends with the process."""
    root_hash = hashlib.sha256(str(root).encode()).hexdigest()[:12]
    path = Path(tempfile.gettempdir()) / f"sweep-data-{os.getuid()}-{root_hash}.lock"
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
