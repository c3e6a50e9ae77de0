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
        """Id of a run that has a file since it was started -> its writer."""
        self._last: dict[str, tuple[int, Mapping[str, float]]] = {}
        """Likewise -> its last step and numbers."""

    def folder(self, run: Run) -> Path:
        """The folder of a run. TensorBoard calls a run by its path, so this is its name."""
        cell = "".join(sign if sign in _PLAIN else "_" for sign in run.cell)
        # With the id, because names may be equal where values differ in a seventh digit or a special sign.
        return self._folder / f"{cell} {run.trial.cell_id}" / f"seed {run.trial.seed}"

    def start(self, run: Run) -> int:
        """Opens no file yet: the first measurement tells which of those of earlier files still hold."""
        return -1

    def log(self, run: Run, step: int, numbers: Mapping[str, float]) -> None:
        """Writes a point of each curve. The first replaces all that earlier files have from its step on."""
        if run.run_id not in self._writers:
            again = any(self.folder(run).glob("events.*"))
            self._writers[run.run_id] = self._opened(run, step, purge_step=step if again else None)
        writer = self._writers[run.run_id]
        for name, value in numbers.items():
            writer.add_scalar(name, value, step)
        writer.flush()
        self._last[run.run_id] = step, numbers

    def end(self, run: Run, ending: Ending) -> None:
        """Writes levels, verdict and last numbers for the page of hyperparameters, and closes the file."""
        from tensorboardX.summary import hparams

        writer = self._writers.pop(run.run_id, None)
        step, last = self._last.pop(run.run_id, (0, {}))
        if ending.end_reason != EndReason.INTERRUPTED:
            writer = writer or self._opened(run, step)
            facts = {**_labels(run), **run.facts, **verdict(ending)}
            writer.add_text("verdict", _table(verdict(ending)), step)
            for summary in hparams(hparam_dict=facts, metric_dict=dict(last)):
                writer.file_writer.add_summary(summary)
        if writer is not None:
            writer.close()

    def _opened(self, run: Run, step: int, *, purge_step: int | None = None) -> Any:
        """A writer to a new file, which hides what earlier files have from `purge_step` on."""
        from tensorboardX import SummaryWriter

        writer = SummaryWriter(
            str(self.folder(run)),
            flush_secs=30,
            purge_step=purge_step,
            filename_suffix=f".{time.time_ns()}",  # two files of one second would have one name
        )
        writer.add_text("trial", _table({**_labels(run), **run.facts}), step)
        return writer


def _labels(run: Run) -> dict[str, Any]:
    return {f"level.{name}": label for name, label in run.trial.labels.items()}


def _table(facts: Mapping[str, Any]) -> str:
    """Facts as a table in Markdown."""
    rows = (f"| {name} | {str(value).replace('|', '/')} |" for name, value in facts.items())
    return "\n".join(("| | |", "| --- | --- |", *rows))
