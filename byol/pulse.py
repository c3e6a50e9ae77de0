"""Signs of life of the training loop, for whoever watches this process: a count that rises while it works.

The loop counts batches, and what it measures with; nothing reads a number back from the device.
"""

_beats = 0


def beat() -> None:
    """Counts one more sign of life."""
    global _beats
    _beats += 1


def beats() -> int:
    """How many there have been in this process."""
    return _beats
