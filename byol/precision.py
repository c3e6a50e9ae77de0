"""Where bf16 autocast is worth using: on devices with bf16 arithmetic of their own."""

import functools
from pathlib import Path

import torch

# Intel's and AMD's bf16 dot product and Intel's AMX tiles; "bf16" is Arm's name for its own.
_CPU_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


def resolved(precision: str, device: torch.device | str) -> str:
    """What `precision` stands for on a device, "fp32" or "bf16".

    Args:
        precision: "fp32", "bf16" or "auto".
        device: where networks run.
    """
    if precision == "auto":
        return "bf16" if native_bf16(torch.device(device)) else "fp32"
    return precision


def uses_bf16(precision: str, device: torch.device) -> bool:
    """Whether networks run under bf16 autocast: as `precision` says, or by the device for "auto"."""
    return resolved(precision, device) == "bf16"


def native_bf16(device: torch.device) -> bool:
    """Whether the device has bf16 arithmetic of its own. Without it, bf16 is emulated and twice as slow."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and _cpu_has_bf16()


@functools.cache
def _cpu_has_bf16() -> bool:
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.exists() and not _CPU_FLAGS.isdisjoint(cpuinfo.read_text().split())


def at_least_float32(x: torch.Tensor) -> torch.Tensor:
    """Half precision as float32; wider types as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
