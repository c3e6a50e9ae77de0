"""Random streams: each use of chance has a generator of its own, fixed by the trial's seed and a name.

So cells that share a seed share their draws, and using one stream more or less never shifts another.
"""

import contextlib
import hashlib
from collections.abc import Iterator

import torch


def stream_seed(seed: int, name: str, index: int = 0) -> int:
    """A 63-bit seed for stream `name` (and the `index`-th use of it, such as a step) of trial seed `seed`."""
    digest = hashlib.sha256(f"{seed}/{name}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, name: str, index: int = 0) -> torch.Generator:
    """A CPU generator at the start of that stream."""
    return torch.Generator().manual_seed(stream_seed(seed, name, index))


def epoch_order(seed: int, epoch: int, images: int) -> torch.Tensor:
    """The order in which an epoch goes through the training images: int64 [images], a permutation."""
    return torch.randperm(images, generator=stream(seed, "order", epoch))


@contextlib.contextmanager
def construction(seed: int, name: str) -> Iterator[None]:
    """Within it, modules are built with the weights of stream `name`.

    torch's constructors know no generator but the global one: it is lent to them and given back as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, name))
        yield
