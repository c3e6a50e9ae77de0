"""Random streams: each use of random numbers has its own generator, fixed by the trial's seed and a name.

So cells that share a seed share their draws, and drawing more or less from one stream never shifts another.
"""

import contextlib
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_DRAWS = {
    *("bernoulli_", "cauchy_", "exponential_", "geometric_", "log_normal_", "normal_", "random_", "uniform_"),
    "kaiming_uniform_",
}
"""Functions that fill a tensor with random numbers: methods of tensors, and those of nn.init that torch hands
to a mode as a whole."""


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


def normals_on_device(seed: int, name: str, step_1: Tensor, rows: int, columns: int) -> Tensor:
    """Independent standard normals of one step, made on the device from a counter that lies there.

    A generator would have to be seeded by the host at every step. Here the numbers of step k are the entries
    k n to (k + 1) n - 1 of the stream's SplitMix64 sequence, n = rows x columns, each turned into one normal
    (Box and Muller). So they depend on seed, name and step alone.

    Args:
        seed, name: as for `stream_seed`.
        step_1: int64 [1], the step.
        rows, columns: how many.

    Returns:
        float32 [rows, columns] on the device of `step_1`. From one kind of device to another, their last bits
        may differ.
    """
    count = rows * columns
    entry_N = step_1 * count + torch.arange(count, device=step_1.device)
    bits_N = splitmix64(stream_seed(seed, name), entry_N)
    # Two uniforms of 24 bits, as many as float32 holds: in (0, 1], for the logarithm, and in [0, 1).
    radius_N = ((_shifted(bits_N, 40) + 1) * 2**-24).log().mul(-2).sqrt()
    turn_N = (bits_N & 0xFFFFFF) * 2**-24
    normal_N: Tensor = radius_N * (turn_N * (2 * math.pi)).cos()
    return normal_N.view(rows, columns)


def splitmix64(seed: int, entry_N: Tensor) -> Tensor:
    """Entries of the sequence of SplitMix64, counted from 0: int64, whose 64 bits are uniform.

    Source: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators".
    """
    # Constants above 2^63 as the negative numbers of the same bits; int64 products wrap around.
    x_N = (entry_N + 1) * (0x9E3779B97F4A7C15 - 2**64) + seed
    x_N = (x_N ^ _shifted(x_N, 30)) * (0xBF58476D1CE4E5B9 - 2**64)
    x_N = (x_N ^ _shifted(x_N, 27)) * (0x94D049BB133111EB - 2**64)
    return x_N ^ _shifted(x_N, 31)


def _shifted(x_N: Tensor, bits: int) -> Tensor:
    """int64 shifted right with zeros coming in: torch's own shift repeats the sign."""
    shifted_N: Tensor = (x_N >> bits) & (2 ** (64 - bits) - 1)
    return shifted_N


@contextlib.contextmanager
def construction(seed: int, name: str) -> Iterator[None]:
    """Modules that are built inside the block get the weights of stream `name`.

    torch's constructors draw from the global generator only. It is seeded for them, and restored at the end.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, name))
        yield


class BeforeDraws(TorchFunctionMode):
    """Inside the block, `act` is called with each tensor that is about to be filled with random numbers.

    What counts is torch's functions as Python calls them: a TorchDispatchMode would see every operation, but
    imports torch's compiler, which takes longer than all the rest of torch.
    """

    def __init__(self, act: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.act = act

    def __torch_function__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Passes the operation on."""
        if func.__name__ in _DRAWS:
            self.act(args[0] if args else (kwargs or {})["tensor"])
        return func(*args, **(kwargs or {}))
