"""Looks up the versions of requirements.lock in the OSV database of known weaknesses, in `make check`.

`uv audit` does it, for a project of these versions that is made for it. Exit status: 0 none known, or no
database in reach, which is said; 1 some are known, and are listed.
"""

import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
SERVICE = "https://api.osv.dev"
"""The database of known weaknesses."""
_CONNECT_SECONDS = 2
_REGISTRY = "."
"""Where the packages are said to be from: a folder, so that no registry is asked about them."""


def audit(lock: Path, service: str = SERVICE) -> int:
    """Prints what is known of the versions in `lock`; returns the exit status."""
    parts = urlsplit(service)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((str(parts.hostname), port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        return _not_audited(f"{service}: {error}")
    with tempfile.TemporaryDirectory() as folder:
        _write_project(Path(folder), lock)
        found = _uv("audit", "--frozen", "--project", folder, "--service-url", service)
    if found.returncode not in (0, 1) or "Request failed" in found.stderr:
        return _not_audited(found.stderr)
    print((found.stdout + found.stderr).strip())
    return found.returncode


def _write_project(folder: Path, lock: Path) -> None:
    """A project that is locked to the versions of `lock`. Nothing is resolved, and nothing downloaded."""
    pins = re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    head = 'name = "audited"\nversion = "0"\n'
    names = sorted({name for name, _ in pins})
    project = f'[project]\n{head}requires-python = ">=3.11"\ndependencies = {names}\n'
    (folder / "pyproject.toml").write_text(project, encoding="utf-8")
    # Some packages are there twice, for different versions of Python, so that each needs all three keys.
    keys = [
        (f'name = "{name}"', f'version = "{version}"', f'source = {{ registry = "{_REGISTRY}" }}')
        for name, version in pins
    ]
    needed = "".join(f"    {{ {', '.join(each)} }},\n" for each in keys)
    packages = [f'[[package]]\n{head}source = {{ virtual = "." }}\ndependencies = [\n{needed}]\n']
    packages += ["\n".join(("[[package]]", *each, "")) for each in keys]
    text = "\n".join(('version = 1\nrequires-python = ">=3.11"\n', *packages))
    (folder / "uv.lock").write_text(text, encoding="utf-8")


def _uv(*arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "UV_HTTP_RETRIES": "0", "UV_PREVIEW_FEATURES": "audit-command"}
    command = [str(Path(sys.executable).with_name("uv")), *arguments]
    return subprocess.run(command, env=environment, check=False, capture_output=True, text=True)


def _not_audited(reason: str) -> int:
    lines = reason.strip().splitlines() or [""]
    print(f"not audited: no database in reach ({lines[-1].strip()})")
    return 0


if __name__ == "__main__":
    sys.exit(audit(ROOT / "requirements.lock"))
