"""Weights & Biases: a run for each trial in the project of the study, and its files in DIR/wandb."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweeps.loggers.run import Run, verdict
from sweeps.record.rows import Ending, EndReason, TrialState


class WeightsAndBiases:
    """Makes runs of Weights & Biases, and goes on with those that this sweep has made before."""

    def __init__(self, out: Path, study: str) -> None:
        """Keeps its files in `out`/wandb. The project is called `study` unless WANDB_PROJECT is set."""
        self._out = out.absolute()
        self._study = study
        self._runs: dict[str, Any] = {}
        """Our id of an open run -> W&B's object."""

    def start(self, run: Run) -> int:
        """Opens a run, which W&B continues if it knows the id."""
        import wandb

        trial = run.trial
        opened = wandb.init(
            project=wandb.setup().settings.project or self._study,
            id=run.run_id,
            name=run.name,
            group=run.cell,
            dir=self._out,
            config={**run.facts, "level": dict(trial.labels), "settings": dict(trial.settings)},
            allow_val_change=True,
            resume="allow",
            reinit="create_new",  # as many runs in this process as trials that run
            settings=wandb.Settings(console="off", silent=True),
        )
        self._runs[run.run_id] = opened
        opened.summary.update(verdict(None))
        return int(opened.step) - 1  # 0 in a new run, and in each file of one that is offline

    def log(self, run: Run, step: int, numbers: Mapping[str, float]) -> None:
        """Logs the numbers under the optimiser's step."""
        self._runs[run.run_id].log(dict(numbers), step=step)

    def end(self, run: Run, ending: Ending) -> None:
        """Puts how the trial ended into the run's summary, and closes the run."""
        opened = self._runs.pop(run.run_id)
        opened.summary.update(verdict(ending))
        incomplete = ending.state == TrialState.WAITING or ending.end_reason == EndReason.ERROR
        opened.finish(exit_code=int(incomplete))


def check() -> None:
    """Raises whatever W&B raises if it is online, and its server is not there or refuses the key.

    Without a key, W&B asks for one on a terminal.
    """
    import wandb

    if wandb.setup().settings.mode not in ("offline", "dryrun", "disabled"):
        wandb.login(verify=True)
