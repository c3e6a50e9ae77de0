"""A trainer that only pretends to train: learning curves as in a textbook, at no cost.

The tests and `python -m benchmarks` try and time the engine with it. As in a real trial, the measurements
depend only on the configuration.
"""

import dataclasses
import hashlib
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from byol.config import OnBroken, TrialConfig
from byol.pulse import Stopped, is_told_to_end
from sweeps.record.rows import Baselines, MetricsRow
from sweeps.trainer import Images, Trainer

SAMPLES_PER_SECOND = 1000.0
"""The speed that every trial reports."""


@dataclass(frozen=True, kw_only=True)
class SimulatedMetrics(MetricsRow):
    """The fields of `byol.measure.metrics.Metrics`, which needs torch."""

    representation_spectrum: npt.NDArray[np.float32]
    projection_spectrum: npt.NDArray[np.float32]
    probe_accuracy: float | None = None
    lidar: float | None = None
    projection_lidar: float | None = None
    own: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SimulatedImages:
    """The parts of `byol.data.ImageData` that the engine reads."""

    train_images: npt.NDArray[np.uint8]
    """uint8 [N, 1, 1, 1]."""
    digest: str
    """Identifies the content."""
    name: str
    """The name of the data set."""


def load_data(
    dataset: str,
    *,
    root: Path | None = None,
    train_images: int = 0,
    image_size: int = 28,
    on_broken: OnBroken = "fail",
) -> SimulatedImages:
    """Returns a data set of `train_images` black images, by default 1,000."""
    images = np.zeros((train_images or 1000, 1, 1, 1), np.uint8)
    return SimulatedImages(train_images=images, digest=f"simulated-{len(images)}", name=dataset)


def train(
    config: TrialConfig,
    data: Images,
    *,
    checkpoint_folder: Path | None = None,
    checkpoint_every: int | None = 0,
) -> Iterator[SimulatedMetrics]:
    """Pretends to train. The representation collapses unless the encoder has batch statistics.

    The kNN accuracy peaks at an lr of 0.1 and falls off smoothly on both sides. Three settings have a special
    meaning: with `lr` above 100 the trial diverges halfway, with `momentum` 0.123 it raises an error, and
    `weight_decay` above 1 is the number of seconds that it takes.
    """
    total = config.total_steps(len(data.train_images))
    steps = sorted({*range(0, total + 1, config.eval_every), total})
    identity = repr(dataclasses.replace(config, precision="fp32"))  # the precision changes nothing here
    noise = np.random.default_rng(int(hashlib.sha256(identity.encode()).hexdigest()[:12], 16))
    for step in steps:
        if config.momentum == 0.123 and step > 0:
            raise RuntimeError("simulated failure\nof two lines")
        if config.weight_decay > 1 and step > 0:
            time.sleep(config.weight_decay / (len(steps) - 1))
        yield _metrics(config, step, total, float(noise.random()))
        if config.lr > 100 and step >= total / 2:
            return
        if checkpoint_every != 0 and step < total and is_told_to_end():
            raise Stopped  # there is nothing to save: it begins again


def _metrics(config: TrialConfig, step: int, total: int, noise: float) -> SimulatedMetrics:
    survives = config.encoder_norm == "batch"
    share = step / total
    std = (0.8 if survives else 0.3 * math.exp(-8 * share)) + 0.01 * noise
    projection_survives = survives and config.projector_norm == "batch" and config.predictor != "none"
    projection_std = (0.85 if projection_survives else 0.3 * math.exp(-8 * share)) + 0.01 * noise
    loss = None if step == 0 else (math.nan if config.lr > 100 and share >= 0.5 else 2 * projection_std)
    knn_is_due = step in (0, total) or (config.knn_every > 0 and step % config.knn_every == 0)
    spectrum = (std**2 * np.exp(-np.arange(16) / 4)).astype(np.float32)
    return SimulatedMetrics(
        step=step,
        epoch=share,
        loss=loss,
        representation_std=std,
        projection_std=projection_std,
        effective_rank=12.0 * std + 1,
        projection_effective_rank=12.0 * projection_std + 1,
        alignment=0.2,
        uniformity=-2.0 * std,
        positive_cosine=0.9,
        negative_cosine=1 - std,
        knn_accuracy=_knn(config, share) + 0.02 * noise if knn_is_due else None,
        tau=config.tau_base,
        lr=config.lr,
        samples_per_second=None if step == 0 else SAMPLES_PER_SECOND,
        representation_spectrum=spectrum,
        projection_spectrum=spectrum,
    )


def _knn(config: TrialConfig, share: float) -> float:
    """Returns the accuracy without noise after a share of the steps; 0.1 is chance."""
    if config.encoder_norm != "batch":
        return 0.1
    best = 0.6 / (1 + math.log10(max(config.lr, 1e-9) / 0.1) ** 2)
    return 0.1 + best * (0.4 + 0.6 * share)


def baselines(data: object, config: TrialConfig) -> Baselines:
    """Ten classes, of which raw pixels tell half of the images."""
    return Baselines(pixels=0.5, chance=0.1, test_images=1000)


TRAINER = Trainer(load_data=load_data, train=train, precision=lambda: "fp32", baselines=baselines)
"""The simulated trainer."""
