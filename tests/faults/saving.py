"""The simulated trainer with a state after each measurement and an encoder at the end, as of byol.train."""

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from byol.config import TrialConfig
from byol.files import ENCODER, STATE, remove_states, replacing
from byol.pulse import Stopped, is_told_to_end
from sweeps import simulated
from sweeps.simulated import TRAINER
from tests.sweeps.tensor_files import data_of, tensor_file

PAUSE = 0.1
"""Seconds of each measurement, in which something may happen to the trial."""


def train(
    config: TrialConfig, data: Any, *, checkpoint_folder: Path | None, checkpoint_every: int | None
) -> Iterator[Any]:
    """Trains from the state in the folder on."""
    assert checkpoint_folder is not None
    checkpoint_folder.mkdir(parents=True, exist_ok=True)
    trial, state = checkpoint_folder.name, checkpoint_folder / STATE
    start = int(data_of(state.read_bytes())) if state.exists() else -1
    for metrics in simulated.train(config, data):
        if metrics.step <= start:
            continue
        time.sleep(PAUSE)
        yield metrics
        with replacing(state) as partial:
            partial.write_bytes(tensor_file(str(metrics.step).encode(), trial))
        if is_told_to_end():
            raise Stopped
    with replacing(checkpoint_folder / ENCODER) as partial:
        partial.write_bytes(tensor_file(b"weights", trial))
    remove_states(checkpoint_folder)


class OutOfMemoryError(RuntimeError):
    """As torch calls its own."""


def train_short_of_memory(
    config: TrialConfig, data: Any, *, checkpoint_folder: Path | None, checkpoint_every: int | None
) -> Iterator[Any]:
    """As `train`, but halfway each trial runs out of memory once: of a GPU's, or of the machine's."""
    assert checkpoint_folder is not None
    tried = checkpoint_folder.parent / f"{checkpoint_folder.name}.tried"
    for metrics in train(
        config, data, checkpoint_folder=checkpoint_folder, checkpoint_every=checkpoint_every
    ):
        if metrics.step == 10 and not tried.exists():
            tried.touch()
            raise OutOfMemoryError if config.encoder_norm == "batch" else MemoryError
        yield metrics


SAVING = dataclasses.replace(TRAINER, train=train)
SHORT_OF_MEMORY = dataclasses.replace(TRAINER, train=train_short_of_memory)
