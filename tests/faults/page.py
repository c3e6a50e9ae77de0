"""Writes the figures of docs/reliability.md: `python -m tests.faults.page [--faults FILE] [--soak FILE]`.

The first is what a run of the suite with FAULTS_RESULTS has left, the second what `tests.faults.soak` has.
"""

import argparse
import json
import re
import statistics
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sweeps.record.manifest import git_state, hardware, versions
from tests.faults.injected import FAILED, OUTCOMES, ROWS

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
HEADS = {
    "same tables": "Went on or resumed, tables the same",
    "repaired": "Repaired, or had no effect",
    "refused": "Refused in one line",
    "failed": "Traceback, hang or wrong result",
}
"""Outcome -> head of its column."""
assert [*HEADS] == [*OUTCOMES]


def faults_table(by_test: Mapping[str, Mapping[str, Mapping[str, int]]]) -> str:
    """The table of injected against survived: a row for each of ROWS, summed over tests."""
    counts = {row: dict.fromkeys(OUTCOMES, 0) for row in ROWS}
    for rows in by_test.values():
        for row, found in rows.items():
            for outcome, number in found.items():
                counts[row][outcome] += number
    lines = [f"| Injected | n | {' | '.join(HEADS.values())} |", f"| --- {'| ---: ' * (len(HEADS) + 1)}|"]
    for row, text in ROWS.items():
        values = [sum(counts[row].values()), *counts[row].values()]
        lines.append(f"| {text} | {' | '.join(f'{value:,}' if value else '' for value in values)} |")
    total = sum(sum(each.values()) for each in counts.values())
    failed = sum(each[FAILED] for each in counts.values())
    return "\n".join((*lines, "", f"{total:,} faults, of which {total - failed:,} were survived. {_where()}"))


def _where(commit: str | None = None) -> str:
    machine, commit = hardware({}), (commit or git_state()["commit"] or "unknown")[:7]
    known = ", ".join(f"{name} {versions()[name]}" for name in ("python", "ray", "pyarrow"))
    date = datetime.now(UTC).date()
    return f"{date}, {machine['cores']} cores of {machine['cpu']}, {known}, commit {commit}."


def soak_text(soak: Mapping[str, Any]) -> str:
    """The figures of the soak, as sentences."""
    kills = soak["kills"]
    lines = [
        f"{soak['minutes']:.0f} minutes in {soak['parts']} parts; {sum(kills.values())} kills: "
        + ", ".join(f"{number} of a {kind}" for kind, number in kills.items())
        + f". {soak['complete']:,} trials are complete, {soak['failed']} failed, {soak['started again']} "
        f"were started again. {soak['wrong']:,} of the complete ones differ from an undisturbed trial, "
        f"{soak['lost'] + soak['vanished']} were lost. {_where(soak.get('commit'))}",
        "",
        "| Process | lives | minutes, median | MiB, median | slope in MiB/h, median | largest slope |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind in ("driver", "worker"):
        lives = [life for life in soak["lives"] if life["kind"] == kind]
        if lives:
            medians = [
                statistics.median(life[key] for life in lives) for key in ("minutes", "mib", "mib_per_hour")
            ]
            worst = max(life["mib_per_hour"] for life in lives)
            minutes, mib, rise = medians
            lines.append(
                f"| {kind} | {len(lives)} | {minutes:.0f} | {mib:.0f} | {rise:+.1f} | {worst:+.1f} |"
            )
    return "\n".join(lines)


def replaced(page: str, name: str, text: str) -> str:
    """The page with `text` between the comments that begin and end the part `name`."""
    pattern = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
    found = re.subn(pattern, lambda match: f"{match[1]}{text}\n{match[2]}", page, count=1, flags=re.DOTALL)
    assert found[1] == 1, f"{PAGE}: has no part {name}"
    return found[0]


def main() -> None:
    """Writes the page's figures again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=Path)
    parser.add_argument("--soak", type=Path)
    options = parser.parse_args()
    page = PAGE.read_text()
    if options.faults:
        page = replaced(page, "faults", faults_table(json.loads(options.faults.read_text())))
    if options.soak:
        page = replaced(page, "soak", soak_text(json.loads(options.soak.read_text())))
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
