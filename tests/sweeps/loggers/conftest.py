"""A sweep of two trials that is interrupted and goes on, as its loggers see it: the tracker, without Ray."""

import contextlib
import io
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from byol.measure.collapse import CollapseRule
from sweeps.loggers import places
from sweeps.progress import Display
from sweeps.record.ledger import Ledger
from sweeps.study import Study, study_from_text
from sweeps.study.designs import Trial
from sweeps.tracker import Tracker
from tests.sweeps.record.test_ledger import measurement

TEXT = """
name: small
reference: {dataset: fashion-mnist-8k, steps: 20, eval_every: 5}
factors:
  encoder_norm: [batch, group]
  data: {"a/b|c": {}}
seeds: [7]
"""


@pytest.fixture
def study() -> Study:
    return study_from_text(TEXT, "f")


@pytest.fixture
def healthy(study: Study) -> Trial:
    return study.trials()[0]


@pytest.fixture
def collapsing(study: Study) -> Trial:
    return study.trials()[1]


class LoggedSweep:
    """A sweep in a folder, which logs to one place. Each `driver` is a run of the command."""

    def __init__(self, out: Path, study: Study, log: str, sweep: str = "abc123") -> None:
        self.out, self.study, self.log, self.sweep = out, study, log, sweep
        self.shown = io.StringIO()

    @contextlib.contextmanager
    def driver(self) -> Iterator[Tracker]:
        display = Display(self.shown)
        feeds = places.feeds((self.log,), self.out, study="small", sweep=self.sweep, warn=display.note)
        with Ledger(self.out / "ledger.sqlite") as ledger:
            ledger.interrupt()
            ledger.plan((trial, 20) for trial in self.study.trials())
            tracker = Tracker(ledger, display, self.study.trials(), rule=CollapseRule(), feeds=feeds)
            yield tracker
            for feed in feeds:
                feed.close()
            display.close()

    def run_interrupted(self, healthy: Trial, collapsing: Trial) -> None:
        """One trial collapses; a worker of the other dies, and then the driver is interrupted at step 10."""
        with self.driver() as tracker:
            tracker.started(healthy.trial_id)
            tracker.started(collapsing.trial_id)
            for step in (0, 5):
                tracker.measured(healthy.trial_id, measurement(step, loss=0.1 * step))
            tracker.started(healthy.trial_id)  # again, from the first step on
            for step in (0, 5, 10):
                tracker.measured(healthy.trial_id, measurement(step, loss=0.1 * step))
            for step in (0, 5, 10, 15, 20):
                row = measurement(step, loss=None if step == 0 else math.nan, representation_std=0.001)
                tracker.measured(collapsing.trial_id, row)
            tracker.returned(collapsing.trial_id)

    def resume(self, healthy: Trial, *, first: int = 15) -> None:
        """The interrupted trial goes on to its end.

        From its checkpoint a worker reports later steps alone; with a store, or without a checkpoint, also
        earlier ones: from `first` on.
        """
        with self.driver() as tracker:
            tracker.started(healthy.trial_id)
            for step in range(first, 21, 5):
                tracker.measured(healthy.trial_id, measurement(step, loss=0.1 * step))
            tracker.returned(healthy.trial_id)
