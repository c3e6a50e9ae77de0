"""A small study and a search, and an object store."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sweeps import files
from sweeps.record import directory, same_study
from sweeps.record.ledger import Ledger
from sweeps.record.rows import Fact
from sweeps.study import Study, study_from_text

if TYPE_CHECKING:
    from tests.sweeps.storage.object_store import ObjectStore

SMALL = """
name: small
question: Does it run?
reference: {dataset: fashion-mnist-8k, steps: 20, eval_every: 5}
factors:
  encoder_norm: [batch, group]
  heads:
    batch: {projector_norm: batch, predictor_norm: batch}
    none: {projector_norm: none, predictor_norm: none}
seeds: 2
"""
SEARCH = """
name: found
reference: {dataset: fashion-mnist-8k, steps: 20, eval_every: 5, knn_every: 5}
search:
  trials: 24
  space:
    lr: {low: 0.001, high: 10, log: true}
seeds: 2
"""
TWO_OBJECTIVES = SEARCH.replace(
    "  space:", "  objectives: {knn_accuracy: maximize, wall_seconds: minimize}\n  space:"
)


def plan_sweep(out: Path, study: Study) -> Ledger:
    """The open ledger of a sweep whose driver has planned its trials and started none."""
    with directory.driver_lock(out):
        ledger = Ledger(out / files.LEDGER)
    ledger.set_fact(Fact.STUDY, study.name)
    ledger.set_fact(Fact.COLLAPSE, same_study.rule_text(study))
    ledger.plan((trial, 20) for trial in study.trials())
    return ledger


@pytest.fixture
def small() -> Study:
    """Two factors of two levels each, two seeds: 8 trials of 5 measurements."""
    return study_from_text(SMALL, "small.yaml")


@pytest.fixture
def object_store(monkeypatch: pytest.MonkeyPatch) -> Iterator["ObjectStore"]:
    """An S3 server on loopback, and an environment with credentials for it."""
    from tests.sweeps.storage.object_store import ENVIRONMENT, ObjectStore

    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    store = ObjectStore()
    yield store
    store.stop()
    store.start()
    store.reset()
    store.stop()
