"""How a sweep is run, and the outcome of a run."""

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from sweeps.study import Resources

DataVia: TypeAlias = Literal["object-store", "node"]
"""How data reaches the nodes: through Ray's object store, or loaded by each node."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of a run. They may differ between two runs of a study without changing its results."""

    address: str | None = dataclasses.field(default_factory=lambda: os.environ.get("RAY_ADDRESS") or None)
    """The Ray cluster to join, by default that of RAY_ADDRESS; None starts Ray on this machine."""
    cpus_per_trial: float | None = None
    """CPUs of a worker. Overrides the study's value."""
    gpus_per_trial: float | None = None
    """GPUs of a worker. Overrides the study's value."""
    pack: int | None = None
    """The most trials that a worker runs in turns. Overrides the study's value."""
    data_root: Path | None = None
    """Folder of downloaded data sets."""
    workers: int | None = None
    """Maximum concurrent workers; None means as many as fit."""
    retry_failed: bool = False
    """Whether trials that ended with an error run again."""
    accept_changes: bool = False
    """Whether the sweep goes on although code, versions or data are not as they were."""
    checkpoint_every: int | None = None
    """Steps between checkpoints, from which an interrupted trial resumes; None saves them by time, 0 none."""
    time_budget: float | None = None
    """Seconds after which the run ends as if it had been interrupted."""
    hung_after: float = 1800.0
    """Seconds without a sign of life after which a trial's process is killed, and the trial tried again."""
    storage: str | None = None
    """URI or folder for checkpoints and a mirror of the ledger; None keeps both in the directory only."""
    mirror_every: float = 60.0
    """Seconds between copies of the ledger to the store."""
    data_via: DataVia = "object-store"
    """How data reaches the nodes."""
    log: tuple[str, ...] = ()
    """Where else measurements are logged: tensorboard, mlflow, wandb."""

    def resources(self, default: Resources) -> Resources:
        """Returns what one worker occupies: the values given here, else those of `default`."""
        cpu, gpu, pack = self.cpus_per_trial, self.gpus_per_trial, self.pack
        return Resources(
            cpu=default.cpu if cpu is None else cpu,
            gpu=default.gpu if gpu is None else gpu,
            pack=default.pack if pack is None else pack,
        )


@dataclass(frozen=True, kw_only=True)
class RunOutcome:
    """The outcome of a run."""

    counts: dict[str, int]
    """Counts of trials, as `status` returns them."""
    interrupted: bool
    """Whether it was stopped early."""
    out_of_time: bool = False
    """Whether it was stopped by its time budget."""
    ran: bool
    """Whether there was anything to run."""
