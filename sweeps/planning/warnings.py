"""What a study may do, but may not mean to. `plan` shows it; nothing is refused."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from byol.config import EMBEDDED_SETS, NAMED_SETS, TrialConfig
from byol.own_parts import is_own
from sweeps.study import Study
from sweeps.study.samples import corner_configs

MEMORY_SHARE = 0.1
"""There is a warning where the target remembers more than this share of a trial.

The target's memory is 1 / (1 - tau) steps. In trials of 400 to 2,000 steps the learner did best where the
memory was 2 to 3 % of the trial; with a quarter of the trial it hardly left its random start."""

_OF_BATCH_NORM = ("ghost_batch", "target_statistics")
_OF_TARGET = ("tau_base", "tau_final", "tau_schedule", "tau_per", "projector_tau_base", "target_every")
_IMAGES = {
    "fashion-mnist-8k": 8_000,
    "fashion-mnist-8k-coloured": 8_000,
    "fashion-mnist": 60_000,
    "cifar10": 50_000,
    "cifar100": 50_000,
    "stl10": 5_000,
    "stl10-unlabelled": 100_000,
}
"""Training images of the named sets."""
_PIXELS = {"fashion-mnist": 28, "cifar10": 32, "cifar100": 32, "stl10": 96, "stl10-unlabelled": 96}
"""Side of the images of the named sets that are larger than the default image size, or equal to it."""


def warnings(study: Study) -> Iterator[str]:
    """What may surprise, one line each."""
    if study.search:
        configs = [config for _, config in corner_configs(study.reference, study.search)]
    else:
        configs = [cell.config for cell in study.cells()]
    yield from _data(configs)
    yield from _targets(configs)
    yield from _without_effect(configs)
    yield from _factors(study)
    if any(config.precision == "auto" for config in configs):
        yield (
            "precision is auto: bf16 where the machine has it, fp32 elsewhere; the first run decides for the "
            "whole sweep"
        )
    yield from _resources(study)


def _data(configs: Sequence[TrialConfig]) -> Iterator[str]:
    for dataset in dict.fromkeys(config.dataset for config in configs):
        if is_own(dataset):
            continue
        if dataset not in NAMED_SETS:
            if not Path(dataset.partition(":")[2]).expanduser().exists():
                yield f"{dataset} is not on this machine"
        elif dataset not in EMBEDDED_SETS:
            yield f"{dataset} is downloaded unless --data-root holds it"
    default = TrialConfig().image_size
    for dataset in dict.fromkeys(config.dataset for config in configs if config.image_size == default):
        if _PIXELS.get(dataset, default) != default:
            pixels = _PIXELS[dataset]
            yield f"image_size is {default}, the default, but the images of {dataset} have {pixels} pixels"


def _targets(configs: Sequence[TrialConfig]) -> Iterator[str]:
    long = [config for config in configs if _memory_share(config) > MEMORY_SHARE]
    if long:
        worst = max(long, key=_memory_share)
        yield (
            f"with tau_base {worst.tau_base:g} the target remembers about {_memory(worst):.0f} steps of a "
            f"trial of {_steps(worst)}, so it hardly leaves its start; 2 to 3 % is best (more than "
            f"{MEMORY_SHARE:.0%} in {len(long)} of {len(configs)} configurations)"
        )
    for config in [config for config in configs if config.tau_base == 0 and _leaves_zero(config)][:1]:
        yield (
            f"tau_base is 0, but its {config.tau_schedule} schedule goes to {config.tau_final:g}: set "
            "tau_schedule: constant for a target that is the online network"
        )


def _leaves_zero(config: TrialConfig) -> bool:
    """Whether tau moves, though the target starts as the online network."""
    return config.target_init == "copy" and config.tau_schedule != "constant" and config.tau_final != 0


def _memory(config: TrialConfig) -> float:
    return config.target_every / (1 - config.tau_base)


def _memory_share(config: TrialConfig) -> float:
    """The target's memory as a share of the trial; 0 without a moving target or a known length."""
    steps = _steps(config)
    if config.target_is_online or config.tau_base == 1 or not steps:
        return 0.0
    return _memory(config) / steps


def _steps(config: TrialConfig) -> int:
    images = config.train_images or _IMAGES.get(config.dataset, 0)
    if config.steps or not images or config.batch_size > images:
        return config.steps
    return config.total_steps(images)


def _without_effect(configs: Sequence[TrialConfig]) -> Iterator[str]:
    """Settings that no configuration uses in which they are not at their defaults."""
    default = TrialConfig()
    for names, uses, reason in (
        (_OF_BATCH_NORM, _has_batch_norm, "has a BatchNorm"),
        (_OF_TARGET, _has_target, "predicts a target (regression_weight and negatives_weight are 0)"),
    ):
        for name in names:
            setting = [config for config in configs if getattr(config, name) != getattr(default, name)]
            if setting and not any(map(uses, setting)):
                yield f"{name} has no effect: no configuration that sets it {reason}"


def _has_batch_norm(config: TrialConfig) -> bool:
    """A native encoder may have one."""
    heads = (
        config.projector_norm == "batch" and config.projector_depth > 0,
        config.predictor_norm == "batch" and config.predictor in ("mlp", "frozen"),
    )
    return config.encoder_norm in ("batch", "native") or any(heads)


def _has_target(config: TrialConfig) -> bool:
    """With tau 0 a study says that it has none, and means it."""
    return config.has_pairs or config.target_is_online


def _factors(study: Study) -> Iterator[str]:
    for factor in study.factors:
        if len(factor.levels) == 1:
            yield f"the factor {factor.name} has one level, so it varies nothing"


def _resources(study: Study) -> Iterator[str]:
    trial = "a trial" if study.resources.pack == 1 else "a pack"
    if study.resources.gpu and not any(Path("/dev").glob("nvidia[0-9]*")):
        yield f"{trial} asks for {study.resources.gpu:g} GPU, and this machine has none"
    if study.resources.cpu > (os.cpu_count() or 1):
        yield f"{trial} asks for {study.resources.cpu:g} CPUs, and this machine has {os.cpu_count()}"
