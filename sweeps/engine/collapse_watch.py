"""Applies the study's collapse rule in a worker, as if the trial had never been interrupted."""

import json
import logging
from pathlib import Path

from byol.files import remove_states, write_text
from byol.measure.collapse import CollapseRule, Row, should_stop
from sweeps.record import checksums
from sweeps.record.rows import MetricsRow

_log = logging.getLogger(__name__)


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
            self._rows = self._read(folder)

    def ends_at(self, row: MetricsRow) -> bool:
        """Returns whether the trial ends with this measurement."""
        if not self._rule.stop:
            return False
        earlier = [previous for previous in self._rows if (previous["step"] or 0) < row.step]
        self._rows = [*earlier, {"step": row.step, "representation_std": row.representation_std}]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        rows = json.dumps(self._rows)
        write_text(self._file, f"{rows}\n{checksums.of_text(rows)}\n")
        return should_stop(self._rows, self._rule)

    def _read(self, folder: Path) -> list[Row]:
        """The measurements of earlier attempts. If the file is damaged, the trial starts again."""
        try:
            rows, _, checksum = self._file.read_bytes().decode().partition("\n")
            if checksum and checksum.strip() != checksums.of_text(rows):
                raise ValueError
            return list(json.loads(rows))
        except (ValueError, TypeError):
            _log.warning("%s: is damaged; the trial starts again", self._file)
            remove_states(folder)
            return []

    def close(self) -> None:
        """Removes its file, because the trial is over."""
        self._file.unlink(missing_ok=True)
