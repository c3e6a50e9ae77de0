"""Random streams: each use of random numbers has its own generator, fixed by the trial's seed and a name.

So cells that share a seed share their draws, and drawing more or less from one stream never shifts another.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


def stream_seed(seed: int, name: str, index: int = 0) -> int:
    """A 63-bit seed for stream `name` of a trial with this seed; `index` counts its uses, such as steps."""
    digest = hashlib.sha256(f"{seed}/{name}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, name: str, index: int = 0) -> torch.Generator:
    """A CPU generator at the start of that stream; arguments as for `stream_seed`."""
    return torch.Generator().manual_seed(stream_seed(seed, name, index))


def epoch_order(seed: int, epoch: int, images: int) -> torch.Tensor:
    """The order in which an epoch goes through the training images: int64 [images], a permutation."""
    return torch.randperm(images, generator=stream(seed, "order", epoch))


@contextlib.contextmanager
def construction(seed: int, name: str) -> Iterator[None]:
    """Modules that are built inside the block get the weights of stream `name`.

    torch's constructors draw from the global generator only. It is seeded for them, and restored at the end.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, name))
        yield


class BeforeDraws(TorchDispatchMode):
    """Inside the block, `act` is called with each tensor that is about to be filled with random numbers."""

    def __init__(self, act: Callable[[Tensor], object]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.act = act

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Passes the operation on."""
        if torch.Tag.nondeterministic_seeded in func.tags:
            self.act(args[0])
        return func(*args, **(kwargs or {}))
