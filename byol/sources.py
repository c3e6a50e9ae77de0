"""Which code trains: a digest of this package's sources, by which two states of it are told apart."""

import functools
import hashlib
from pathlib import Path


@functools.cache
def code_digest() -> str:
    """SHA-256, in hex, of the names and bytes of this package's Python files, as the process found them.

    A trial's numbers follow from these files, its configuration, its data, the packages and the machine.
    """
    folder, digest = Path(__file__).parent, hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()
