"""Measures and judges embeddings that were trained elsewhere, as trials."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from byol.config import TrialConfig
from byol.errors import shortened
from byol.measure.collapse import CollapseRule, Judgement, judge
from byol.measure.embedding_files import read_embeddings
from byol.measure.embeddings import Measured, measure_embeddings
from byol.measure.sample import judge_sample, known_to_differ, notes
from sweeps.measured.sources import Source
from sweeps.record.rows import METRICS

RULE = CollapseRule()
"""The rule of a study that sets none."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MeasuredTrial:
    """One trial, measured and judged."""

    source: Source
    trial_id: str
    """The name, with the first digits of the digest of its files: other embeddings have another id."""
    measured: tuple[Measured, ...]
    """By file."""
    judgement: Judgement
    """Of the last file. None for what it cannot tell."""
    reasons: tuple[str, ...]
    """Why it cannot be told whether it collapsed; empty if it can."""
    notes: tuple[str, ...]
    """What else to know of the last file."""

    @property
    def last(self) -> Measured:
        """The last measurement."""
        return self.measured[-1]

    def rows(self) -> list[dict[str, float | None]]:
        """Its rows of metrics.parquet, but for the trial's id; None for what embeddings do not tell."""
        return [_row(step, one) for (step, _), one in zip(self.source.files, self.measured, strict=True)]


def measure(
    sources: Sequence[Source],
    *,
    labels: Path | None,
    k: int,
    inputs_differ: bool,
    show: Callable[[str], None],
) -> list[MeasuredTrial]:
    """Measures and judges each trial. One file is in memory at a time.

    Args:
        sources: the trials.
        labels: an npy file with the labels of every file; None takes their own.
        k: neighbours of kNN.
        inputs_differ: whether the user says that the rows of a file are of different inputs.
        show: is told each file as it begins.

    Raises:
        ConfigError: a file cannot be read, or is beyond the limits.
    """
    total, done = sum(len(source.files) for source in sources), 0
    trials = []
    for source in sources:
        measured, digest = [], hashlib.sha256()
        for _, file in source.files:
            done += 1
            show(f"{done} of {total}: {shortened(str(file), 300)}")
            embeddings = read_embeddings(file, labels)
            measured.append(measure_embeddings(embeddings, k=k, temperature=TrialConfig.knn_temperature))
            digest.update(_digest(file))
        trials.append(_judged(source, measured, digest.hexdigest(), inputs_differ=inputs_differ))
    return trials


def _judged(source: Source, measured: list[Measured], digest: str, *, inputs_differ: bool) -> MeasuredTrial:
    rows = [_row(step, one) for (step, _), one in zip(source.files, measured, strict=True)]
    samples = [one.sample for one in measured]
    judgement = judge(rows, RULE)
    if not source.is_series:
        judgement = replace(judgement, onset_step=None)  # a single file has no step
    told, reasons = judge_sample(
        judgement,
        samples[-1],
        RULE,
        inputs_differ=inputs_differ or known_to_differ(samples, samples[-1]),
    )
    return MeasuredTrial(
        source=source,
        trial_id=f"{source.name}-{digest[:8]}",
        measured=tuple(measured),
        judgement=told,
        reasons=reasons,
        notes=notes(samples[-1]),
    )


def _row(step: int, measured: Measured) -> dict[str, float | None]:
    nothing: dict[str, float | None] = dict.fromkeys(METRICS)
    return {**nothing, **measured.values, "step": step}


def _digest(file: Path) -> bytes:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
