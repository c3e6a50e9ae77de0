"""Runs a study from Python, as the command `run` does."""

from pathlib import Path
from typing import TextIO

from sweeps.options import RunOptions, RunOutcome
from sweeps.study import Study
from sweeps.sweep import Sweep
from sweeps.trainer import Trainer

__all__ = ["RunOptions", "RunOutcome", "run"]


def run(
    study: Study,
    out: Path,
    *,
    options: RunOptions | None = None,
    trainer: Trainer | None = None,
    stream: TextIO | None = None,
) -> RunOutcome:
    """Runs what is missing of `study` in `out`, and writes the tables.

    Args:
        study: what to run.
        out: the sweep's directory, created if it does not exist.
        options: how to run it.
        trainer: trains the trials; None means the learner in byol/.
        stream: where progress is shown; None means standard output.

    Raises:
        DirectoryError: `out` holds another study, or another driver is using it.
        EngineError: Ray cannot be started or reached, or this machine cannot hold a trial.
        RequestError: the data cannot be loaded, or does not fit a trial; a logger is not installed.
        StorageError: the store cannot be used, or another driver is using it.
        OSError: the disk cannot be written, or the store cannot at the end.
    """
    with Sweep.open(study, out, options=options, trainer=trainer, stream=stream) as sweep:
        if not sweep.is_complete:
            sweep.execute()
        return sweep.finish()
