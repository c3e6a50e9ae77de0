"""What the engine asks of a trainer: to load data, and to train one trial. byol/ is the one that ships."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from byol.config import OnBroken, Scalar, TrialConfig
from sweeps.study import Resources

if TYPE_CHECKING:  # the command line imports this module, and answers at once
    import numpy as np
    import numpy.typing as npt

DataKey = tuple[str, int, int]
"""dataset, train_images, image_size: what tells data sets apart."""


def data_key(settings: Mapping[str, Scalar]) -> DataKey:
    """The data set that a trial of these complete settings trains on."""
    return str(settings["dataset"]), int(settings["train_images"]), int(settings["image_size"])


class Images(Protocol):
    """A data set; `byol.data.ImageData` is one."""

    @property
    def train_images(self) -> "npt.NDArray[np.uint8]": ...
    @property
    def digest(self) -> str: ...


class LoadData(Protocol):
    """`byol.data.load_data`."""

    def __call__(
        self, dataset: str, *, root: Path | None, train_images: int, image_size: int, on_broken: OnBroken
    ) -> Any: ...


class Train(Protocol):
    """`byol.train.train`. Must be picklable by name, and keep no state between calls."""

    def __call__(
        self, config: TrialConfig, data: Any, *, checkpoint_folder: Path | None, checkpoint_every: int
    ) -> Iterator[Any]: ...


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """How to load data and train on it."""

    load_data: LoadData
    """Loads a data set, in the driver."""
    train: Train
    """Trains one trial, in a worker."""
    precision: Callable[[], str]
    """What precision "auto" stands for on this machine, for the manifest."""
    prepare: Callable[[Resources], None] = lambda resources: None
    """Keeps a worker's process within the resources of one trial; called before each. Picklable by name."""


def byol_trainer() -> Trainer:
    """The learner of byol/. Imports torch."""
    import torch

    from byol.data import load_data
    from byol.precision import uses_bf16

    def precision() -> str:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return "bf16" if uses_bf16("auto", device) else "fp32"

    return Trainer(load_data=load_data, train=train_byol, precision=precision, prepare=prepare_torch)


def prepare_torch(resources: Resources) -> None:
    """As many threads as the trial has CPUs, and no more of the GPU's memory than its share.

    Ray only counts GPUs: trials that share one see all of it, and the first to grow would end the others.
    """
    import torch

    torch.set_num_threads(max(1, int(resources.cpu)))
    if 0 < resources.gpu < 1 and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(resources.gpu)


def train_byol(
    config: TrialConfig, data: Any, *, checkpoint_folder: Path | None, checkpoint_every: int
) -> Iterator[Any]:
    """`byol.train.train`, imported where it runs."""
    from byol.train import train

    yield from train(config, data, checkpoint_folder=checkpoint_folder, checkpoint_every=checkpoint_every)
