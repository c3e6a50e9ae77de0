"""The limits of a study, which docs/study-format.md states. They are checked before cells are built.

They are far above what a sweep can run, and low enough that a slip of the pen is answered at once.
"""

from byol.config import TrialConfig
from byol.errors import ConfigError

LONGEST_FILE = 256 * 1024
"""Characters of a study file."""
LONGEST_TEXT = 10_000
"""Characters of a text: a question, a path."""
LONGEST_NAME = 200
"""Characters of a name: of the study, of a factor, of a level."""
LONGEST_PATH = 1_000
"""Characters of a key with all keys above it."""
WHOLE_NUMBERS = range(-(2**63), 2**63)
"""The whole numbers that a column of the tables can hold."""
MOST_FACTORS = 100
"""Factors of a study."""
MOST_LEVELS = 1_000
"""Levels of a factor, or choices of a parameter."""
MOST_CELLS = 10_000
"""Combinations of levels that a design makes, before any is excluded."""
MOST_EXCLUDED = 1_000
"""Entries under `exclude`."""
MOST_GENERATORS = 10
"""Generators of a fractional design."""
MOST_SEEDS = 10_000
"""Seeds of a study."""
MOST_TRIALS = 100_000
"""Trials of a study, with all seeds that may run; samples of a search."""
MOST_SECONDS = 1e9
"""Wall seconds that a study states for a trial: 30 years."""
MOST_RESOURCES = 100_000
"""CPUs or GPUs of a trial."""
NO_PACKS = "must be 1 in a search, which draws one sample after another"
MOST_EPOCHS = 1_000_000
"""Epochs of a trial, or of its warm-up."""
MOST_MEMORY = 2**38
"""Bytes that a trial is known to need: 256 GiB, about what the largest accelerators hold."""


def count_text(count: int) -> str:
    """A count as messages show it.

    >>> count_text(10_000), count_text(10**40)
    ('10,000', '1e+40')
    """
    return f"{count:,}" if count < 10**15 else f"{count:.0e}" if count < 10**300 else "more than 1e+300"


def check_size(config: TrialConfig) -> None:
    """Checks that a trial is not longer and not larger than any machine could run.

    What it needs is estimated from below: four copies of the heads' weights (online network, target,
    gradient, momentum), and pixels and features of all views of the images that go through the networks
    together, in fp32.

    Raises:
        ConfigError: it is.
    """
    for key in ("epochs", "warmup_epochs"):
        if getattr(config, key) > MOST_EPOCHS:
            raise ConfigError(key, getattr(config, key), f"must be at most {MOST_EPOCHS:,}")
    needed = _known_bytes(config)
    if sum(needed.values()) > MOST_MEMORY:
        key = max(needed, key=lambda name: needed[name])
        gib = count_text(sum(needed.values()) // 2**30)
        rule = (
            f"must leave a trial below {MOST_MEMORY // 2**30} GiB of memory, but it needs at least {gib} GiB"
        )
        raise ConfigError(key, getattr(config, key), rule)


def _known_bytes(config: TrialConfig) -> dict[str, int]:
    """Setting -> the bytes that a trial needs because of it."""
    projector, predictor = config.projector_width, config.predictor_width
    size = (
        config.projector_size if config.projector_depth else 0
    )  # else the encoder's features, not known here
    has_mlp, is_matrix = (
        config.predictor in ("mlp", "frozen"),
        config.predictor in ("linear", "directpred", "directcopy"),
    )
    rows = config.view_count * config.part_size
    slices = config.sigreg_slices if config.sigreg_weight > 0 else 0
    return {
        "batch_size": 4 * rows * 3 * config.image_size**2,
        "projector_width": _head_bytes(config.projector_depth, projector, size, rows),
        "predictor_width": _head_bytes(config.predictor_depth, predictor, 2 * size, rows) if has_mlp else 0,
        "projector_size": 4 * (rows * size + (4 * size**2 if is_matrix else 0)),
        "sigreg_slices": 4 * slices * (17 * rows + size),
    }


def _head_bytes(depth: int, width: int, ends: int, rows: int) -> int:
    """Bytes of a head's hidden layers: four copies of its weights, and its features of `rows` images."""
    if depth <= 1:
        return 0
    return 4 * (4 * ((depth - 2) * width**2 + width * ends) + rows * width * (depth - 1))
