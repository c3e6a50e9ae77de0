"""A small sweep with every file of a real run, made in this process without Ray and without torch."""

import contextlib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from byol.presets import from_settings
from sweeps.inputs import prepare
from sweeps.options import RunOptions
from sweeps.record.endings import ending
from sweeps.record.rows import Measurement
from sweeps.record.tables import write_tables
from sweeps.simulated import TRAINER
from sweeps.study import Study
from sweeps.sweep import Sweep


@contextlib.contextmanager
def entered(study: Study, out: Path, options: RunOptions | None = None) -> Iterator[Sweep]:
    """A sweep whose directory a driver has entered, as `Sweep.execute` does before its first trial."""
    options = options or RunOptions()
    with Sweep.open(study, out, options=options, trainer=TRAINER, stream=sys.stdout) as sweep:
        sweep._started, sweep._began, sweep._available = datetime(2026, 1, 1, tzinfo=UTC), 0.0, {"CPU": 2.0}
        sweep.inputs = prepare(sweep.study, out, options=options, trainer=TRAINER, source=sweep.mirror.source)
        with sweep._recording():
            sweep._plan(2, sweep._controls())
            sweep.record()
            yield sweep


def run_simulated(
    study: Study, out: Path, options: RunOptions | None = None, *, trials: int | None = None
) -> None:
    """Runs what is missing, one trial after the other; no more than `trials` of them."""
    with (
        entered(study, out, options) as sweep,
        sweep.mirror.following(stop=lambda: None, warn=lambda line: print(line)),
    ):
        for trial_id in sweep.ledger.pending(retry_failed=False)[:trials]:
            trial = sweep.trials[trial_id]
            attempt, config = sweep.ledger.start(trial_id), from_settings(trial.settings)
            [images] = sweep.inputs.data.images.values()
            for metrics in TRAINER.train(config, images, checkpoint_folder=None, checkpoint_every=0):
                seconds = 0.001 * metrics.step
                row = Measurement.of(metrics, wall_seconds=seconds, device="cpu", data_digest=images.digest)
                assert sweep.ledger.append(trial_id, attempt, row)
            end = ending(sweep.ledger.rows(trial_id), sweep.inputs.steps[trial_id], study.collapse)
            assert end is not None
            assert sweep.ledger.end(trial_id, attempt, end)
        sweep.record()
        write_tables(sweep.ledger, out)
