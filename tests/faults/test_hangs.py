"""Processes of trials hang: they are found, killed and tried again, and the tables are the same."""

import dataclasses
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from byol.config import TrialConfig
from sweeps import simulated
from sweeps.simulated import TRAINER
from sweeps.study import Study
from tests.faults import ALL
from tests.faults.injected import SAME
from tests.faults.real import run_real, tables
from tests.sweeps.engine.real_sweeps import table

LIMIT = 20.0
pytestmark = [
    pytest.mark.ray,
    pytest.mark.timeout(400),
    pytest.mark.usefixtures("one_ray"),
    pytest.mark.skipif(not ALL, reason="`make faults`: it waits for some minutes"),
]


def train_and_hang_once(
    config: TrialConfig, data: Any, *, checkpoint_folder: Path | None, checkpoint_every: int | None
) -> Iterator[Any]:
    """Trials with BatchNorm in the heads are stopped, or wait for ever, once each; others are only slow."""
    assert checkpoint_folder is not None
    marker = checkpoint_folder.parent.parent / f"hung {config.encoder_norm} {config.seed}"
    hangs = config.projector_norm == "batch"
    for metrics in simulated.train(config, data):
        if not hangs:
            time.sleep(LIMIT / 4)  # slower than the limit in all, but never silent for so long
        yield metrics
        if hangs and metrics.step == 10 and not marker.exists():
            marker.touch()
            if config.encoder_norm == "batch":
                os.kill(os.getpid(), signal.SIGSTOP)
            threading.Event().wait()


@pytest.mark.parametrize("pack", [1, 3])
def test_trials_that_hang_are_killed_and_tried_again(
    tmp_path: Path, small: Study, injected: Callable[..., None], pack: int
) -> None:
    study = dataclasses.replace(small, seeds=(0, 1, 2))
    run_real(tmp_path / "undisturbed", study, trainer=TRAINER)
    hanging = dataclasses.replace(TRAINER, train=train_and_hang_once)
    outcome, shown = run_real(tmp_path / "hanging", study, trainer=hanging, hung_after=LIMIT, pack=pack)
    assert outcome.counts["complete"] == 12, shown
    if pack == 1:
        attempts = {(row["f_heads"], row["attempt"]) for row in table(tmp_path / "hanging", "trials")}
        assert attempts == {("batch", 2), ("none", 1)}
    assert shown.count("hangs, so its process is killed and it starts again: ") == 6
    assert tables(tmp_path / "hanging") == tables(tmp_path / "undisturbed")
    injected("hang", SAME, 6)
