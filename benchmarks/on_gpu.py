"""What the parts about the GPU share: the device, its clock, made-up images, and the ways to do a step.

Shape suffixes: B batch, C channels, H height, W width.
"""

import itertools
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from benchmarks.report import Table, machine
from byol.data import ImageData
from byol.learner import Learner

NOT_MEASURED = "not measured"


def where(device: torch.device) -> str:
    """The machine, with its GPU if it has one."""
    return machine(torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU")


def as_measured(tables: list[Table], device: torch.device) -> list[Table]:
    """The tables; without a GPU "not measured" in every cell that a measurement would fill."""
    if device.type == "cuda":
        return tables
    return [
        Table(
            columns=table.columns,
            rows=[(row[0], *[NOT_MEASURED] * (len(row) - 1)) for row in table.rows],
            title=table.title,
        )
        for table in tables
    ]


def coloured(count: int) -> ImageData:
    """Made-up images of CIFAR-10's shape, with labels of ten classes."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (count + 64, 3, 32, 32), dtype=np.uint8)
    labels = generator.integers(0, 10, count + 64)
    return ImageData(
        name="made-up",
        train_images=images[:count],
        train_labels=labels[:count],
        test_images=images[count:],
        test_labels=labels[count:],
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        classes=None,
        digest="made-up",
    )


def wait(device: torch.device) -> None:
    """Waits until the device has done everything."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_each(act: Callable[[], object], count: int, device: torch.device) -> float:
    """Seconds of a call that leaves its work to the device, the mean of `count` calls."""
    wait(device)
    start = time.perf_counter()
    for _ in range(count):
        act()
    wait(device)
    return (time.perf_counter() - start) / count


def tried(
    name: str, make: Callable[[], Callable[[], object]], device: torch.device
) -> Callable[[], object] | None:
    """What `make` returns, after it has run three times; on a GPU None if that fails, which is said."""
    try:
        act = make()
        for _ in range(3):
            act()
        wait(device)
    except Exception as error:
        if device.type == "cpu":
            raise
        print(f"gpu: {name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return None
    return act


def captured(learner: Learner, views: list[tuple[Tensor, ...]]) -> Callable[[], object]:
    """A step of the learner in a CUDA graph, on each of the views in turn. Only on a GPU."""
    static = tuple(view_BCHW.clone() for view_BCHW in views[0])
    for group in learner.optimizer.param_groups:
        if "capturable" in group:
            group["capturable"] = True
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            learner.step(*static)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        learner.step(*static)
    turns = itertools.cycle(views)

    def step() -> None:
        for kept, view in zip(static, next(turns), strict=True):
            kept.copy_(view)
        graph.replay()

    return step


def eager(learner: Learner, views: list[tuple[Tensor, ...]]) -> Callable[[], object]:
    """A step of the learner, on each of the views in turn."""
    turns = itertools.cycle(views)
    return lambda: learner.step(*next(turns))


def compiled(learner: Learner) -> Learner:
    """The learner with its networks compiled."""
    for module in (learner.online, learner.predictor, learner.target):
        module.compile()
    return learner


def forward_backward(learner: Learner, views: list[tuple[Tensor, ...]]) -> Callable[[], object]:
    """The loss and its gradient: what a step cannot do without."""
    turns = itertools.cycle(views)

    def act() -> None:
        learner.optimizer.zero_grad()
        learner.loss(*next(turns)).backward()

    return act
