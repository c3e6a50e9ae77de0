"""The collapse stopper, where a trial runs."""

import json
from pathlib import Path

from byol.files import write_text
from byol.measure.collapse import CollapseRule, should_stop
from sweeps.record.rows import Row


class CollapseWatch:
    """Applies the collapse stopper where a trial runs, as if the trial had never been interrupted.

    A trial that goes on from a checkpoint measures only what follows, while the stopper counts measurements
    in a row: so those of earlier attempts are kept beside the checkpoint.
    """

    def __init__(self, rule: CollapseRule, folder: Path) -> None:
        """Watches one trial whose checkpoints lie in `folder`; does nothing unless the rule stops trials."""
        self._rule = rule
        self._file = folder / "measured.json"
        self._rows: list[Row] = []
        if rule.stop and self._file.exists():
            self._rows = json.loads(self._file.read_text())

    def ends(self, row: Row) -> bool:
        """Whether the trial ends with this measurement."""
        if not self._rule.stop:
            return False
        step = row["step"] or 0
        kept = {"step": step, "representation_std": row["representation_std"]}
        self._rows = [*(earlier for earlier in self._rows if (earlier["step"] or 0) < step), kept]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        write_text(self._file, json.dumps(self._rows))
        return should_stop(self._rows, self._rule)

    def close(self) -> None:
        """Leaves nothing behind: the trial is over."""
        self._file.unlink(missing_ok=True)
