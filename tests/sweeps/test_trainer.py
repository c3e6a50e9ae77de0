"""How the learner in byol/ keeps a worker within its trial's resources."""

import pytest
import torch

from sweeps.study import Resources
from sweeps.trainer import byol_trainer


@pytest.mark.parametrize(("gpu", "shares"), [(0.25, [0.25]), (0.0, []), (1.0, []), (2.0, [])])
def test_threads_match_cpus_and_a_share_of_a_gpu_limits_its_memory(
    gpu: float, shares: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    limits: list[float] = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", limits.append)
    for cpu in (0.5, 1, 4):
        byol_trainer().prepare(Resources(cpu=cpu, gpu=gpu))
    assert threads == [1, 1, 4]
    assert limits == 3 * shares


@pytest.mark.parametrize(("used", "refuses"), [(False, False), (True, False), (True, True)])
def test_a_process_is_broken_when_its_gpu_refuses_all_work(
    used: bool, refuses: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def synchronize() -> None:
        assert used, "it would take the GPU"
        if refuses:
            raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: used)
    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    assert byol_trainer().is_broken() == refuses
