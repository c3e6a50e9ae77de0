"""Checks this machine, or a cluster, before a sweep runs there."""

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sweeps.errors import one_line
from sweeps.record.manifest import installed_distribution
from sweeps.study import Resources, list_studies

_REQUIREMENTS = Path(__file__).parent.parent / "requirements.txt"


@dataclass(frozen=True, kw_only=True)
class Check:
    """The result of one check."""

    name: str
    """What was checked."""
    fine: bool
    """Whether it is as it should be."""
    detail: str
    """The result, or what is wrong and what to do."""


def examine(out: Path, address: str | None) -> Iterator[Check]:
    """Checks one thing after the other, the slow ones last.

    Args:
        out: where sweeps would be written.
        address: a Ray cluster; None starts Ray on this machine.
    """
    checks: tuple[tuple[str, Callable[[], str]], ...] = (
        ("python", lambda: sys.version.split()[0]),
        ("packages", _packages),
        ("studies", lambda: f"{len(list_studies())} ship, all valid"),
        ("disk", lambda: _disk(out)),
        ("data", _data),
        ("torch", _torch),
        ("ray", lambda: _ray(address)),
    )
    for name, check in checks:
        try:
            yield Check(name=name, fine=True, detail=check())
        except Exception as error:  # whatever it is, it is the result of this check
            yield Check(name=name, fine=False, detail=one_line(error) or type(error).__name__)


def _packages() -> str:
    """Compares with what the installed byol-sweeps requires, or with requirements.txt in a checkout."""
    distribution = installed_distribution()
    if distribution:
        source, lines = f"byol-sweeps {distribution.version} requires", distribution.requires or []
    else:
        source, lines = "pinned in requirements.txt", _REQUIREMENTS.read_text().splitlines()
    requirements = [line.split("#")[0].split(";")[0].strip() for line in lines]
    pins = [requirement.split("==") for requirement in requirements if "==" in requirement]
    wrong = []
    for requirement, pinned in pins:
        name = requirement.partition("[")[0]
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            installed = "missing"
        if installed.split("+")[0] != pinned:
            wrong.append(f"{name} must be {pinned}, but is {installed}")
    if wrong:
        raise ValueError("; ".join(wrong))
    return f"{len(pins)} as {source}"


def _disk(out: Path) -> str:
    folder = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    if not os.access(folder, os.W_OK):
        raise ValueError(f"{folder} is not writable")
    free_gib = shutil.disk_usage(folder).free / 2**30
    if free_gib < 1:
        raise ValueError(f"{folder} has only {free_gib:.2f} GiB free; a sweep may fail on a full disk")
    return f"{free_gib:.1f} GiB free at {folder}"


def _data() -> str:
    from byol.data import load_data

    data = load_data("fashion-mnist-8k")
    return f"embedded images are intact ({len(data.train_images)} + {len(data.test_images)})"


def _torch() -> str:
    import torch

    from byol.precision import native_bf16

    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    device = torch.device("cuda" if gpus else "cpu")
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    bf16 = "native bf16" if native_bf16(device) else "no native bf16 (fp32 is used)"
    return f"{torch.__version__}, {cores} cores, GPUs: {', '.join(gpus) or 'none'}, {bf16}"


def _ray(address: str | None) -> str:
    from sweeps.engine import runtime

    with runtime.connected(address, Resources()) as available:
        resources = f"{available.get('CPU', 0):g} CPUs, {available.get('GPU', 0):g} GPUs"
    return f"{importlib.metadata.version('ray')}, {address or 'this machine'}: {resources}"
