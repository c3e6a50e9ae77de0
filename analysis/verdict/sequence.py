"""The level at which each look of a sequence is tested, so that all looks together err as rarely as one.

A sequence adds a seed at a time and looks for a rule after each, from its least number of seeds to its
most. Each look has an equal share of LEVEL (Bonferroni). A look at which no p-value could be as small as what
may be spent spends nothing and leaves its share to the next look: few cells have few arrangements, and so no
small p with few seeds. What is spent depends on how many trials collapsed in each seed, and not on where.
The test takes these numbers as given, so the bound holds: if nothing matters, a rule passes at some look in
at most LEVEL of the sequences, wherever they stop.
"""

import math

from analysis.results import SeedSequence
from analysis.stats import Floats
from analysis.verdict.search import LEVEL, smallest_p


def level_at(collapsed_CS: Floats, sequence: SeedSequence | None) -> float:
    """The level at which the look after these seeds is tested; LEVEL without a sequence.

    0 at a look that spends nothing, also before the first look: no rule passes there. Seeds beyond the
    sequence's belong to its last look.

    Args:
        collapsed_CS: 1 where the trial of a cell and seed collapsed, 0 where not, NaN without one. Seeds in
            the order in which they ran.
        sequence: the looks.

    >>> import numpy as np
    >>> four = np.tile([[0.0], [0.0], [0.0], [1.0]], 5)
    >>> looks = SeedSequence(least=2, most=6)
    >>> [round(level_at(four[:, :seeds], looks), 3) for seeds in (1, 2, 3, 4, 5)]
    [0.0, 0.0, 0.02, 0.01, 0.01]
    """
    if sequence is None:
        return LEVEL
    looks = sequence.most - sequence.least + 1
    at_hand = collapsed_CS.shape[1]
    saved = level = 0.0
    for seeds in range(sequence.least, min(at_hand, sequence.most) + 1):
        saved += LEVEL / looks
        so_far_CS = collapsed_CS if seeds == sequence.most else collapsed_CS[:, :seeds]
        level = saved if smallest_p(so_far_CS) <= saved else 0.0
        saved -= level
    return level


def can_pass(cells: int, collapsed_CS: Floats, sequence: SeedSequence) -> bool:
    """Whether any outcome of the seeds still to come could let a rule pass.

    Args:
        cells: how many have trials in each of these seeds.
        collapsed_CS: as for `level_at`.
        sequence: the looks.
    """
    to_come = sequence.most - collapsed_CS.shape[1]
    most_ways = math.comb(cells, cells // 2) ** max(0, to_come)
    return bool(smallest_p(collapsed_CS) / most_ways <= LEVEL)
