"""What a sweep needs of this machine: packages, memory, data, torch and its GPUs."""

import importlib.metadata
import os
import shutil
import sys
from pathlib import Path

from sweeps.doctor.check import Trouble
from sweeps.record.manifest import installed_distribution
from sweeps.study import list_studies

REQUIREMENTS = Path(__file__).parents[2] / "requirements.txt"
"""The pins of a checkout."""
MEMINFO, CGROUP, SHM = Path("/proc/meminfo"), Path("/sys/fs/cgroup"), Path("/dev/shm")
NVIDIA = Path("/proc/driver/nvidia/version")
LEAST_MEMORY_GIB = 2.0
"""A driver, Ray and one worker take about this much."""
LEAST_SHARED_GIB = 1.0
"""Data reach the workers through shared memory; Docker gives a container 64 MB."""


def python() -> str:
    """The version of Python."""
    return sys.version.split()[0]


def packages() -> str:
    """Compares with what the installed byol-sweeps requires, or with requirements.txt in a checkout."""
    distribution = installed_distribution()
    if distribution:
        source, lines = f"byol-sweeps {distribution.version} requires", distribution.requires or []
    else:
        source, lines = "pinned in requirements.txt", REQUIREMENTS.read_text().splitlines()
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
        raise Trouble("; ".join(wrong), "install byol-sweeps again, in a checkout by `make sweep`")
    return f"{len(pins)} as {source}"


def studies() -> str:
    """Whether the studies that ship can be read."""
    return f"{len(list_studies())} ship, all valid"


def memory() -> str:
    """What is free of the machine's memory, or of the container's."""
    if not MEMINFO.exists():
        return "unknown on this system"
    lines = dict(line.split(":") for line in MEMINFO.read_text().splitlines() if ":" in line)
    free, where = int(lines["MemAvailable"].split()[0]) / 2**20, "of this machine"
    limit = CGROUP / "memory.max"
    if limit.exists() and limit.read_text().strip().isdecimal():
        left = (int(limit.read_text()) - _used_in_container()) / 2**30
        if left < free:
            free, where = left, "of this container"
    if free < LEAST_MEMORY_GIB:
        raise Trouble(
            f"only {free:.1f} GiB {where} are free, and Ray kills workers when memory is short",
            f"end other programs or give the container more: {LEAST_MEMORY_GIB:g} GiB for one worker, 1 GiB "
            "for each further one; `run --workers 1` takes the least",
        )
    return f"{free:.1f} GiB {where} are free"


def _used_in_container() -> int:
    """Bytes in use, without the cache of files, which gives way; Ray counts so too."""
    stat = CGROUP / "memory.stat"
    counts = dict(line.split() for line in stat.read_text().splitlines()) if stat.exists() else {}
    cached = sum(int(counts.get(name, 0)) for name in ("inactive_file", "active_file"))
    return int((CGROUP / "memory.current").read_text()) - cached


def shared_memory() -> str:
    """Room in /dev/shm, through which Ray passes data to workers."""
    if not SHM.exists():
        return "not used on this system"
    free = shutil.disk_usage(SHM).free / 2**30
    if free < LEAST_SHARED_GIB:
        raise Trouble(
            f"{SHM} has only {free:.2f} GiB free, so Ray passes data through files instead, slowly",
            "start the container with more, such as `docker run --shm-size=4g`; on Kubernetes mount an "
            "emptyDir of medium Memory there",
        )
    return f"{free:.1f} GiB free in {SHM}"


def data() -> str:
    """Whether the embedded images have the published digest."""
    from byol.data import DataError, load_data

    try:
        images = load_data("fashion-mnist-8k")
    except (DataError, OSError) as error:
        raise Trouble(str(error), "`git checkout byol/data/assets`, or install byol-sweeps again") from None
    return f"embedded images are intact ({len(images.train_images)} + {len(images.test_images)})"


def torch_build() -> str:
    """The version of torch, the cores, and whether bf16 is native."""
    import torch

    from byol.precision import native_bf16

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    bf16 = "native bf16" if native_bf16(device) else "no native bf16 (fp32 is used)"
    return f"{torch.__version__}, {cores} cores, {bf16}"


def gpus() -> str:
    """Multiplies two matrices on each GPU."""
    import torch

    if not torch.cuda.is_available():
        if NVIDIA.exists():
            raise Trouble(
                f"this machine has an NVIDIA driver, but torch {torch.__version__} finds no GPU",
                "install the build of torch that fits the driver (`nvidia-smi` shows its CUDA version), and "
                "look at CUDA_VISIBLE_DEVICES",
            )
        return "none; trials run on the CPU"
    found = []
    for index in range(torch.cuda.device_count()):
        name = torch.cuda.get_device_name(index)
        try:
            product = torch.ones(256, 256, device=f"cuda:{index}") @ torch.ones(
                256, 256, device=f"cuda:{index}"
            )
            wrong = bool((product != 256).any())
            free = torch.cuda.mem_get_info(index)[0] / 2**30
        except RuntimeError as error:
            raise Trouble(
                f"GPU {index} ({name}): {error}",
                "`nvidia-smi` shows who uses it, and its errors; CUDA_VISIBLE_DEVICES leaves it out",
            ) from None
        if wrong:
            raise Trouble(
                f"GPU {index} ({name}) multiplies wrongly", "take it out by CUDA_VISIBLE_DEVICES; test it"
            )
        found.append(f"{name} ({free:.0f} GiB free)")
    return ", ".join(found)
