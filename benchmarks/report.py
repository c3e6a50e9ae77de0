"""What a part of the benchmarks has measured: a page of Markdown tables that says where and when."""

import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PACKAGES = ("torch", "ray", "lightly")
"""Packages whose versions every page names, where they are installed."""
_LOAD_BEFORE = os.getloadavg()[0]
"""The load before anything was measured: what other work there was."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table of a page."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    """A heading; none for a page's only table."""
    note: str = ""
    """What stands below the table."""

    def markdown(self) -> str:
        """The table, its heading above and its note below it."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
        return "\n\n".join(part for part in (self.title and f"## {self.title}", table, self.note) if part)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What one part has measured."""

    title: str
    setup: str
    """What ran, how often, and how its figures are to be read: n included."""
    tables: Sequence[Table]
    machine: str = field(default_factory=lambda: machine())
    """Where and when."""

    def markdown(self) -> str:
        """The page."""
        parts = (f"# {self.title}", self.setup, *(table.markdown() for table in self.tables), self.machine)
        return "\n\n".join(parts) + "\n"


def machine(accelerator: str = "") -> str:
    """Hardware, load, versions, commit and date, in one paragraph.

    Args:
        accelerator: the GPU that was measured, if one was.
    """
    cores = len(os.sched_getaffinity(0))
    hardware = ", ".join(
        part
        for part in (
            accelerator,
            f"{cores} cores of {_processor()}",
            f"load {_LOAD_BEFORE:.1f} before",
        )
        if part
    )
    versions = ", ".join([f"Python {platform.python_version()}", *_versions(PACKAGES)])
    return f"{hardware}. {versions}; {_commit()}; {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC."


def _versions(packages: Iterable[str]) -> list[str]:
    found = []
    for name in packages:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    """The processor's name and its bf16 instructions, as Linux knows them."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    values = dict(line.split("\t", 1) for line in lines if "\t" in line)
    named = {key: value.strip(" \t:") for key, value in values.items()}
    name = named.get("model name") or platform.processor() or platform.machine()
    bf16 = [flag for flag in ("avx512_bf16", "amx_bf16") if flag in named.get("flags", "").split()]
    return f"{name} ({', '.join(bf16) or 'no bf16 of its own'})"


def _commit() -> str:
    """The commit of the code that was measured, and whether it was changed since."""
    root = Path(__file__).parent
    try:
        head, changed = (
            subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout
            for words in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.CalledProcessError):
        return "commit unknown"
    return f"commit {head.strip()}{', changed since' if changed else ''}"


def write(report: Report, part: str, folder: Path | None) -> None:
    """Prints a page, and writes it to `folder` as the part's file."""
    text = report.markdown()
    print(text, flush=True)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{part}.md"
        file.write_text(text)
        print(f"written to {file}", file=sys.stderr, flush=True)
