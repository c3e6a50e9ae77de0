"""Several trials on one GPU: one after the other, on streams, as CUDA graphs, stacked, as processes.

What counts is the samples a second of all trials together. Without a GPU everything runs at toy size on the
CPU, to see that it runs, and the page says "not measured". Needs neither Ray nor pandas.

Shape suffixes: M trials, B batch, C channels, H height, W width.
"""

import contextlib
import copy
import itertools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, multiprocessing, nn

from benchmarks.on_gpu import as_measured, captured, coloured, eager, seconds_each, tried, wait, where
from benchmarks.ours import configuration, learner_of, views_of
from benchmarks.report import Report, Table
from byol.config import TrialConfig
from byol.data import ImageData
from byol.learner import Learner

Act = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large everything is."""

    settings: dict[str, dict[str, Any]]
    """What is trained -> its settings."""
    trials: tuple[int, ...]
    """How many at the same time; 1 is the first."""
    seconds: float
    """How long each is timed."""
    images: int
    processes: bool
    """Whether processes are among the ways; each takes seconds to start."""


_HEADS = {"projector_width": 512, "projector_size": 128, "predictor_width": 512}
_SMALL = {"projector_width": 16, "projector_size": 8, "predictor_width": 16}
FULL = Size(
    settings={
        "tiny encoder, 32 px, batch 256": {"image_size": 32, "batch_size": 256, **_HEADS},
        "resnet18, 32 px, batch 256": {
            "encoder": "resnet18",
            "image_size": 32,
            "batch_size": 256,
            **_HEADS,
        },
    },
    trials=(1, 2, 4, 8),
    seconds=2.0,
    images=8_192,
    processes=True,
)
TOY = Size(
    settings={"tiny encoder": {"image_size": 8, "batch_size": 8, **_SMALL}},
    trials=(1, 2),
    seconds=0.0,
    images=64,
    processes=False,
)
"""On the CPU."""


def measure(*, long: bool = False, size: Size | None = None) -> Report:
    """Measures on the GPU, or tries everything at toy size on the CPU.

    Args:
        long: five times the time.
        size: how large; None is FULL on a GPU and TOY without one.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = size or (FULL if device.type == "cuda" else TOY)
    duration = size.seconds * (5 if long else 1)
    data = coloured(size.images)
    tables = []
    for title, settings in size.settings.items():
        config = configuration(precision="bf16", **settings)
        tables.append(_table(title, config, data, size, duration, device))
    setup = (
        "Samples a second of all trials together, bf16, channels_last; made-up colour images, each trial "
        f"with a seed of its own. One run of about {duration:g} s each, after a warm-up."
    )
    if device.type == "cpu":
        setup += " **There was no GPU**: all ran at toy size on the CPU, and nothing was measured."
    return Report(
        title="Several trials on one GPU",
        setup=setup,
        tables=as_measured(tables, device),
        machine=where(device),
    )


def _table(
    title: str, config: TrialConfig, data: ImageData, size: Size, duration: float, device: torch.device
) -> Table:
    """Rows: the ways; columns: how many trials at the same time."""
    ways = dict(_WAYS)
    if device.type == "cpu":
        ways = {name: way for name, way in ways.items() if "graph" not in name}
    rates: dict[str, list[float | None]] = {}
    for name, way in ways.items():
        rates[name] = []
        for trials in size.trials:
            print(f"gpu_packs: {title}: {name}, {trials}", file=sys.stderr, flush=True)
            rates[name].append(_rate(way, config, data, trials, duration, device))
    if size.processes:
        for whole in (False, True):
            name = f"processes{', views included' if whole else ''}"
            rates[name] = [_processes(config, size, trials, duration, whole) for trials in size.trials]
    rows = []
    for name, measured in rates.items():
        alone = measured[0]
        cells = [
            "failed" if rate is None or not alone else f"{rate:,.0f} ({rate / alone:.2f})"
            for rate in measured
        ]
        rows.append((name, *cells))
    columns = ("way", *[f"{trials} at a time (times 1)" for trials in size.trials])
    note = (
        "On views that lie ready, unless `views included`. `stacked` has forward and backward of the online "
        "network alone; its row is to be compared with `forward and backward, one after the other`."
    )
    return Table(title=title.capitalize(), columns=columns, rows=rows, note=note)


def _rate(
    way: "Callable[[list[_Trial], torch.device], Act]",
    config: TrialConfig,
    data: ImageData,
    trials: int,
    duration: float,
    device: torch.device,
) -> float | None:
    """Samples a second of so many trials together; None if it fails, which is said."""

    def make() -> Act:
        return way([_Trial(config, data, seed, device) for seed in range(trials)], device)

    act = tried(way.__name__, make, device)
    if act is None:
        return None
    each = seconds_each(act, 3, device)
    return trials * config.batch_size / seconds_each(act, max(1, int(duration / each)), device)


class _Trial:
    """A learner and its views, four steps of which lie ready."""

    def __init__(self, config: TrialConfig, data: ImageData, seed: int, device: torch.device) -> None:
        self.config = replace(config, seed=seed)
        self.learner: Learner = learner_of(self.config, data, device)
        self.made = views_of(self.config, data, device)
        self.ready = list(itertools.islice(self.made, 4))

    def step_with_views(self) -> None:
        """Makes views and does a step on them."""
        self.learner.step(*next(self.made))


def _in_turn(acts: list[Act]) -> Act:
    def act() -> None:
        for each in acts:
            each()

    return act


def _on_streams(acts: list[Act], device: torch.device) -> Act:
    """Each call on a stream of its own, all launched by this thread."""
    if device.type == "cpu":
        return _in_turn(acts)
    streams = [torch.cuda.Stream(device) for _ in acts]

    def act() -> None:
        for each, stream in zip(acts, streams, strict=True):
            with torch.cuda.stream(stream):
                each()

    wait(device)
    return act


def _one_after_other(trials: list[_Trial], device: torch.device) -> Act:
    return _in_turn([eager(trial.learner, trial.ready) for trial in trials])


def _streams(trials: list[_Trial], device: torch.device) -> Act:
    return _on_streams([eager(trial.learner, trial.ready) for trial in trials], device)


def _streams_with_views(trials: list[_Trial], device: torch.device) -> Act:
    return _on_streams([trial.step_with_views for trial in trials], device)


def _graphs(trials: list[_Trial], device: torch.device) -> Act:
    return _in_turn([captured(trial.learner, trial.ready) for trial in trials])


def _graphs_on_streams(trials: list[_Trial], device: torch.device) -> Act:
    return _on_streams([captured(trial.learner, trial.ready) for trial in trials], device)


def _plain_networks(trials: list[_Trial], device: torch.device) -> Act:
    """Forward and backward of each online network by itself: what `_stacked` is compared with."""

    def one(trial: _Trial) -> Act:
        network = _Network(trial.learner)
        turns = itertools.cycle(trial.ready)
        bf16 = trial.learner.bf16

        def act() -> None:
            network.zero_grad(set_to_none=True)
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
                loss = network(*next(turns)[:2])
            loss.backward()

        return act

    return _in_turn([one(trial) for trial in trials])


def _stacked(trials: list[_Trial], device: torch.device) -> Act:
    """All online networks as one, by torch.func: their weights have one more dimension."""
    networks = [_Network(trial.learner) for trial in trials]
    parameters, buffers = torch.func.stack_module_state(networks)
    skeleton = copy.deepcopy(networks[0]).to("meta")
    bf16 = trials[0].learner.bf16

    def loss(weights: Any, statistics: Any, view1_BCHW: Tensor, view2_BCHW: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            value: Tensor = torch.func.functional_call(
                skeleton, (weights, statistics), (view1_BCHW, view2_BCHW)
            )
        return value

    gradients = torch.func.vmap(torch.func.grad(loss))
    views = [
        tuple(torch.stack(same) for same in zip(*each, strict=True))
        for each in zip(*(trial.ready for trial in trials), strict=True)
    ]
    turns = itertools.cycle(views)
    return lambda: gradients(parameters, buffers, *next(turns)[:2])


class _Network(nn.Module):
    """Online network and predictor on two views, with a loss that has the cost of the learner's own."""

    def __init__(self, learner: Learner) -> None:
        super().__init__()
        self.online, self.predictor = learner.online, learner.predictor

    def forward(self, view1_BCHW: Tensor, view2_BCHW: Tensor) -> Tensor:
        """Views -> a 0-dim tensor."""
        q1, q2 = (self.predictor(self.online(x)[1]).float() for x in (view1_BCHW, view2_BCHW))
        return -nn.functional.cosine_similarity(q1, q2).mean()


_WAYS: dict[str, Callable[[list[_Trial], torch.device], Act]] = {
    "one after the other": _one_after_other,
    "streams": _streams,
    "streams, views included": _streams_with_views,
    "CUDA graphs, one after the other": _graphs,
    "CUDA graphs on streams": _graphs_on_streams,
    "forward and backward, one after the other": _plain_networks,
    "stacked": _stacked,
}
"""Name -> what makes the call that does one step of every trial."""


def _processes(config: TrialConfig, size: Size, trials: int, duration: float, whole: bool) -> float | None:
    """Samples a second of so many processes, each with one trial; None if one fails."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(trials), context.Queue()
    arguments = (config, size.images, duration, whole, barrier, results)
    processes = [context.Process(target=_child, args=(seed, *arguments)) for seed in range(trials)]
    for process in processes:
        process.start()
    rates = []
    with contextlib.suppress(Exception):  # a process that has died answers nothing
        rates = [results.get(timeout=180 + duration) for _ in processes]
    for process in processes:
        process.join(10)
        if process.is_alive():
            process.kill()
    return sum(rates) if len(rates) == trials else None


def _child(
    seed: int, config: TrialConfig, images: int, duration: float, whole: bool, barrier: Any, results: Any
) -> None:
    """One process: its own samples a second, while the others run."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(1)
    trial = _Trial(config, coloured(images), seed, device)
    step = trial.step_with_views if whole else eager(trial.learner, trial.ready)
    seconds_each(step, 10, device)
    barrier.wait(120)
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < duration or not steps:
        seconds_each(step, 5, device)
        steps += 5
    results.put(steps * config.batch_size / (time.perf_counter() - start))
