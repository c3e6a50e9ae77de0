"""All about one trial on a GPU: what a step costs, and what feeds it.

ResNet-18 for CIFAR in bf16 and channels_last: samples a second, share of the measured matrix peak, idle
share; the step in a CUDA graph, compiled, and beside pure forward and backward; views made on the device
beside a DataLoader. Several trials on one GPU are the part `gpu_packs`. Without a GPU everything runs at toy
size on the CPU, to see that it runs, and the page says "not measured".

Needs neither Ray nor pandas: only byol/ and what it needs.

Shape suffixes: B batch, C channels, H x.
"""

import itertools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.on_gpu import (
    NOT_MEASURED,
    as_measured,
    captured,
    coloured,
    compiled,
    eager,
    forward_backward,
    seconds_each,
    tried,
    where,
)
from benchmarks.ours import configuration, learner_of, trained_rate, views_of
from benchmarks.peers import tutorial_views
from benchmarks.report import Report, Table
from benchmarks.side_by_side import Figures, take_turns
from byol.config import TrialConfig
from byol.data import ImageData
from byol.learner import Learner

LIGHTLY = "1,370"
"""Images a second of ResNet-18 on CIFAR-10 that lightly publishes, measured on an A6000."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large everything is."""

    encoder: str
    image_size: int
    images: int
    batches: tuple[int, ...]
    steps: int
    """Steps of a round."""
    rounds: int
    matrix: int
    """Rows of the square matrices whose product gives the peak."""
    loaders: int
    """Processes of the DataLoader."""
    heads: int
    """Width of the heads."""
    compile: bool


FULL = Size(
    encoder="resnet18",
    image_size=32,
    images=20_000,
    batches=(256, 512),
    steps=30,
    rounds=5,
    matrix=8192,
    loaders=len(os.sched_getaffinity(0)),
    heads=1024,
    compile=True,
)
TOY = Size(
    encoder="tiny",
    image_size=8,
    images=64,
    batches=(8,),
    steps=1,
    rounds=1,
    matrix=32,
    loaders=0,
    heads=16,
    compile=False,
)
"""On the CPU. Compiling would take half a minute."""


def measure(*, long: bool = False, size: Size | None = None) -> Report:
    """Measures on the GPU, or tries everything at toy size on the CPU.

    Args:
        long: twice the rounds.
        size: how large; None is FULL on a GPU and TOY without one.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = size or (FULL if device.type == "cuda" else TOY)
    rounds = size.rounds * (2 if long else 1)
    data = coloured(size.images)
    tables = []
    for batch in size.batches:
        config = configuration(
            encoder=size.encoder,
            image_size=size.image_size,
            batch_size=batch,
            projector_width=size.heads,
            projector_size=size.heads // 4,
            predictor_width=size.heads,
            precision="bf16",
            eval_every=size.steps,
            eval_images=8,
        )
        tables += [
            _step_table(config, data, size, rounds, device),
            _feeding_table(config, data, size, rounds, device),
        ]
    setup = (
        f"{FULL.encoder}, {FULL.image_size} px, stem for small images, heads {FULL.heads} wide, bf16, "
        f"channels_last; made-up colour images. n = {rounds} rounds in turns of {size.steps} steps; median "
        "(least to largest). "
        f"Peak: the product of two {FULL.matrix}x{FULL.matrix} bf16 matrices of random numbers."
    )
    if device.type == "cpu":
        setup += " **There was no GPU**: all ran at toy size on the CPU, and nothing was measured."
    return Report(
        title="One trial on a GPU", setup=setup, tables=as_measured(tables, device), machine=where(device)
    )


def _variants(
    config: TrialConfig, data: ImageData, size: Size, device: torch.device
) -> dict[str, Callable[[], Callable[[], object]]]:
    """Name -> what makes the call of one step. Each has a learner of its own, and all have the same views."""
    views = list(itertools.islice(views_of(config, data, device), 4))

    def new() -> Learner:
        return learner_of(config, data, device)

    variants: dict[str, Callable[[], Callable[[], object]]] = {
        "step": lambda: eager(new(), views),
        "forward and backward of the loss alone": lambda: forward_backward(new(), views),
    }
    if size.compile:
        variants["step, compiled"] = lambda: eager(compiled(new()), views)
    if device.type == "cuda":
        variants["step in a CUDA graph"] = lambda: captured(new(), views)
        variants["step, compiled, in a CUDA graph"] = lambda: captured(compiled(new()), views)
    return variants


def _step_table(config: TrialConfig, data: ImageData, size: Size, rounds: int, device: torch.device) -> Table:
    """Samples a second, share of the peak and idle share of each way to do a step."""
    peak = _peak(size.matrix, device)
    acts, first_seconds = {}, {}
    for name, make in _variants(config, data, size, device).items():
        start = time.perf_counter()
        act = tried(name, make, device)
        first_seconds[name] = time.perf_counter() - start
        if act is not None:
            acts[name] = act
    flops = _operations(config, data, device)

    def timed(act: Callable[[], object]) -> Callable[[], float]:
        return lambda: seconds_each(act, size.steps, device)

    times = take_turns({name: timed(act) for name, act in acts.items()}, rounds)
    pure = times["forward and backward of the loss alone"]
    rows = []
    for name in first_seconds:
        if name not in times:
            rows.append((name, *["failed"] * 6))
            continue
        figures = times[name]
        rates = Figures(tuple(config.batch_size / value for value in figures.values))
        share = flops[name.startswith("step")] / figures.median / peak
        idle = _idle(acts[name], figures.median, device)
        rows.append(
            (
                name,
                figures.text(2, 1e3),
                rates.text(),
                figures.over(pure),
                f"{share:.1%}",
                idle,
                f"{first_seconds[name]:.0f}",
            )
        )
    columns = (
        "way",
        "ms a step",
        "samples a second",
        "times forward and backward",
        "of the matrix peak",
        "idle",
        "s until it is ready",
    )
    note = (
        f"Peak {peak / 1e12:,.0f} TFLOP/s; a step has {flops[True] / 1e9:,.0f} GFLOP, its forward and "
        f"backward {flops[False] / 1e9:,.0f}. On views that lie ready. "
        "Idle: 1 - time in kernels / time of a step."
    )
    return Table(title=f"A step, batch {config.batch_size}", columns=columns, rows=rows, note=note)


def _peak(rows: int, device: torch.device) -> float:
    """Operations a second of a bf16 product of square matrices."""
    a, b = (torch.randn(rows, rows, device=device).bfloat16() for _ in range(2))
    for _ in range(3):
        a @ b
    return 2 * rows**3 / seconds_each(lambda: a @ b, 20, device)


def _operations(config: TrialConfig, data: ImageData, device: torch.device) -> dict[bool, float]:
    """Floating-point operations of a step (True), and of forward and backward alone (False)."""
    learner, views = learner_of(config, data, device), next(views_of(config, data, device))
    counts = {}
    for whole, act in ((True, eager(learner, [views])), (False, forward_backward(learner, [views]))):
        with FlopCounterMode(display=False) as counter:
            act()
        counts[whole] = float(counter.get_total_flops())
    return counts


def _idle(act: Callable[[], object], seconds: float, device: torch.device) -> str:
    """Share of a step in which no kernel runs: the profiler's time in kernels against the time without it."""
    if device.type == "cpu":
        return NOT_MEASURED
    steps = 5
    try:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            seconds_each(act, steps, device)
        busy = sum(event.self_device_time_total for event in profile.key_averages()) / 1e6 / steps
    except Exception as error:
        return f"{NOT_MEASURED} ({type(error).__name__})"
    return f"{max(0.0, 1 - busy / seconds):.0%}"


def _feeding_table(
    config: TrialConfig, data: ImageData, size: Size, rounds: int, device: torch.device
) -> Table:
    """A whole trial with views made on the device, beside the same learner behind a DataLoader."""
    trial = trained_rate(config, data, device)
    learner = learner_of(config, data, device)
    views = views_of(config, data, device)
    loader = _Loader(config, data, size, device)

    def fed() -> float:
        return config.batch_size / seconds_each(lambda: learner.step(*loader.next()), size.steps, device)

    def made() -> float:
        return config.batch_size / seconds_each(lambda: next(views), size.steps, device)

    for act in (trial, fed, made):
        act()
    names = (
        "a trial, views on the device",
        "the same learner behind a DataLoader",
        "making views on the device alone",
    )
    rates = take_turns(dict(zip(names, (trial, fed, made), strict=True)), rounds)
    behind = rates[names[1]]
    rows = [(name, figures.text(), figures.over(behind)) for name, figures in rates.items()]
    if config.encoder == "resnet18":
        rows.append(("lightly, as published, on an A6000", LIGHTLY, ""))
    columns = ("way", "samples a second", "times the DataLoader")
    note = f"The DataLoader: {size.loaders} processes that run torchvision's PIL transforms, pinned memory."
    return Table(title=f"What feeds it, batch {config.batch_size}", columns=columns, rows=rows, note=note)


class _Loader:
    """Batches of views by PIL transforms, copied to the device without waiting."""

    def __init__(self, config: TrialConfig, data: ImageData, size: Size, device: torch.device) -> None:
        self._device = device
        self._loader = DataLoader(
            tutorial_views(config, data),
            config.batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=size.loaders,
            pin_memory=device.type == "cuda",
            persistent_workers=size.loaders > 0,
        )
        self._batches = iter(self._loader)

    def next(self) -> tuple[Tensor, ...]:
        """The views of the next batch, on the device."""
        batch = next(self._batches, None)
        if batch is None:
            self._batches = iter(self._loader)
            batch = next(self._batches)
        return tuple(view_BCHW.to(self._device, non_blocking=True) for view_BCHW in batch)
