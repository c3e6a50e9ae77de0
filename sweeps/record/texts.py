"""study.yaml and manifest.json: the ledger holds what they say, and they are written again from there."""

import json
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
    for name, fact in _TEXTS.items():
        path = out / name
        if fact not in facts:
            continue
        problem = "was missing"
        if path.exists():
            if path.read_bytes() == facts[fact].encode():
                continue
            problem = "was not as it had been written"
        write_text(path, facts[fact])
        lines.append(f"{path}: {problem}; written again from {files.LEDGER}")
    return lines


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
