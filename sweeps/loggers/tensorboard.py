"""TensorBoard: event files in DIR/tensorboard, a folder for each cell and in it one for each seed."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweeps.loggers.run import Run, verdict
from sweeps.record.rows import Ending, EndReason

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789=,.+-_ ")


class TensorBoard:
    """Writes the event files of the runs below one folder."""

    def __init__(self, folder: Path) -> None:
        """Writes below `folder`, which is created with the first run."""
        self._folder = folder
        self._writers: dict[str, Any] = {}
        """Id of an open run -> its writer."""
        self._last: dict[str, Mapping[str, float]] = {}
        """Id of an open run -> its last numbers."""

    def folder(self, run: Run) -> Path:
        """The folder of a run. TensorBoard calls a run by its path, so this is its name."""
        cell = "".join(sign if sign in _PLAIN else "_" for sign in run.cell)
        # With the id, because names may be equal where values differ in a seventh digit or a special sign.
        return self._folder / f"{cell} {run.trial.cell_id}" / f"seed {run.trial.seed}"

    def start(self, run: Run) -> int:
        """Opens a file. The measurements come again from the first step on, so those of earlier files go."""
        from tensorboardX import SummaryWriter

        folder = self.folder(run)
        again = any(folder.glob("events.*"))
        writer = SummaryWriter(
            str(folder),
            flush_secs=30,
            purge_step=0 if again else None,
            filename_suffix=f".{time.time_ns()}",  # two files of one second would have one name
        )
        self._writers[run.run_id] = writer
        self._last[run.run_id] = {}
        writer.add_text("trial", _table({**_labels(run), **run.facts}), 0)
        return -1

    def log(self, run: Run, step: int, numbers: Mapping[str, float]) -> None:
        """Writes a point of each curve."""
        writer = self._writers[run.run_id]
        for name, value in numbers.items():
            writer.add_scalar(name, value, step)
        writer.flush()
        self._last[run.run_id] = numbers

    def end(self, run: Run, ending: Ending) -> None:
        """Writes levels, verdict and last numbers for the page of hyperparameters, and closes the file."""
        from tensorboardX.summary import hparams

        writer = self._writers.pop(run.run_id)
        last = self._last.pop(run.run_id)
        if ending.end_reason != EndReason.INTERRUPTED:
            facts = {**_labels(run), **run.facts, **verdict(ending)}
            writer.add_text("verdict", _table(verdict(ending)), 0)
            for summary in hparams(hparam_dict=facts, metric_dict=dict(last)):
                writer.file_writer.add_summary(summary)
        writer.close()


def _labels(run: Run) -> dict[str, Any]:
    return {f"level.{name}": label for name, label in run.trial.labels.items()}


def _table(facts: Mapping[str, Any]) -> str:
    """Facts as a table in Markdown."""
    rows = (f"| {name} | {str(value).replace('|', '/')} |" for name, value in facts.items())
    return "\n".join(("| | |", "| --- | --- |", *rows))
