"""study.yaml and manifest.json: the ledger holds what they say, and they are written again from there."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from byol.files import write_text
from sweeps import files
from sweeps.errors import DirectoryError, RequestError
from sweeps.record.directory import rule_text
from sweeps.record.ledger import Ledger
from sweeps.record.rows import Fact
from sweeps.study import load_study

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
    """Checks that study.yaml judges as the sweep did. A ledger of an earlier version does not hold it.

    Raises:
        DirectoryError: it does not, or cannot be read.
    """
    path, recorded = out / files.STUDY, ledger.facts().get(Fact.COLLAPSE)
    try:
        differs = path.exists() and rule_text(load_study(path)) != recorded
    except RequestError as error:
        problem = str(error)
    else:
        if not differs:
            return
        problem = f"its collapse rule is not that of {files.LEDGER}, {recorded}"
    raise DirectoryError(f"{path}: is damaged: {problem}; `run STUDY --out {path.parent}` writes it again")


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
