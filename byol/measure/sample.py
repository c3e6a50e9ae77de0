"""What a set of embeddings can tell as a sample, before anybody calls it collapsed.

A trial of this tool is always measured on the same thousands of different images. Embeddings from elsewhere
may be of a few rows, or of one image many times, and then a small std is that of the inputs. Nothing in the
numbers tells the two apart, so here is said when a verdict must wait, and why.

Shape suffixes: N rows, D dimensions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from byol.errors import plural
from byol.measure.collapse import CollapseRule, Judgement

LEAST_ROWS = 32
"""Rows, and different rows, below which nothing is called collapse; docs/measure.md says why 32."""
LEAST_SPAN = 4
"""Dimensions, and different rows, that a cloud must have before an effective rank below 2 says anything."""
_ROUNDING = 1e-6  # relative difference of two rows that computing in float32 leaves
_NAMED = 5  # rows that a message names


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What is known of the rows of one file."""

    rows: int
    dimensions: int
    different: int
    """Finite rows that differ from each other in any bit. 1 if they are equal but for rounding."""
    zero: int
    """Rows of zeros, which have no direction."""
    not_finite: tuple[int, ...]
    """The rows, from 0, that hold NaN or an infinity."""
    classes: int | None
    """Different labels; None without labels."""


def sample_of(x_ND: Tensor, labels_N: Tensor | None) -> Sample:
    """Counts the rows of embeddings as they were kept, [N, D]."""
    broken_N = ~x_ND.isfinite().all(dim=1)
    rows = zip(x_ND.view(torch.uint8).numpy(), broken_N.tolist(), strict=True)
    different = len({hash(bytes(row)) for row, broken in rows if not broken})
    if different > 1 and _is_constant(x_ND[~broken_N]):
        different = 1
    return Sample(
        rows=len(x_ND),
        dimensions=x_ND.shape[1],
        different=different,
        zero=int((x_ND == 0).all(dim=1).sum()),
        not_finite=tuple(broken_N.nonzero().flatten().tolist()),
        classes=None if labels_N is None else len(labels_N.unique()),
    )


def _is_constant(x_ND: Tensor) -> bool:
    """Whether all rows are equal but for what computing, or the type in which they were kept, rounds."""
    tolerance = max(_ROUNDING, torch.finfo(x_ND.dtype).eps)
    first_D = x_ND[0].double()
    furthest = (x_ND - x_ND[0]).double().norm(dim=1).max()
    return bool(furthest <= tolerance * first_D.norm())


def judge_sample(
    judgement: Judgement, sample: Sample, rule: CollapseRule, *, inputs_differ: bool
) -> tuple[Judgement, tuple[str, ...]]:
    """Takes back what such a sample cannot tell.

    Args:
        judgement: what the rule says of the numbers.
        sample: of the same rows.
        rule: its thresholds.
        inputs_differ: whether the rows are known to be of different inputs.

    Returns:
        The judgement with None for what cannot be told, and a reason for each of these.
    """
    if sample.not_finite:
        return judgement, ()
    unknown = replace(
        judgement, collapsed=None, projection_collapsed=None, dimensional_collapse=None, onset_step=None
    )
    if sample.rows < LEAST_ROWS:
        reason = (
            f"{plural(sample.rows, 'row')} cannot tell: at least {LEAST_ROWS} of different inputs are needed"
        )
        return unknown, (reason,)
    inputs_differ = inputs_differ or (sample.different == 1 and (sample.classes or 0) > 1)
    few = sample.different < LEAST_ROWS and not inputs_differ
    if few and (judgement.collapsed or judgement.projection_collapsed or judgement.dimensional_collapse):
        return unknown, (_few(sample),)
    span = min(sample.dimensions, sample.different)
    if judgement.dimensional_collapse and span < LEAST_SPAN:
        what = "dimensions" if sample.dimensions == span else "different rows"
        reason = (
            f"dimensional collapse cannot be told from {span} {what}: at least {LEAST_SPAN} are needed for "
            f"an effective rank below {rule.rank_threshold:g} to say anything"
        )
        return replace(judgement, dimensional_collapse=None), (reason,)
    return judgement, ()


def _few(sample: Sample) -> str:
    if sample.different == 1:
        rows, remedy = "all rows are equal", "labels of two classes, a file of another step whose rows differ"
    else:
        rows = f"only {sample.different} of {sample.rows:,} rows differ"
        remedy = f"a file of another step in which at least {LEAST_ROWS} rows differ"
    return (
        f"{rows}: either the network has collapsed, or its inputs were equal; what tells them apart is "
        f"{remedy}, or --different-inputs if you know that the inputs were different"
    )


def notes(sample: Sample) -> tuple[str, ...]:
    """What else to know of the sample, which changes no verdict. Each without a full stop."""
    found = []
    if sample.not_finite:
        more = len(sample.not_finite) - _NAMED
        named = ", ".join(map(str, sample.not_finite[:_NAMED])) + (f" and {more} more" if more > 0 else "")
        verb = "is" if len(sample.not_finite) == 1 else "are"
        rows = "row" if len(sample.not_finite) == 1 else "rows"
        found.append(f"{rows} {named} (from 0) {verb} not finite")
    if sample.zero:
        found.append(f"{plural(sample.zero, 'row')} of zeros, which have no direction")
    copies = sample.rows - len(sample.not_finite) - sample.different
    if copies and sample.different > 1:
        found.append(
            f"{plural(copies, 'row')} of {sample.rows:,} repeat{'s' if copies == 1 else ''} an earlier one; "
            "copies of an input make kNN too high"
        )
    if LEAST_ROWS <= sample.rows <= sample.dimensions and sample.different > 1:
        found.append(
            f"{sample.rows:,} rows in {sample.dimensions:,} dimensions: no rank exceeds {sample.rows:,} "
            f"(centred, {sample.rows - 1:,}), so ranks and spectrum count rows, not the dimensions in use"
        )
    if sample.classes == 1:
        found.append("all labels are the same, so there is no kNN accuracy")
    return tuple(found)


def known_to_differ(samples: Sequence[Sample], last: Sample) -> bool:
    """Whether some sample of the same inputs shows that they differ: as many rows, enough different."""
    return any(one.rows == last.rows and one.different >= LEAST_ROWS for one in samples)
