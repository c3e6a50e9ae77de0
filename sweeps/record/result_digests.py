"""Digests of the tables and of what was made from them, as `sha256sum --check` reads them.

They say whether report, findings and effects belong to the tables beside them, and whether any has been
damaged since. Dates could not: a flipped bit changes none.
"""

import hashlib
from pathlib import Path

from byol.files import write_text
from sweeps import files

_SOURCES = (files.STUDY, files.TRIALS, files.METRICS, files.SPECTRA)
RESULTS = (files.REPORT, files.FINDINGS, files.FINDINGS_DATA, files.EFFECTS)
"""What is made from the tables."""


def write_digests(out: Path) -> None:
    """Writes the digests of the tables and results in `out` as they are now."""
    lines = [f"{_digest(out / name)}  {name}\n" for name in (*_SOURCES, *RESULTS) if (out / name).exists()]
    write_text(out / files.RESULT_DIGESTS, "".join(lines))


def changed(out: Path) -> list[str]:
    """The names of the tables and results in `out` that are missing, or not as `write_digests` found them."""
    path = out / files.RESULT_DIGESTS
    text = path.read_bytes().decode(errors="replace") if path.exists() else ""
    recorded = {name: digest for digest, _, name in (line.partition("  ") for line in text.splitlines())}
    return [
        name
        for name in (*_SOURCES, *RESULTS)
        if not (out / name).exists() or recorded.get(name) != _digest(out / name)
    ]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
