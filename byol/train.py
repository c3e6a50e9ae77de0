"""The training loop of one trial: views, steps, measurements, checkpoints.

Start reading here: `train` calls `Learner.step` (learner.py) on the views of a batch (views.py), and measures
collapse on test images (measure/measurer.py).

Shape suffixes: B batch, C channels, H height, W width.
"""

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from byol import checkpoint
from byol.config import TrialConfig
from byol.data import Images, StreamedImages
from byol.data.streaming import streamed_batches
from byol.learner import Encoder, Learner
from byol.measure.measurer import Measurer, on_device
from byol.measure.metrics import Metrics
from byol.precision import uses_bf16
from byol.pulse import beat
from byol.seeding import epoch_order
from byol.views import draw_views, make_view


def train(
    config: TrialConfig,
    data: Images,
    *,
    device: torch.device | str | None = None,
    encoder: Encoder | None = None,
    checkpoint_folder: Path | None = None,
    checkpoint_every: int | None = 0,
) -> Iterator[Metrics]:
    """Trains one trial and yields a measurement at step 0, every `config.eval_every` steps and at the end.

    A loss that is no longer finite ends the trial after the measurement that shows it. With a checkpoint
    folder, training resumes from the state saved there, with the same metrics as without the interruption
    (bit for bit on the CPU), and saves the trained encoder there at the end. A damaged state is skipped for
    the one before it, with a warning; one of other code, versions or data is removed.

    Args:
        config: the trial.
        data: training and test images; `config.dataset` is not read.
        device: where to train; None is the GPU if there is one, else the CPU.
        encoder: a module [B, 3, S, S] -> [B, F] and its F, instead of the one that `config` names.
        checkpoint_folder: where state and encoder are saved; None saves nothing.
        checkpoint_every: steps between saved states; 0 saves none, and None saves them by time, every few
            minutes (`byol.checkpoint`).

    Raises:
        ConfigError: the configuration does not fit the data (batch size, warm-up, neighbours) or the encoder.
        DataError: a streamed image cannot be read, and the data says that this is an error.
        Stopped: `byol.pulse` told it to end; its state is saved.

    >>> from byol.data import load_data
    >>> from byol.presets import from_settings
    >>> settings = {"image_size": 12, "batch_size": 64, "steps": 2, "eval_every": 1, "eval_images": 64}
    >>> config, data = from_settings(settings), load_data("fashion-mnist-8k", train_images=128)
    >>> for metrics in train(config, data, device="cpu"):
    ...     print(metrics.step, metrics.epoch, "-" if metrics.loss is None else metrics.loss > 0)
    0 0.0 -
    1 0.5 True
    2 1.0 True
    """
    turns = train_in_turns(
        config,
        data,
        device=device,
        encoder=encoder,
        checkpoint_folder=checkpoint_folder,
        checkpoint_every=checkpoint_every,
    )
    yield from (metrics for metrics in turns if metrics is not None)


def train_in_turns(
    config: TrialConfig,
    data: Images,
    *,
    device: torch.device | str | None = None,
    encoder: Encoder | None = None,
    checkpoint_folder: Path | None = None,
    checkpoint_every: int | None = 0,
) -> Iterator[Metrics | None]:
    """As `train`, but also yields None after each step that is not measured.

    So one thread can train several trials, a step of each in turn. On a CPU each has the numbers that it has
    alone, and `samples_per_second` counts the time of its own turns. On a GPU its work goes on during the
    turns of others, so that its speed says little.

    Args, raises:
        as `train`.
    """
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    learner = Learner(
        config,
        train_images=len(data.train_images),
        device=device,
        bf16=uses_bf16(config.precision, device),
        encoder=encoder,
    )
    start = checkpoint.load_state(learner, checkpoint_folder, data=data.digest) if checkpoint_folder else 0
    measurer = Measurer(config, data, learner)
    if start == 0:
        yield measurer.measure(step=0, loss=None, samples_per_second=None)
    saver = None
    if checkpoint_folder:
        saver = checkpoint.Saver(learner, checkpoint_folder, data=data.digest, every=checkpoint_every)
    yield from _loop(learner, measurer, data, start, saver)
    if checkpoint_folder:
        about = {"dataset": data.name, "mean": str(list(data.mean)), "std": str(list(data.std))}
        checkpoint.save_encoder(learner, checkpoint_folder, about)


def _loop(
    learner: Learner,
    measurer: Measurer,
    data: Images,
    start: int,
    saver: checkpoint.Saver | None,
) -> Iterator[Metrics | None]:
    config, total = learner.config, learner.total_steps
    last_measured, measured_at = start, 0.0
    seconds, turn_began = 0.0, time.perf_counter()  # of its own turns
    for step, views in enumerate(batches(config, data, learner.device, start, total), start + 1):
        beat()
        learner.step(*views)
        if step % config.eval_every == 0 or step == total:
            steps = config.eval_every if step % config.eval_every == 0 else step % config.eval_every
            loss = learner.take_loss().item() / steps
            images = (step - last_measured) * config.batch_size
            speed = images / (seconds + time.perf_counter() - turn_began - measured_at)
            metrics = measurer.measure(step=step, loss=loss, samples_per_second=speed)
            seconds += time.perf_counter() - turn_began
            yield metrics
            if not (math.isfinite(loss) and math.isfinite(metrics.representation_std)):
                return
            last_measured, measured_at = step, seconds
        else:
            seconds += time.perf_counter() - turn_began
            yield None
        turn_began = time.perf_counter()
        if saver and step < total:
            saver.after(step, seconds)


def batches(
    config: TrialConfig, data: Images, device: torch.device, start: int, total: int
) -> Iterator[tuple[Tensor, ...]]:
    """The views of each step from `start` to `total`, on the device: float32 [B, 3, S, S] each.

    Order and draws of a step depend on the seed and the step alone. So a resumed trial trains on the same
    batches as one that was not interrupted, and a streamed set on the same as one in memory.
    """
    if isinstance(data, StreamedImages):
        for batch in streamed_batches(
            config, data, start=start, total=total, pin_memory=device.type == "cuda"
        ):
            yield _views(config, data, batch.crops.unbind(), batch.draws.unbind(), device, cropped=True)
        return
    images = on_device(data.train_images, device)
    per_epoch = config.steps_per_epoch(len(images))
    order = torch.empty(0)
    for step in range(start, total):
        epoch, position = divmod(step, per_epoch)
        if position == 0 or step == start:
            order = _copied_to(device, epoch_order(config.seed, epoch, len(images)))
        indices_B = order[position * config.batch_size : (position + 1) * config.batch_size]
        batch_BCHW = images.index_select(0, indices_B)
        draws = draw_views(config.seed, step, len(indices_B), config.view_count)
        draws = tuple(_copied_to(device, draws_BS) for draws_BS in draws)
        yield _views(config, data, [batch_BCHW] * config.view_count, draws, device, cropped=False)


def _copied_to(device: torch.device, tensor: Tensor) -> Tensor:
    """A CPU tensor on the device, copied without waiting, for which CUDA needs page-locked memory."""
    source = tensor.pin_memory() if device.type == "cuda" else tensor
    return source.to(device, non_blocking=True)


def _views(
    config: TrialConfig,
    data: Images,
    images: Sequence[Tensor],
    draws: Sequence[Tensor],
    device: torch.device,
    *,
    cropped: bool,
) -> tuple[Tensor, ...]:
    """All views of a batch; images and draws that are not on the device are copied there without waiting."""
    return tuple(
        make_view(
            images_BCHW.to(device, non_blocking=True),
            draws_BS.to(device, non_blocking=True),
            settings,
            size=config.image_size,
            mean=data.mean,
            std=data.std,
            cropped=cropped,
        )
        for images_BCHW, draws_BS, settings in zip(images, draws, config.view_settings, strict=True)
    )
