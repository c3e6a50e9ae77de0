"""Work in a thread beside: its result, and that the process ends with its own exit status meanwhile."""

import subprocess
import sys

import pytest

from sweeps.beside import beside

ENDS_MEANWHILE = """
import threading

import run_sweep
from sweeps.beside import beside

started = threading.Event()


def work() -> None:
    import torch

    x = torch.randn(1500, 1500)
    started.set()
    while True:
        x = (x @ x).tanh() + torch.cat([x, x]).topk(3, dim=0)[0].sum()


beside(work)
started.wait()
print("what is wrong", end="")
run_sweep.main = lambda: 2
run_sweep.command()
"""


def test_the_result_or_the_error_comes_with_the_future() -> None:
    assert beside(lambda: 3).result(10) == 3
    with pytest.raises(ZeroDivisionError):
        beside(lambda: 1 / 0).result(10)


@pytest.mark.timeout(60)
def test_a_process_ends_at_once_and_with_its_status_while_torch_is_at_work() -> None:
    command = [sys.executable, "-c", ENDS_MEANWHILE]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "what is wrong", "")
