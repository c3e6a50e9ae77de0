"""What may happen to a file."""

import random
from pathlib import Path

HOWS = ("flipped", "cut", "emptied", "deleted")


def damage(path: Path, how: str, seed: object) -> None:
    """Flips one bit of a file, cuts it, empties it or deletes it; where, depends on the seed."""
    draws = random.Random(f"{path.name} {how} {seed}")
    content = bytearray(path.read_bytes())
    if how == "deleted":
        path.unlink()
        return
    if how == "flipped" and content:
        content[draws.randrange(len(content))] ^= 1 << draws.randrange(8)
    path.write_bytes(
        content[: draws.randrange(len(content) or 1)] if how == "cut" else content * (how != "emptied")
    )
