"""Whole safetensors files with a digest, made without torch."""

import hashlib
import json

from byol.tensor_file import DIGEST, PLACEHOLDER


def tensor_file(data: bytes, trial: str = "trial") -> bytes:
    """A file of the trial `trial` with one tensor of bytes, sealed as `byol.tensor_file` documents it."""
    header = {
        "__metadata__": {"trial": trial, DIGEST: PLACEHOLDER},
        "w": {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]},
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    plain = len(text).to_bytes(8, "little") + text + data
    return plain.replace(PLACEHOLDER.encode(), hashlib.sha256(plain).hexdigest().encode())


def data_of(content: bytes) -> bytes:
    """The tensor's bytes."""
    return content[8 + int.from_bytes(content[:8], "little") :]
