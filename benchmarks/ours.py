"""What the parts of the benchmarks run of this learner."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from byol.config import TrialConfig
from byol.data import ImageData, load_data
from byol.learner import Learner
from byol.precision import uses_bf16
from byol.presets import from_settings
from byol.train import batches, train

DATASET = "fashion-mnist-8k"
COLOURED = "fashion-mnist-8k-coloured"
_LONG = 100_000
"""Steps of a trial that no measurement gets to the end of."""


def configuration(**settings: Any) -> TrialConfig:
    """The default trial with `settings`, and no end in sight."""
    return from_settings({"steps": _LONG, **settings})


def images(train_images: int = 0, dataset: str = DATASET) -> ImageData:
    """The embedded images, or the first `train_images` of them to train on."""
    data = load_data(dataset, train_images=train_images)
    assert isinstance(data, ImageData)
    return data


def learner_of(config: TrialConfig, data: ImageData, device: torch.device | str = "cpu") -> Learner:
    """A learner in the precision of its configuration, as `train` builds it."""
    device = torch.device(device)
    bf16 = uses_bf16(config.precision, device)
    return Learner(config, train_images=len(data.train_images), device=device, bf16=bf16)


def views_of(
    config: TrialConfig, data: ImageData, device: torch.device | str = "cpu"
) -> Iterator[tuple[Tensor, ...]]:
    """The views of one step after another, as `train` makes them."""
    return batches(config, data, torch.device(device), 0, config.steps)


def trained_rate(
    config: TrialConfig, data: ImageData, device: torch.device | str = "cpu"
) -> Callable[[], float]:
    """A call that trains `config.eval_every` steps further, as a trial does; returns the speed it reports."""
    trial = train(config, data, device=device)
    next(trial)

    def rate() -> float:
        speed = next(trial).samples_per_second
        assert speed is not None
        return speed

    return rate
