"""Applies the study's collapse rule in a worker, as if the trial had never been interrupted."""

import json
from pathlib import Path

from byol.files import write_text
from byol.measure.collapse import CollapseRule, Row, should_stop
from sweeps.record.rows import MetricsRow


class CollapseWatch:
    """Tells a worker when the study's collapse rule ends its trial.

    The rule counts measurements in a row, but a trial that resumes from a checkpoint does not repeat earlier
    ones. So the measurements of earlier attempts are kept beside the checkpoint.
    """

    def __init__(self, rule: CollapseRule, folder: Path) -> None:
        """Watches the trial whose checkpoints are in `folder`. Does nothing unless the rule stops trials."""
        self._rule = rule
        self._file = folder / "measured.json"
        self._rows: list[Row] = []
        if rule.stop and self._file.exists():
            self._rows = json.loads(self._file.read_text())

    def ends_at(self, row: MetricsRow) -> bool:
        """Returns whether the trial ends with this measurement."""
        if not self._rule.stop:
            return False
        earlier = [previous for previous in self._rows if (previous["step"] or 0) < row.step]
        self._rows = [*earlier, {"step": row.step, "representation_std": row.representation_std}]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        write_text(self._file, json.dumps(self._rows))
        return should_stop(self._rows, self._rule)

    def close(self) -> None:
        """Removes its file, because the trial is over."""
        self._file.unlink(missing_ok=True)
