"""What the suite injects, and what came of it: the rows of the table in docs/reliability.md.

A test asks for the fixture `injected` and calls it once for each fault: `injected("driver", SAME)`. With
FAULTS_RESULTS=FILE the counts are kept there by test, so that a long run can be made in parts, and
`python -m tests.faults.page --faults FILE` writes the table.
"""

import json
import os
from pathlib import Path
from typing import Any

SAME = "same tables"
"""The sweep went on, or was resumed: its tables equal those of an undisturbed one, bit for bit."""
REPAIRED = "repaired"
"""It was written again, or left out, with a message."""
REFUSED = "refused"
"""A one-line refusal that names the file, or the rule, and what to do."""
FAILED = "failed"
"""The test failed: a traceback, other tables, or a hang."""
OUTCOMES = (SAME, REPAIRED, REFUSED, FAILED)

ROWS = {
    "driver": "SIGKILL of the driver, which leaves a cluster behind",
    "everything": "SIGKILL of everything at once: driver, Ray and workers",
    "worker": "SIGKILL of a worker",
    "node": "SIGKILL of a node: its raylet and its workers",
    "entry": "SIGKILL of the driver while it enters a directory",
    "signals": "SIGTERM, SIGINT and SIGUSR1",
    "budget": "The time budget runs out",
    "hang": "The process of a trial is stopped, or waits for ever",
    "memory": "A trial runs out of memory: torch's error, and Python's",
    "nan": "NaN in the loss",
    "disk": "The disk fills up while the sweep writes",
    "disk commands": "The disk is full when a command writes",
    "read-only": "The directory, or the store, becomes read-only",
    "vanished": "The store vanishes",
    "S3": "S3 answers with errors, cuts connections, or takes its time",
    "files": "A file of a sweep is flipped, cut, emptied or deleted, for each command",
    "resumed": "The same for a half-done sweep that is resumed",
    "verified": "The same for `verify`",
    "ledger": "A bit of the ledger is flipped, or its end cut off",
    "stored": "A file of a store is flipped, cut, emptied or deleted",
    "studies": "A hostile study file",
    "commands": "A hostile command line",
    "folders": "A hostile folder of images",
    "tables": "Hostile result tables, for `report`",
}
"""Name -> what is injected."""


class Results:
    """The outcomes of the tests of one session."""

    def __init__(self) -> None:
        """Nothing has run yet."""
        self.by_test: dict[str, dict[str, dict[str, int]]] = {}

    def add(self, test: str, row: str, outcome: str, count: int = 1) -> None:
        """Counts `count` faults of the row `row`, which had this outcome."""
        assert row in ROWS, row
        assert outcome in OUTCOMES, outcome
        counts = self.by_test.setdefault(test, {}).setdefault(row, {})
        counts[outcome] = counts.get(outcome, 0) + count

    def failed(self, test: str) -> None:
        """What a failed test has counted did not survive."""
        rows = self.by_test.get(test) or {}
        self.by_test[test] = {row: {FAILED: sum(counts.values())} for row, counts in rows.items()}

    def save(self) -> None:
        """Adds the outcomes to the file that FAULTS_RESULTS names, if it does."""
        if "FAULTS_RESULTS" in os.environ:
            path = Path(os.environ["FAULTS_RESULTS"])
            merged: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
            path.write_text(json.dumps(merged | self.by_test, indent=1, sort_keys=True))
