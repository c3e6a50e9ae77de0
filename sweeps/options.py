"""How a sweep is run."""

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

DataVia: TypeAlias = Literal["object-store", "node"]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What may differ between two runs of one study without changing its results."""

    address: str | None = dataclasses.field(default_factory=lambda: os.environ.get("RAY_ADDRESS") or None)
    """A Ray cluster to join, by default that of RAY_ADDRESS; None starts Ray on this machine."""
    cpus_per_trial: float | None = None
    """Instead of the study's."""
    gpus_per_trial: float | None = None
    """Instead of the study's."""
    data_root: Path | None = None
    """Where downloaded data sets are kept."""
    workers: int | None = None
    """Most trials at a time; None is as many as fit."""
    retry_failed: bool = False
    """Whether to run trials again that ended with an error."""
    checkpoint_every: int = 1000
    """Steps between saved states, from which an interrupted trial goes on; 0 saves none."""
    time_budget: float | None = None
    """Seconds after which the run ends as if it had been interrupted."""
    storage: str | None = None
    """A URI or folder for checkpoints and a mirror of the ledger; None keeps both in the directory alone."""
    mirror_every: float = 60.0
    """Seconds between two mirrors of the ledger."""
    data_via: DataVia = "object-store"
    """How data reaches the nodes: through the object store of Ray, or loaded by each node."""
    log: tuple[str, ...] = ()
    """Where measurements go besides the ledger: tensorboard, mlflow, wandb."""


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
