"""study.yaml and manifest.json: the ledger holds what they say, and they are written again from there."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from byol.files import write_text
from byol.measure.collapse import CollapseRule
from sweeps import files
from sweeps.errors import DirectoryError, one_line
from sweeps.record.ledger import Ledger
from sweeps.record.rows import Fact

_TEXTS = {files.STUDY: Fact.STUDY_FILE, files.MANIFEST: Fact.MANIFEST}


def restore(ledger: Ledger, out: Path) -> list[str]:
    """Writes study.yaml and manifest.json of `out` again where they are not what the ledger holds.

    Returns:
        A line on each that was.

    Raises:
        OSError: the disk cannot be written.
    """
    facts, lines = ledger.facts(), []
    for name, problem in problems(facts, out).items():
        if problem:
            write_text(out / name, facts[_TEXTS[name]])
            lines.append(f"{problem}; written again from {files.LEDGER}")
    return lines


def problems(facts: Mapping[str, str], out: Path) -> dict[str, str]:
    """What is wrong with study.yaml and manifest.json in `out`, by name; empty texts where nothing is.

    Args:
        facts: the ledger's; those that it lacks, of an earlier version, are not checked.
        out: the sweep's directory.
    """
    found = {}
    for name, fact in _TEXTS.items():
        if fact in facts:
            path = out / name
            whole = path.exists() and path.read_bytes() == facts[fact].encode()
            how = "is not as it was written" if path.exists() else "is missing"
            found[name] = "" if whole else f"{path}: {how}"
    return found


def check_rule(ledger: Ledger, out: Path) -> None:
    """Checks that study.yaml judges as the sweep did. Nothing else of it matters to that.

    Raises:
        DirectoryError: it does not, or cannot be read.
    """
    path, facts = out / files.STUDY, ledger.facts()
    content = path.read_bytes() if path.exists() else None
    if content is None or content == facts.get(Fact.STUDY_FILE, "").encode():
        return
    recorded = json.loads(facts.get(Fact.COLLAPSE, "{}"))
    try:
        stated = yaml.safe_load(content.decode()).get("collapse") or {}
        rule = {**dataclasses.asdict(CollapseRule()), **stated}
        differs = any(rule.get(key) != value for key, value in recorded.items())
        problem = (
            f"its collapse rule is not that of {files.LEDGER}, {facts.get(Fact.COLLAPSE)}" if differs else ""
        )
    except (ValueError, TypeError, AttributeError, RecursionError, yaml.YAMLError) as error:
        problem = f"cannot be read: {one_line(error)}"
    if problem:
        raise DirectoryError(
            f"{path}: is damaged: {problem}; `run STUDY --out {path.parent}` writes it again"
        )


def recorded_manifest(out: Path, facts: dict[str, str]) -> dict[str, Any]:
    """The manifest of `out`, from the ledger's facts; of an earlier version's sweep, from the file.

    Returns:
        An empty one if there is none, or if it is damaged and the ledger does not hold it.
    """
    try:
        path = out / files.MANIFEST
        text = facts.get(Fact.MANIFEST) or (path.read_bytes() if path.exists() else "{}")
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) and isinstance(document.get("drivers", []), list) else {}
