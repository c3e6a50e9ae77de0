"""How many bytes of the ledger a measurement takes, and how long it takes to record it."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.report import Report, Table
from sweeps.record.ledger import Ledger
from sweeps.record.rows import METRICS, Measurement
from sweeps.study import study_from_text
from sweeps.study.designs import Trial

SIZES = {"tiny encoder, quickstart": (128, 128), "ResNet-18, 256 in the projection": (512, 256)}
"""What is trained -> features of representation and projection: values of the two spectra."""
_STUDY = """
name: ledger
reference: {{steps: {steps}, eval_every: 1}}
factors: {{lr: [0.1]}}
seeds: {seeds}
"""
_VERSIONS = "Python 3.11.7, torch 2.15.0, torchvision 0.29.2, numpy 2.4.6"


def measure(*, long: bool = False, trials: int = 0, measurements: int = 50) -> Report:
    """Bytes and time per measurement, for the spectra of a small and of a usual encoder.

    Args:
        long: ten times the trials.
        trials: how many; 0 is 20, or 200 if long.
        measurements: of each trial.
    """
    trials = trials or (200 if long else 20)
    study = study_from_text(_STUDY.format(steps=measurements - 1, seeds=trials), "ledger")
    planned, rows = study.trials(), []
    empty = _size(planned, 0, (0, 0))[0]
    for name, sizes in SIZES.items():
        size, each = _size(planned, measurements, sizes)
        whole = (size - empty) / (trials * measurements)
        spectra = 4 * sum(sizes)
        rows.append((name, f"{whole:,.0f}", f"{spectra:,}", f"{whole / spectra:.2f}", f"{1e6 * each:,.0f}"))
    setup = (
        f"{trials} trials side by side of {measurements} measurements, random numbers of the right size and "
        "decay, one run. Bytes: the file's after it is closed, less those of a ledger with the plan alone."
    )
    columns = ("trial", "bytes a measurement", "of them spectra", "ratio", "us to record it")
    return Report(title="The ledger", setup=setup, tables=[Table(columns=columns, rows=rows)])


def _size(trials: Sequence[Trial], measurements: int, sizes: tuple[int, int]) -> tuple[int, float]:
    """Bytes of a ledger of these trials, and seconds per measurement."""
    generator = np.random.default_rng(0)
    with _ledger_file() as path:
        with Ledger(path) as ledger:
            ledger.plan(((trial, measurements) for trial in trials), design="full-factorial")
            spent = 0.0
            attempts = {trial.trial_id: ledger.start(trial.trial_id) for trial in trials}
            for step in range(measurements):
                for trial_id, attempt in attempts.items():
                    row = measurement(step, sizes, generator)
                    start = time.perf_counter()
                    ledger.append(trial_id, attempt, row)
                    spent += time.perf_counter() - start
        return path.stat().st_size, spent / max(1, len(trials) * measurements)


@contextmanager
def _ledger_file() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "ledger.sqlite"


def measurement(step: int, sizes: tuple[int, int], generator: np.random.Generator) -> Measurement:
    """A measurement of random numbers, with spectra of `sizes` values that decay as those of a learner do."""
    numbers = dict(zip(METRICS, generator.random(len(METRICS)).tolist(), strict=True))
    spectra = {
        level: np.sort(np.exp(generator.normal(-np.arange(size) / 20, 0.3)))[::-1].astype("<f4").tobytes()
        for level, size in zip(("representation", "projection"), sizes, strict=True)
    }
    return Measurement(
        **{**numbers, "step": step},
        spectra=spectra,
        wall_seconds=float(generator.random()),
        device="cpu",
        commit="0" * 40,
        clean=True,
        versions=_VERSIONS,
    )
