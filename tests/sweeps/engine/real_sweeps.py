"""Sweeps on a real Ray, for tests: run one, read its tables, wait for a driver in another process."""

import io
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from sweeps.inspect import status
from sweeps.options import RunOptions, RunOutcome
from sweeps.record.directory import has_ledger
from sweeps.run import run
from sweeps.simulated import TRAINER
from sweeps.study import Study
from sweeps.trainer import Trainer


def trained(*, steps: int, eval_every: int, seeds: int) -> str:
    """A study of two cells that the learner trains on 64 images, as the text of its file."""
    return f"""
name: trained
reference:
  train_images: 64
  batch_size: 16
  steps: {steps}
  eval_every: {eval_every}
  eval_images: 64
  projector_width: 32
  projector_size: 16
  predictor_width: 32
  precision: fp32
factors:
  encoder_norm: [batch, group]
seeds: {seeds}
"""


def run_study(
    out: Path, study: Study, *, trainer: Trainer | None = TRAINER, **options: Any
) -> tuple[RunOutcome, str]:
    """Runs a study; returns the outcome and what was shown."""
    stream = io.StringIO()
    outcome = run(study, out, options=RunOptions(**options), trainer=trainer, stream=stream)
    return outcome, stream.getvalue()


def table(out: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a table of a sweep."""
    rows: list[dict[str, Any]] = pq.read_table(out / f"{name}.parquet").to_pylist()
    return rows


DRIVER = """
import sys
from run_sweep import main
from sweeps.simulated import TRAINER
sys.exit(main(sys.argv[1:], trainer=TRAINER))
"""
"""The command line with the simulated trainer, for a process of its own."""


def wait_for_results(out: Path, complete: int) -> None:
    """Waits until `complete` trials are complete."""
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        if has_ledger(out) and status(out)["complete"] >= complete:
            return
        time.sleep(0.1)
    raise AssertionError("the sweep did not start")
