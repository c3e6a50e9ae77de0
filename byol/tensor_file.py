"""Digests of safetensors files, by which a torn or damaged one is told from a whole one. Imports no torch.

The digest, a SHA-256, stands in the file's own header under `sha256`. It is that of the whole file with 64
zeros in its place, so that it covers header and tensors alike.
"""

import hashlib
import io
import json
from pathlib import Path
from typing import BinaryIO

DIGEST = "sha256"
"""Key of the digest in the header."""
PLACEHOLDER = "0" * 64
"""What a file holds in place of its digest until `seal`."""

_CHUNK = 2**20
_LARGEST_HEADER = 100_000_000  # as in safetensors


class CheckpointError(ValueError):
    """A checkpoint that belongs to another trial, or is damaged; `str(error)` is one line."""


def seal(path: Path) -> None:
    """Writes the digest of a file that was saved with PLACEHOLDER as its digest into it."""
    with path.open("rb+") as file:
        header, _ = _header(file, str(path))
        offset = 8 + header.index(_entry(PLACEHOLDER)) + len(_entry("")) - 1
        digest = _digest(file, header)
        file.seek(offset)
        file.write(digest.encode())


def verified_header(
    content: Path | bytes, name: str | None = None, *, trial: str | None = None
) -> dict[str, str]:
    """The header of a whole file. A file of an earlier version has no digest: its length alone is checked.

    Args:
        content: the file, or what it holds.
        name: what errors call it; None is its path, or "the file" where only its content is given.
        trial: the id of the trial that it must be of, if it says one; None takes any.

    Raises:
        CheckpointError: it is no safetensors file, is damaged, or is of another trial.
        OSError: it cannot be opened.
    """
    name = name or (str(content) if isinstance(content, Path) else "the file")
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:
        header, metadata = _header(file, name)
        stored = metadata.get(DIGEST)
        if stored is None and "trial" in metadata:
            raise CheckpointError(f"{name}: is damaged: it says its trial, but has no digest")
        if stored is not None:
            plain = header.replace(_entry(stored), _entry(PLACEHOLDER))
            if _digest(file, plain) != stored:
                raise CheckpointError(f"{name}: is damaged: its content is not that of its digest")
    if trial is not None and metadata.get("trial", trial) != trial:
        raise CheckpointError(f"{name}: is of the trial {metadata['trial']}, not of {trial}")
    return metadata


def _header(file: BinaryIO, name: str) -> tuple[bytes, dict[str, str]]:
    """The bytes of the header, and what it says about the file, which is as long as it says."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(size - 8, _LARGEST_HEADER):
        raise CheckpointError(f"{name}: is not a readable safetensors file ({size} bytes)")
    header = file.read(length)
    try:
        document = json.loads(header)
        metadata = {str(key): str(value) for key, value in document.pop("__metadata__", {}).items()}
        ends = [int(tensor["data_offsets"][1]) for tensor in document.values()]
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
        raise CheckpointError(f"{name}: is not a readable safetensors file (its header is damaged)") from None
    whole = 8 + length + max(ends, default=0)
    if size != whole:
        raise CheckpointError(f"{name}: is damaged: has {size} bytes, but its header says {whole}")
    return header, metadata


def _entry(digest: str) -> bytes:
    return f'"{DIGEST}":"{digest}"'.encode()


def _digest(file: BinaryIO, header: bytes) -> str:
    """The digest of a file with `header` in place of its own, which is as long."""
    digest = hashlib.sha256(len(header).to_bytes(8, "little") + header)
    file.seek(8 + len(header))
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
