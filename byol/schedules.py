"""Tables of tau and of the learning rate: one exact float64 value per optimiser step.

Pure functions of the step. The learner copies a table to the device once and reads it there with a step
counter on the device, so that no step waits for a number.

Shape suffix: K the number of optimiser steps.
"""

import math

import torch
from torch import Tensor


def _cosine_decay(fraction: Tensor) -> Tensor:
    """1 at fraction 0, 0 at fraction 1."""
    return 0.5 * (1 + torch.cos(math.pi * fraction))


def tau_table(
    *,
    base: float,
    final: float,
    schedule: str,
    per: str,
    total_steps: int,
    steps_per_epoch: int,
) -> Tensor:
    """The target's EMA coefficient for the update that follows each optimiser step.

    With k the 0-based index of the step and K their number,

    - cosine: final - (final - base) (cos(pi k / K) + 1) / 2, BYOL's own when final is 1;
    - linear: base + (final - base) k / K;
    - constant: base.

    The first value is `base`; `final` would be reached at step K, one past the last.

    `per="epoch"` keeps tau constant within an epoch: k is then the index of the epoch and K the number of
    epochs, where an incomplete last epoch counts as one. That is coarser than the paper, and is what many
    small implementations do.

    Args:
        base: tau at step 0, 0..1.
        final: tau that the schedule approaches, 0..1.
        schedule: cosine, linear or constant.
        per: step or epoch, how often tau changes.
        total_steps: K.
        steps_per_epoch: optimiser steps in one epoch, > 0.

    Returns:
        float64 [K], on the CPU.

    Raises:
        ValueError: an unknown schedule or period.

    Source: Grill et al. 2020, section 3.2; deepmind-research, byol/utils/schedules.py.
    """
    step_K = torch.arange(total_steps, dtype=torch.float64)
    if schedule == "constant":
        return torch.full_like(step_K, base)
    if per == "epoch":
        epochs = math.ceil(total_steps / steps_per_epoch)
        fraction_K = torch.floor(step_K / steps_per_epoch) / epochs
    elif per == "step":
        fraction_K = step_K / total_steps
    else:
        raise ValueError(f"tau_per must be one of step, epoch, but got {per!r}")
    if schedule == "cosine":
        return final - (final - base) * _cosine_decay(fraction_K)
    if schedule == "linear":
        return base + (final - base) * fraction_K
    raise ValueError(f"tau_schedule must be one of cosine, linear, constant, but got {schedule!r}")


def every_nth(tau_K: Tensor, every: int) -> Tensor:
    """`tau_K` [K] at each `every`-th step, the first being number `every`; 1, no update, at the others."""
    if every == 1:
        return tau_K
    is_due_K = torch.arange(1, len(tau_K) + 1, device=tau_K.device) % every == 0
    return torch.where(is_due_K, tau_K, 1.0)


def lr_table(
    *,
    lr: float,
    batch_size: int,
    schedule: str,
    total_steps: int,
    warmup_steps: int,
) -> Tensor:
    """The learning rate of each optimiser step: linear warm-up to the peak, then cosine to 0 or constant.

    The peak is lr x batch_size / 256. With k the 0-based index of the step, K their number and W the steps of
    warm-up, the rate is peak k / W while k < W, then peak (cos(pi (k - W) / (K - W)) + 1) / 2. So the first
    step of a run with warm-up has rate 0 and changes nothing, as in DeepMind's code, and step W is the first
    at the peak; without warm-up, that is step 0. The cosine would reach 0 at step K, one past the last.

    Args:
        lr: learning rate per 256 images.
        batch_size: images per optimiser step.
        schedule: cosine or constant, what follows the warm-up.
        total_steps: K.
        warmup_steps: W, less than K.

    Returns:
        float64 [K], on the CPU.

    Raises:
        ValueError: an unknown schedule, or a warm-up as long as the run, which would never reach the peak.

    Source: deepmind-research, byol/utils/schedules.py.
    """
    if warmup_steps >= total_steps > 0:
        raise ValueError(
            f"warm-up must be shorter than the run, but got {warmup_steps} steps of warm-up "
            f"in a run of {total_steps} (lower warmup_epochs, or train for longer)"
        )
    peak = lr * batch_size / 256
    step_K = torch.arange(total_steps, dtype=torch.float64)
    if schedule == "cosine":
        after_K = peak * _cosine_decay((step_K - warmup_steps) / (total_steps - warmup_steps))
    elif schedule == "constant":
        after_K = torch.full_like(step_K, peak)
    else:
        raise ValueError(f"lr_schedule must be one of cosine, constant, but got {schedule!r}")
    if warmup_steps == 0:
        return after_K
    return torch.where(step_K < warmup_steps, peak * step_K / warmup_steps, after_K)
