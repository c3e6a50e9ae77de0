"""Passes 10,000 trials of 100 measurements through the planner, the ledger, the tracker and the tables.

No trial trains and no process is started: this times the work of the driver alone. Its time per measurement
must not grow with the number of trials. Run it: python -m benchmarks.sweep_scale [TRIALS [MEASUREMENTS]]
"""

import io
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from byol.measure.collapse import CollapseRule
from sweeps.planning.plan import make_plan
from sweeps.progress import Display
from sweeps.record.ledger import Ledger
from sweeps.record.rows import METRICS, Measurement, count_trials
from sweeps.record.tables import write_tables
from sweeps.study import study_from_text
from sweeps.tracker import Tracker

CELLS = 100
WORKERS = 64

STUDY = """
name: scale
reference: {{steps: {steps}, eval_every: 1}}
factors:
  lr: [{rates}]
seeds: {seeds}
"""


def main(trials: int = 10_000, measurements: int = 100) -> None:
    """Prints the time and the memory that each part takes."""
    text = STUDY.format(
        steps=measurements - 1,
        rates=", ".join(f"{0.001 * (1 + index):g}" for index in range(CELLS)),
        seeds=trials // CELLS,
    )
    with timed("read and check the study, its cells and trials"):
        study = study_from_text(text, "scale")
        planned = {trial.trial_id: trial for trial in study.trials()}
    with timed("plan"):
        make_plan(study, workers=WORKERS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        with Ledger(path) as ledger:
            with timed("enter the trials into the ledger"):
                ledger.plan(
                    ((trial, measurements - 1) for trial in planned.values()), design="full-factorial"
                )
            tracker = Tracker(ledger, Display(io.StringIO()), planned.values(), rule=CollapseRule())
            run(tracker, list(planned), measurements)
        print(f"ledger {path.stat().st_size / 2**20:.0f} MiB, peak memory {memory():.0f} MiB")
        with timed("resume: open the ledger, find the pending trials, load states"), Ledger(path) as ledger:
            pending = ledger.pending(retry_failed=False)
            Tracker(ledger, Display(io.StringIO()), planned.values(), rule=CollapseRule())
            assert count_trials(ledger.trials())["complete"] == trials
            assert pending == []
        with timed("write the tables"), Ledger(path, read_only=True) as ledger:
            write_tables(ledger, Path(folder))
        print(f"peak memory {memory():.0f} MiB")


def run(tracker: Tracker, ids: list[str], measurements: int) -> None:
    """Simulates the trials, WORKERS at a time, and prints the time per measurement for each tenth of them."""
    tenth = max(WORKERS, len(ids) // 10)
    for begin in range(0, len(ids), tenth):
        block = ids[begin : begin + tenth]
        before = time.perf_counter()
        for first in range(0, len(block), WORKERS):
            concurrent = block[first : first + WORKERS]
            for trial_id in concurrent:
                tracker.started(trial_id)
            for step in range(measurements):
                for trial_id in concurrent:
                    tracker.measured(trial_id, measurement(step))
                tracker.tick()
            for trial_id in concurrent:
                tracker.returned(trial_id)
        seconds = (time.perf_counter() - before) / (len(block) * measurements)
        print(
            f"from trial {begin:>6}: {1e6 * seconds:5.0f} us per measurement, peak memory {memory():.0f} MiB"
        )


def measurement(step: int) -> Measurement:
    """Returns a measurement like one of byol/, with two spectra of 128 values."""
    row: dict[str, Any] = {**dict.fromkeys(METRICS, 0.5), "step": step}
    spectra = dict.fromkeys(("representation", "projection"), SPECTRUM)
    return Measurement(**row, spectra=spectra, wall_seconds=step / 10, device="cpu")


SPECTRUM = np.linspace(1, 0, 128, dtype="<f4").tobytes()


def memory() -> float:
    """Returns the peak memory of this process, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Prints how long the block takes."""
    before = time.perf_counter()
    yield
    print(f"{time.perf_counter() - before:6.2f} s  {what}", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
