"""How a trial ends: a pure rule over its measurements, so that anybody can repeat it from the tables."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from byol.collapse import CollapseRule, should_stop, verdict
from sweeps.ledger import Ending, Row
from sweeps.tables import write_text


def ending(rows: Sequence[Row], steps_planned: int, rule: CollapseRule) -> Ending | None:
    """How the trial with these measurements ended; None if it is not over.

    Args:
        rows: measurements in order of step.
        steps_planned: steps of a trial that runs to its end.
        rule: when a trial counts as collapsed, and whether that ends it.
    """
    judged = verdict(rows, rule)
    verdicts = {key: value for key, value in dataclasses.asdict(judged).items() if key != "diverged"}
    if judged.diverged:
        return Ending(state="COMPLETE", end_reason="diverged", **verdicts)
    if rows and int(rows[-1]["step"] or 0) >= steps_planned:
        return Ending(state="COMPLETE", end_reason="finished", **verdicts)
    if rule.stop and should_stop(rows, rule):
        return Ending(state="COMPLETE", end_reason="collapsed", **verdicts)
    return None


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
