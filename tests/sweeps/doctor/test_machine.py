"""Checks of the machine: each is seen to fail, and says what to do."""

import importlib.metadata
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from sweeps.doctor import machine
from sweeps.doctor.check import Check, examined


def result(check: Callable[[], str]) -> Check:
    [found] = examined({"it": check})
    assert found.fine == (not found.remedy), "what is wrong has a remedy, and nothing else has"
    return found


def test_a_sound_environment_is_called_so() -> None:
    for check in (machine.python, machine.packages, machine.studies, machine.memory, machine.torch_build):
        assert result(check).fine, result(check)


def test_packages_are_compared_with_the_pins_of_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numpy = importlib.metadata.version("numpy")
    requirements = tmp_path / "requirements.txt"
    monkeypatch.setattr(machine, "REQUIREMENTS", requirements)
    requirements.write_text(
        f"# Pinned.\n-r other.txt\nnumpy=={numpy}  # arrays\nray[tune]==0.1; python_version > '3'\n"
    )
    found = result(machine.packages)
    assert (found.fine, found.detail) == (
        False, f"ray must be 0.1, but is {importlib.metadata.version('ray')}",
    )  # fmt: skip
    requirements.write_text(f"numpy=={numpy}\nno-such-package==1.0\n")
    found = result(machine.packages)
    assert (found.fine, found.detail) == (False, "no-such-package must be 1.0, but is missing")
    requirements.write_text(f"numpy=={numpy}\n")
    found = result(machine.packages)
    assert (found.fine, found.detail) == (True, "1 as pinned in requirements.txt")


def test_a_study_that_does_not_ship_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ValueError("studies/a.yaml:3: name: must be a text")

    monkeypatch.setattr(machine, "list_studies", broken)
    assert result(machine.studies).detail == "studies/a.yaml:3: name: must be a text"


def test_memory_of_the_machine_and_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meminfo = tmp_path / "meminfo"
    monkeypatch.setattr(machine, "MEMINFO", meminfo)
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    meminfo.write_text("MemTotal: 9000000 kB\nMemAvailable: 1048576 kB\n")
    found = result(machine.memory)
    assert (found.fine, found.detail.startswith("only 1.0 GiB of this machine")) == (False, True)
    meminfo.write_text(f"MemAvailable: {16 * 2**20} kB\n")
    assert result(machine.memory).detail == "16.0 GiB of this machine are free"
    (tmp_path / "memory.max").write_text(f"{4 * 2**30}\n")
    (tmp_path / "memory.current").write_text(f"{3 * 2**30}\n")
    found = result(machine.memory)
    assert (found.fine, found.detail.startswith("only 1.0 GiB of this container")) == (False, True)
    (tmp_path / "memory.stat").write_text(f"anon 1\ninactive_file {2**29}\nactive_file {2**30}\n")
    assert result(machine.memory).detail == "2.5 GiB of this container are free", "the cache gives way"
    (tmp_path / "memory.max").write_text("max\n")
    assert result(machine.memory).fine


def test_shared_memory_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SHM", tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=64 * 2**20))
    found = result(machine.shared_memory)
    assert (found.fine, "--shm-size" in found.remedy) == (False, True)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**31))
    assert result(machine.shared_memory).fine


def test_embedded_images_that_are_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from byol.data import named_sets

    assets = tmp_path / "assets"
    shutil.copytree(named_sets.ASSETS, assets)
    monkeypatch.setattr(named_sets, "ASSETS", assets)
    assert result(machine.data).fine
    [image, *_] = sorted(assets.glob("*.png"))
    image.write_bytes(image.read_bytes()[:-1] + b"\0")
    found = result(machine.data)
    assert (found.fine, "sha256 must be" in found.detail) == (False, True)


def test_a_gpu_that_is_not_found_fails_or_miscounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = result(machine.gpus)
    assert found.fine == (not machine.NVIDIA.exists())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "a GPU")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (3 * 2**30, 4 * 2**30))
    ones = torch.ones
    monkeypatch.setattr(torch, "ones", lambda *size, device: ones(*size))
    assert result(machine.gpus).detail == "a GPU (3 GiB free)"
    monkeypatch.setattr(torch, "ones", lambda *size, device: 1.5 * ones(*size))
    assert "multiplies wrongly" in result(machine.gpus).detail

    def busy(*size: int, device: str) -> None:
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(torch, "ones", busy)
    assert result(machine.gpus).detail == "GPU 0 (a GPU): CUDA error: out of memory"


def test_a_driver_without_a_gpu_in_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine, "NVIDIA", tmp_path)
    found = result(machine.gpus)
    assert (found.fine, "finds no GPU" in found.detail) == (False, True)
