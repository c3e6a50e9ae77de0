"""Digests of the tables and of what was made from them, as `sha256sum --check` reads them.

They say whether report, findings and effects belong to the tables beside them, and whether any has been
damaged since. Dates could not: a flipped bit changes none.
"""

import hashlib
import json
from pathlib import Path

from byol.files import write_text
from sweeps import files
from sweeps.record import checksums

TABLES = (files.TRIALS, files.METRICS, files.SPECTRA)
_SOURCES = (files.STUDY, *TABLES)
RESULTS = (files.REPORT, files.FINDINGS, files.FINDINGS_DATA, files.EFFECTS)
"""What is made from the tables."""
_BEFORE = "before"


def write_digests(out: Path) -> None:
    """Writes the digests of the tables and results in `out` as they are now."""
    lines = [f"{digest(out / name)}  {name}\n" for name in (*_SOURCES, *RESULTS) if (out / name).exists()]
    text = "".join(lines)
    write_text(out / files.RESULT_DIGESTS, f"# {checksums.of_text(text)}\n{text}")


def changed(out: Path) -> list[str]:
    """The names of the tables and results in `out` that are missing, or not as `write_digests` found them."""
    known = recorded(out)
    return [
        name
        for name in (*_SOURCES, *RESULTS)
        if not (out / name).exists() or known.get(name) != digest(out / name)
    ]


def recorded(out: Path) -> dict[str, str]:
    """The digests of the tables and results in `out`, by name, as `write_digests` wrote them.

    Empty if their file is missing, or damaged, which its first line tells; one of an earlier version has no
    such line.
    """
    path = out / files.RESULT_DIGESTS
    text = path.read_bytes().decode(errors="replace") if path.exists() else ""
    first, _, rest = text.partition("\n")
    if "  " not in first:
        if first != f"# {checksums.of_text(rest)}":
            return {}
        text = rest
    return {name: digest for digest, _, name in (line.partition("  ") for line in text.splitlines())}


def tables_text(new: dict[str, str], before: dict[str, str]) -> str:
    """The fact TABLES: digests of tables that are about to take the place of those `before`, by name."""
    return json.dumps({**new, _BEFORE: before})


def written_tables(fact: str | None) -> list[dict[str, str]]:
    """What the fact TABLES says may be in the directory: the tables written last, and those before.

    A driver that was killed may have put some of them in place, and not all.
    """
    written = json.loads(fact or "{}")
    return [written, written.pop(_BEFORE, {})]


def of_tables(out: Path) -> dict[str, str]:
    """The digests of the tables in `out` as they are now, by name."""
    return {name: digest(out / name) for name in TABLES if (out / name).exists()}


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
