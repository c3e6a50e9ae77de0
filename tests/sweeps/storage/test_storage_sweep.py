"""A sweep on Ray whose driver, directory and workers' disks vanish: it resumes from the store alone."""

import dataclasses
import io
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from byol.config import TrialConfig
from byol.files import ENCODER, STATE
from byol.pulse import Stopped, is_told_to_end
from sweeps import files, simulated
from sweeps.export import export_encoder
from sweeps.inspect import status
from sweeps.options import RunOptions, RunOutcome
from sweeps.run import run
from sweeps.simulated import TRAINER
from sweeps.storage.checkpoints import local_copies
from sweeps.storage.store import Store
from sweeps.study import Study, study_from_text
from tests.sweeps.conftest import SMALL
from tests.sweeps.storage.object_store import ObjectStore
from tests.sweeps.tensor_files import data_of, tensor_file

STARTS = "starts.txt"


def train(
    config: TrialConfig, data: Any, *, checkpoint_folder: Path | None, checkpoint_every: int | None
) -> Iterator[Any]:
    """The simulated trainer, with a state and an encoder in the order in which byol.train saves them."""
    assert checkpoint_folder is not None
    checkpoint_folder.mkdir(parents=True, exist_ok=True)
    state = checkpoint_folder / STATE
    start = int(data_of(state.read_bytes())) if state.exists() else -1
    with (checkpoint_folder.parent / STARTS).open("a") as file:
        file.write(f"{checkpoint_folder.name} {start}\n")
    for metrics in simulated.train(config, data):
        if metrics.step > start:
            yield metrics
            state.write_bytes(tensor_file(str(metrics.step).encode(), checkpoint_folder.name))
            if is_told_to_end():
                raise Stopped
    weights = tensor_file(f"weights of {config.seed}".encode(), checkpoint_folder.name)
    (checkpoint_folder / ENCODER).write_bytes(weights)
    state.unlink()


SAVING = dataclasses.replace(TRAINER, train=train)


def run_study(out: Path, study: Study, **options: Any) -> RunOutcome:
    return run(study, out, options=RunOptions(workers=2, **options), trainer=SAVING, stream=io.StringIO())


def tables(out: Path) -> dict[str, list[dict[str, Any]]]:
    """All tables, without what differs from run to run."""
    names = ("trials", "metrics", "spectra")
    rows = {name: pq.read_table(out / f"{name}.parquet").to_pylist() for name in names}
    for row in rows["trials"]:
        del row["wall_seconds"], row["attempt"]
    return rows


def interrupt_later(out: Path, store: Store, early: list[bytes]) -> None:
    """Saves the first mirror of the ledger, and interrupts once some trials have ended and others run."""
    deadline = time.monotonic() + 60
    while not early and time.monotonic() < deadline:
        early.extend(filter(None, [store.read(files.LEDGER)]))
    while time.monotonic() < deadline:
        counts = status(out)
        if counts["complete"] >= 2 and counts["running"]:
            time.sleep(0.9)  # half of a trial
            break
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGUSR1)  # as Slurm requests the end


@pytest.mark.ray
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("one_ray")
def test_a_sweep_resumes_from_the_store_alone(tmp_path: Path, object_store: ObjectStore) -> None:
    text = SMALL.replace("steps: 20", "steps: 20, weight_decay: 3").replace("seeds: 2", "seeds: 1")
    study = study_from_text(text, "f")
    run_study(tmp_path / "uninterrupted", study)

    uri, early = object_store.uri("sweep"), list[bytes]()
    store, first, second = Store.at(uri), tmp_path / "first", tmp_path / "second"
    copies = local_copies(store)
    try:
        threading.Thread(target=interrupt_later, args=(first, store, early), daemon=True).start()
        assert run_study(first, study, storage=uri).interrupted
        complete = status(first)["complete"]
        assert 2 <= complete < 4
        # As if the driver had been killed: the store's ledger is old, its checkpoints are not.
        store.write(files.LEDGER, early[0])
        shutil.rmtree(first)
        shutil.rmtree(copies)

        outcome = run_study(second, study, storage=uri)
        assert (outcome.interrupted, outcome.counts["complete"]) == (False, 4)
        assert tables(second) == tables(tmp_path / "uninterrupted")
        starts = [int(line.split()[1]) for line in (copies / STARTS).read_text().splitlines()]
        assert len(starts) == 4 - complete, "trials with an encoder in the store were not trained again"
        assert max(starts) > 0, "trials with a state in the store resumed from it"
        assert {path.name for path in copies.iterdir()} == {STARTS}
        assert not (second / files.CHECKPOINTS).exists()
        for trial in study.trials():
            export_encoder(second, trial.trial_id, tmp_path / "encoder", force=True)
            assert data_of((tmp_path / "encoder").read_bytes()) == f"weights of {trial.seed}".encode()
    finally:
        shutil.rmtree(copies, ignore_errors=True)
