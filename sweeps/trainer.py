"""The interface between the engine and a trainer, which loads data and trains one trial. byol/ ships one."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from byol.config import OnBroken, Scalar, TrialConfig
from byol.own_parts import called
from sweeps.study import Resources

DataKey = tuple[str, int, int]
"""dataset (with the settings of one's own), train_images, image_size: together they identify a data set."""


def data_key(settings: Mapping[str, Scalar]) -> DataKey:
    """Returns the key of the data set that a trial with these complete settings trains on."""
    return called("dataset", settings), int(settings["train_images"]), int(settings["image_size"])


class Images(Protocol):
    """A data set; `byol.data.ImageData` is one."""

    @property
    def train_images(self) -> Sized: ...
    @property
    def digest(self) -> str: ...


class LoadData(Protocol):
    """The signature of `byol.data.load_data`."""

    def __call__(
        self, dataset: str, *, root: Path | None, train_images: int, image_size: int, on_broken: OnBroken
    ) -> Images: ...


class Train(Protocol):
    """The signature of `byol.train.train_in_turns`. Picklable by name; keeps no state between calls.

    Yields measurements, and None wherever another trial of the same process may have its turn.
    """

    def __call__(
        self, config: TrialConfig, data: Any, *, checkpoint_folder: Path | None, checkpoint_every: int | None
    ) -> Iterator[Any]: ...


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """Loads data and trains on it: byol/, or a simulation in tests and benchmarks."""

    load_data: LoadData
    """Loads a data set, in the driver or on a node."""
    train: Train
    """Trains one trial, in a worker."""
    precision: Callable[[], str]
    """Returns what precision "auto" means on this machine: fp32 or bf16."""
    baselines: Callable[[Any, TrialConfig], Any]
    """Returns what kNN accuracy on a data set is compared with, as `byol.measure.baselines.Baselines`."""
    check: Callable[[TrialConfig], None] = lambda config: None
    """Tries out the parts of the user's own in a configuration; raises a ValueError if one fails."""
    prepare: Callable[[Resources], None] = lambda resources: None
    """Limits a worker's process to its resources, before each trial. Picklable by name."""
    in_pack: Callable[[Iterator[Any]], Iterator[Any]] = lambda turns: turns
    """Wraps the turns of a trial that shares its process with others. Picklable by name."""
    is_broken: Callable[[], bool] = lambda: False
    """Whether this process can train no more, whatever trial it is given. Picklable by name."""


def byol_trainer() -> Trainer:
    """Returns the learner in byol/. torch is imported where it is first needed."""
    from byol.data import load_data

    return Trainer(
        load_data=load_data,
        train=train_byol,
        precision=byol_precision,
        baselines=byol_baselines,
        check=check_byol,
        prepare=prepare_torch,
        in_pack=on_own_stream,
        is_broken=gpu_is_broken,
    )


def byol_precision() -> str:
    """Returns what precision "auto" means on this machine."""
    import torch

    from byol.precision import resolved

    return resolved("auto", "cuda" if torch.cuda.is_available() else "cpu")


def byol_baselines(data: Any, config: TrialConfig) -> Any:
    """Calls `byol.measure.baselines.baselines`, imported only where it is needed."""
    from byol.measure.baselines import baselines

    return baselines(data, image_size=config.image_size, k=config.knn_k, temperature=config.knn_temperature)


def check_byol(config: TrialConfig) -> None:
    """Calls `byol.part_checks.check_parts`, imported only where there are parts."""
    from byol.part_checks import check_parts

    check_parts(config)


def prepare_torch(resources: Resources) -> None:
    """Limits a process to as many threads as it has CPUs, and to its share of the GPU's memory.

    Ray only counts GPUs. Trials that share one see all its memory, and the first to grow would take it all.
    """
    import torch

    torch.set_num_threads(max(1, int(resources.cpu)))
    if 0 < resources.gpu < 1 and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(resources.gpu)


def train_byol(
    config: TrialConfig, data: Any, *, checkpoint_folder: Path | None, checkpoint_every: int | None
) -> Iterator[Any]:
    """Calls `byol.train.train_in_turns`, imported only in the worker."""
    from byol.train import train_in_turns

    yield from train_in_turns(
        config, data, checkpoint_folder=checkpoint_folder, checkpoint_every=checkpoint_every
    )


def on_own_stream(turns: Iterator[Any]) -> Iterator[Any]:
    """Gives each trial of a process a CUDA stream, so that a GPU can work on several at the same time.

    All tensors of a trial are made in its own turns, so no stream uses what another one makes.
    """
    import torch

    if not torch.cuda.is_available():
        yield from turns
        return
    stream = torch.cuda.Stream()
    while True:
        with torch.cuda.stream(stream):
            turn = next(turns, _NO_MORE)
        if turn is _NO_MORE:
            return
        yield turn


_NO_MORE = object()


def gpu_is_broken() -> bool:
    """Whether the GPU refuses all work of this process, as after a failed assertion of a kernel."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return False
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return True
    return False
