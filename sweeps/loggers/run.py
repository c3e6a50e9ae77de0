"""What a logger is told of a trial: its name, what it is, and how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from byol.config import Scalar
from byol.errors import shortened
from sweeps.record.rows import Ending
from sweeps.study.designs import Trial, describe

_LONGEST = 100
"""Characters of a cell's name. W&B takes 128 for a group and MLflow 250 for a run."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A trial as the loggers know it."""

    trial: Trial
    sweep: Mapping[str, Scalar]
    """What all trials of the sweep share: study, sweep (its id), report, and commit and clean if known."""

    @property
    def run_id(self) -> str:
        """The same whenever this sweep goes on, and another in another sweep of the same study."""
        return f"{self.trial.trial_id}-{self.sweep['sweep']}"

    @property
    def cell(self) -> str:
        """The levels as text; with the cell's id if they had to be shortened."""
        text = describe(self.trial.labels)
        return text if len(text) <= _LONGEST else f"{shortened(text, _LONGEST)} {self.trial.cell_id}"

    @property
    def name(self) -> str:
        """Levels and seed: 'encoder_norm=batch, seed 0'."""
        return f"{self.cell}, seed {self.trial.seed}"

    @property
    def facts(self) -> dict[str, Scalar]:
        """What the trial is, without its levels and settings."""
        trial = self.trial
        return {
            **self.sweep,
            "cell": self.cell,
            "cell_id": trial.cell_id,
            "trial_id": trial.trial_id,
            "seed": trial.seed,
        }


def verdict(ending: Ending | None) -> dict[str, Scalar]:
    """How a trial ended, as every logger says it; None: it is running."""
    if ending is None:
        return {"end_reason": "running", "collapsed": "unknown", "projection_collapsed": "unknown"}
    facts: dict[str, Scalar] = {
        "end_reason": str(ending.end_reason),
        "collapsed": _known(ending.collapsed),
        "projection_collapsed": _known(ending.projection_collapsed),
    }
    if ending.onset_step is not None:
        facts["onset_step"] = ending.onset_step
    if ending.error:
        facts["error"] = shortened(ending.error, 500)
    return facts


def _known(value: bool | None) -> Scalar:
    return "unknown" if value is None else value


class Logger(Protocol):
    """A place to which runs are logged. One thread calls it."""

    def start(self, run: Run) -> int:
        """Opens the run of a trial, or goes on with it; returns the last step that it has, or -1."""

    def log(self, run: Run, step: int, numbers: Mapping[str, float]) -> None:
        """Logs the numbers of one measurement, in order of step."""

    def end(self, run: Run, ending: Ending) -> None:
        """Says how the trial ended, and closes its run."""
