"""The learner of byol/ as a trainer that notes where a trial's time goes. Child of the part `sweep`:

    python -m benchmarks.timed_trainer FOLDER run STUDY --out DIR

is `run_sweep.py run STUDY --out DIR`, and leaves a file in FOLDER for each trial. Times are of the monotonic
clock, which all processes of a machine share.
"""

import dataclasses
import functools
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from byol.config import TrialConfig
from sweeps.trainer import Trainer, byol_trainer, train_byol


@dataclasses.dataclass
class Spent:
    """Seconds of one trial in a worker. The rest of `end - begin` is the engine's: reporting, above all."""

    begin: float
    end: float = 0.0
    steps: float = 0.0
    """Views and optimiser steps, as `samples_per_second` of each measurement says."""
    measurements: float = 0.0
    """In `Measurer.measure`."""
    training: float = 0.0
    """All within the trainer: the two above, imports, the learner's making, and checkpoints."""


def trainer(folder: Path) -> Trainer:
    """The learner of byol/, noting its times in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    return dataclasses.replace(byol_trainer(), train=functools.partial(train_timed, folder=folder))


def train_timed(
    config: TrialConfig,
    data: Any,
    *,
    checkpoint_folder: Path | None,
    checkpoint_every: int | None,
    folder: Path,
) -> Iterator[Any]:
    """Calls `sweeps.trainer.train_byol`, and writes a file when the trial ends."""
    spent = Spent(begin=time.monotonic())
    trial = train_byol(config, data, checkpoint_folder=checkpoint_folder, checkpoint_every=checkpoint_every)
    with _measuring_timed(spent):
        step = 0
        while True:
            start = time.monotonic()
            turn = next(trial, _OVER)
            spent.training += time.monotonic() - start
            if turn is _OVER:
                break
            if turn is not None:
                if turn.samples_per_second:
                    spent.steps += (turn.step - step) * config.batch_size / turn.samples_per_second
                step = turn.step
            yield turn
    spent.end = time.monotonic()
    (folder / f"{time.monotonic_ns()}.json").write_text(json.dumps(vars(spent)))


_OVER: Any = object()


def _measuring_timed(spent: Spent) -> Any:
    """Within it, the seconds of every measurement are added up."""
    from byol.measure.measurer import Measurer

    measure = Measurer.measure

    def timed(measurer: Measurer, **arguments: Any) -> Any:
        start = time.monotonic()
        try:
            return measure(measurer, **arguments)
        finally:
            spent.measurements += time.monotonic() - start

    return mock.patch.object(Measurer, "measure", timed)


def read(folder: Path) -> list[Spent]:
    """What the trials have left in `folder`."""
    return [Spent(**json.loads(file.read_text())) for file in sorted(folder.glob("*.json"))]


if __name__ == "__main__":
    import run_sweep
    from benchmarks import timed_trainer  # workers unpickle the trainer by this module's name

    chosen = timed_trainer.trainer(Path(sys.argv[1]).absolute())
    sys.exit(run_sweep.main(sys.argv[2:], trainer=chosen))
