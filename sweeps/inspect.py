"""Reads a sweep's directory without running anything: status, plan against actual times, tables."""

from pathlib import Path
from typing import Any

from byol.errors import plural
from sweeps import files
from sweeps.errors import DirectoryError
from sweeps.planning import estimates
from sweeps.progress import clock
from sweeps.record import directory
from sweeps.record.result_digests import TABLES
from sweeps.record.tables import write_tables
from sweeps.record.texts import check_rule, recorded_manifest, restore

OF_TRIALS = ("trials", "facts")
"""The tables that tell of trials. Checking the measurements too would take seconds in a large ledger."""


def status(out: Path) -> dict[str, int]:
    """Counts the trials in `out`: planned, waiting, running, complete, pruned, failed, collapsed, ...

    Raises:
        DirectoryError: `out` holds no sweep.
    """
    with directory.open_ledger(out, tables=OF_TRIALS) as ledger:
        return ledger.counts()


def against_plan(out: Path) -> dict[str, Any] | None:
    """Returns the planned times of the sweep in `out` beside the actual ones; None without an estimate.

    Raises:
        DirectoryError: `out` holds no sweep.
    """
    with directory.open_ledger(out, tables=OF_TRIALS) as ledger:
        facts = ledger.facts()
        plan = estimates.plan_against_actual(ledger.trials(), facts)
    seconds = recorded_manifest(out, facts).get("wall_seconds")
    return plan and {**plan, "driven_wall_seconds": seconds}


def planned_and_measured(plan: dict[str, Any]) -> str:
    """What `against_plan` returned, in words."""
    driven = plan["driven_wall_seconds"]
    return (
        f"planned {plan['trial_seconds'] / 3600:.2f} trial-hours, {clock(plan['wall_seconds'])} with "
        f"{plan['workers']} at a time ({plan['source']})\n"
        f"{plural(plan['finished_trials'], 'finished trial')} took {plan['finished_seconds'] / 3600:.2f} "
        f"trial-hours, where {plan['finished_planned_seconds'] / 3600:.2f} were planned"
        + (f"; the sweep has run for {clock(driven)}" if driven else "")
    )


def refresh_tables(out: Path) -> list[str]:
    """Writes the tables of `out` again from its ledger.

    A driver at work there keeps them up to date itself: then they are written only if there are none yet.
    Tables without a ledger, which were made elsewhere, stay as they are.

    Returns:
        A line on each text that was not as the ledger has it, and was written again.

    Raises:
        DirectoryError: `out` holds neither, or the ledger is damaged.
    """
    missing = [name for name in (files.STUDY, files.TRIALS) if not (out / name).exists()]
    if not (out / files.LEDGER).exists():
        if missing:
            raise DirectoryError(
                f"{out}: holds no sweep (no {files.LEDGER}, and no {' and no '.join(missing)})"
            )
        return []
    with directory.open_ledger(out) as ledger:
        at_work = directory.is_locked(out)
        # A driver's ledger says which tables it has written; others would look damaged if it were killed.
        if not at_work or not all((out / name).exists() for name in TABLES):
            write_tables(ledger, out)
        lines = [] if at_work else restore(ledger, out)
        check_rule(ledger, out)
        return lines
