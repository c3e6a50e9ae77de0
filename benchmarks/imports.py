"""What the processes of a sweep import, and how long that takes: each side in a new process."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.report import Report, Table
from benchmarks.side_by_side import take_turns

SIDES = {
    "torch": "import torch",
    "torch, an optimiser": "import torch; torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)",
    "plan": "import run_sweep; from sweeps.planning import plan, render",
    "driver": (
        "import run_sweep; from sweeps.sweep import Sweep; from sweeps.trainer import byol_trainer\n"
        "byol_trainer().precision(); import byol.data, byol.measure.baselines\n"
        "from sweeps.engine import driver, worker"
    ),
    "worker": "from sweeps.engine import worker; import byol.train",
    "worker, first step": (
        "from sweeps.engine import worker; import torch; from byol.train import train\n"
        "from byol.data import load_data; from byol.presets import from_settings\n"
        "settings = {'image_size': 8, 'batch_size': 8, 'steps': 1, 'eval_images': 8}\n"
        "data = load_data('fashion-mnist-8k', train_images=64)\n"
        "list(train(from_settings(settings), data, device='cpu'))"
    ),
}
"""What is timed -> what a new process runs."""
WATCHED = (
    "torch._dynamo",
    "torch._inductor",
    "sympy",
    "torchvision.models",
    "pandas",
    "scipy",
    "optuna",
    "ray",
)
"""Modules that cost time, and that not every process needs."""

_PROBE = """
import json, sys, time
wall, cpu = time.perf_counter(), time.process_time()
{code}
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(json.dumps([wall, cpu, [name for name in {watched} if name in sys.modules]]))
"""


def measure(*, long: bool = False, rounds: int = 0, sides: dict[str, str] = SIDES) -> Report:
    """Wall and CPU seconds of each side, and which of the watched modules it has.

    Args:
        long: more rounds.
        rounds: how often; 0 is 2, or 7 if long.
        sides: what to time.
    """
    rounds = rounds or (7 if long else 2)
    details: dict[str, list[tuple[float, list[str]]]] = {name: [] for name in sides}

    def timed(name: str) -> Callable[[], float]:
        def call() -> float:
            wall, cpu, modules = _probe(sides[name])
            details[name].append((cpu, modules))
            return float(wall)

        return call

    walls = take_turns({name: timed(name) for name in sides}, rounds)
    rows = []
    for name, wall in walls.items():
        measured = details[name]
        cpu = sorted(seconds for seconds, _ in measured)[len(measured) // 2]
        rows.append((name, wall.text(2), f"{cpu:.2f}", ", ".join(measured[0][1]) or "none"))
    setup = (
        f"A new process for each, n = {rounds} in turns. Wall seconds: median (least to largest); CPU "
        f"seconds: median. Modules: those of {', '.join(WATCHED)} that are loaded afterwards."
    )
    columns = ("process", "wall s", "CPU s", "modules")
    note = (
        "`driver` is all that the process of `run_sweep.py run` imports until trials run, `worker` what the "
        "process of a trial imports, `worker, first step` the same with one step and its measurements."
    )
    return Report(title="Imports", setup=setup, tables=[Table(columns=columns, rows=rows, note=note)])


def _probe(code: str) -> list[Any]:
    program = _PROBE.format(code=code, watched=WATCHED)
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return list(json.loads(process.stdout.splitlines()[-1]))
