"""How a sweep is run, and what a run leaves behind."""

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from sweeps.study import Resources

DataVia: TypeAlias = Literal["object-store", "node"]
"""How data reaches the nodes: through the object store of Ray, or loaded by each node."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What may differ between two runs of one study without changing its results."""

    address: str | None = dataclasses.field(default_factory=lambda: os.environ.get("RAY_ADDRESS") or None)
    """A Ray cluster to join, by default that of RAY_ADDRESS; None starts Ray on this machine."""
    cpus_per_trial: float | None = None
    """Overrides the study's value."""
    gpus_per_trial: float | None = None
    """Overrides the study's value."""
    data_root: Path | None = None
    """Where downloaded data sets are kept."""
    workers: int | None = None
    """Maximum concurrent trials; None is as many as fit."""
    retry_failed: bool = False
    """Whether to run trials again that ended with an error."""
    checkpoint_every: int = 1000
    """Steps between saved states, from which an interrupted trial resumes; 0 saves none."""
    time_budget: float | None = None
    """Seconds after which the run ends as if it had been interrupted."""
    storage: str | None = None
    """A URI or folder for checkpoints and a mirror of the ledger; None keeps both in the directory alone."""
    mirror_every: float = 60.0
    """Seconds between two mirrors of the ledger."""
    data_via: DataVia = "object-store"
    """How data reaches the nodes."""
    log: tuple[str, ...] = ()
    """Where measurements go besides the ledger: tensorboard, mlflow, wandb."""

    def resources(self, of_study: Resources) -> Resources:
        """What one trial occupies: the study's resources, as far as they are not overridden."""
        cpu, gpu = self.cpus_per_trial, self.gpus_per_trial
        return Resources(cpu=of_study.cpu if cpu is None else cpu, gpu=of_study.gpu if gpu is None else gpu)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run left behind."""

    counts: dict[str, int]
    """As `status` counts them."""
    interrupted: bool
    """Whether it was asked to end early."""
    out_of_time: bool = False
    """Whether it was its time budget that asked."""
    ran: bool
    """Whether there was anything to run."""
