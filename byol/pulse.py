"""What the training loop tells whoever watches this process, and is told: it lives; it is to save and end.

The loop counts batches, and what it measures with; nothing reads a number back from the device.
"""

_beats = 0
_ends = False


class Stopped(Exception):
    """A trial was told to end, and has saved its state."""


def beat() -> None:
    """Counts one more sign of life."""
    global _beats
    _beats += 1


def beats() -> int:
    """How many there have been in this process."""
    return _beats


def tell_to_end(ends: bool = True) -> None:
    """Tells the loops of this process to save their states after the step at work, and to raise Stopped."""
    global _ends
    _ends = ends


def is_told_to_end() -> bool:
    """Whether they have been told."""
    return _ends
