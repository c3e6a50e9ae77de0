"""The card of an exported encoder: what it is, how it was trained, what was measured, how to load it."""

import json
from collections.abc import Mapping, Sequence

from byol.config import Scalar, default_value
from byol.dataset_names import EMBEDDED_SETS
from byol.errors import plural
from byol.measure.collapse import CollapseRule
from byol.own_parts import is_own
from byol.tensor_file import verified_header
from sweeps import __version__, files
from sweeps.errors import RequestError
from sweeps.record.rows import SAMPLE, WINNER, Fact, TrialRow
from sweeps.record.tables import Controls
from sweeps.study import Study, designs, study_from_text

LICENCES = {
    **dict.fromkeys((*EMBEDDED_SETS, "fashion-mnist"), "MIT, copyright 2017 Zalando SE"),
    **dict.fromkeys(("cifar10", "cifar100"), "none stated by its authors"),
}
"""The licences of data sets, where known."""

_LOAD = """\
from byol.encoder_file import load_encoder

encoder = load_encoder({file}{own})
y = encoder.module(encoder.prepared(images))  # uint8 [B, {channels}, H, W] -> [B, F]"""
_LOAD_ONNX = """\
import onnxruntime

session = onnxruntime.InferenceSession({file})
[y] = session.run(None, {{"images": images}})  # float32 [B, 3, {size}, {size}], as above -> [B, F]"""


def model_card(row: TrialRow, controls: Controls, facts: Mapping[str, str], content: bytes, file: str) -> str:
    """The card, as Markdown.

    Args:
        row: the trial.
        controls: what its accuracy is compared with.
        facts: the ledger's, which hold the study.
        content: the encoder's safetensors file.
        file: the name of the exported file.
    """
    study = _study(facts)
    header = verified_header(content, f"the encoder of {row.trial_id}")
    rule = CollapseRule(**json.loads(facts[Fact.COLLAPSE]))
    title = f": {study.title}" if study and study.title != study.name else ""
    load = _LOAD_ONNX if file.endswith(".onnx") else _LOAD
    own = ", own=True" if is_own(str(row.settings["encoder"])) else ""  # runs its code
    channels = len(json.loads(header.get("mean", "[0, 0, 0]")))
    lines = [
        f"# Encoder of trial {row.trial_id}",
        "",
        f"`{file}` was trained by the study {facts.get(Fact.STUDY, 'of no known name')}{_cell(title)}",
        "",
        *_warnings(row, rule, controls),
        *_table("what it is", "", _description(row, controls, study, header)),
        *_table("measured at its last step", "compare", _results(row, rule, controls)),
        "This is one trial of one seed. How far such numbers vary is in the sweep's report.",
        "",
        *_table("made with", "", _origin(row, controls)),
        "```python",
        load.format(file=json.dumps(file), own=own, channels=channels, size=row.settings["image_size"]),
        "```",
        "",
        "docs/export.md of BYOL Sweeps shows how to load it without this tool.",
    ]
    return "\n".join(lines) + "\n"


def _study(facts: Mapping[str, str]) -> Study | None:
    """The study as resolved; None if the ledger, of an earlier version, holds none that can be read."""
    try:
        return study_from_text(facts[Fact.STUDY_FILE], files.STUDY)
    except (KeyError, RequestError):
        return None


def _warnings(row: TrialRow, rule: CollapseRule, controls: Controls) -> list[str]:
    """What a reader must know first."""
    lines = []
    if row.collapsed:
        lines.append("**Its representation collapsed.**")
    if row.projection_collapsed:
        lines.append("**Its projection collapsed.**")
    if row.dimensional_collapse:
        lines.append(f"**Its representation has an effective rank below {rule.rank_threshold:g}.**")
    if row.end_reason not in (None, "finished"):
        lines.append(
            f"**It did not train to its end**: {row.end_reason}, after {plural(row.steps_run, 'step')}."
        )
    start = controls.knn_accuracy_start
    if row.knn_accuracy is not None and start is not None and row.knn_accuracy <= start:
        lines.append("**It is no better than its own untrained encoder** in kNN accuracy.")
    return [part for line in lines for part in (line, "")]


def _description(
    row: TrialRow, controls: Controls, study: Study | None, header: Mapping[str, str]
) -> list[tuple[str, str]]:
    settings = row.settings
    size, dataset = settings["image_size"], str(settings["dataset"])
    images = f"{settings['train_images']:,}" if settings["train_images"] else "all"
    levels = ", ".join(f"`{name}: {value}`" for name, value in row.labels.items())
    known = "mean" in header and "std" in header
    normalised = f"mean {header['mean']}, std {header['std']}" if known else "mean and std not known"
    return [
        ("encoder", f"{settings['encoder']}, normalisation {settings['encoder_norm']}"),
        (
            "input",
            f"float32 [B, 3, {size}, {size}]: pixels in 0..1, resized (bicubic), minus mean, over std",
        ),
        ("normalised by", normalised),
        ("data", f"{dataset}, {images} training images; digest {controls.data_digest or 'not known'}"),
        ("licence of the data", LICENCES.get(dataset, "not known to this tool")),
        (
            "training",
            f"{row.steps_run:,} of {plural(row.steps_planned, 'step')} of {settings['batch_size']:,} images",
        ),
        ("seed", str(row.seed)),
        ("searched values" if row.design in (SAMPLE, WINNER) else "cell", levels or "the only one"),
        ("differs from the study's reference in", _differences(settings, study)),
    ]


def _differences(settings: Mapping[str, Scalar], study: Study | None) -> str:
    """The settings in which a trial differs from the reference, each with the reference's value."""
    if study is None:
        return "not known"
    try:
        reference = designs.reference_cell(study.reference, study.factors).config.to_settings()
    except designs.CellError:  # a search, or a factorial that excludes it, runs no such cell
        return "not known, for the reference is no cell that could run"
    lines = []
    for name in dict.fromkeys((*reference, *settings)):
        here, there = (of.get(name, default_value(name)) for of in (settings, reference))
        if here != there and name != "seed" and not name.endswith("_code"):
            lines.append(f"`{name}: {_value(here)}` (reference: {_value(there)})")
    return ", ".join(lines) or "nothing"


def _value(value: Scalar | None) -> str:
    return "not set" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _results(row: TrialRow, rule: CollapseRule, controls: Controls) -> list[tuple[str, str, str]]:
    representation = (
        f"{_yes(row.collapsed)} (below {rule.representation_threshold:g}); 1 is isotropic, 0 a point"
    )
    projection = f"{_yes(row.projection_collapsed)} (below {rule.projection_threshold:g})"
    return [
        *_accuracies(row, controls),
        ("std of the representation", _number(row.representation_std), f"collapsed: {representation}"),
        ("std of the projection", _number(row.projection_std), f"collapsed: {projection}"),
        (
            "effective rank of the representation",
            _number(row.effective_rank),
            f"dimensional collapse: {_yes(row.dimensional_collapse)} (below {rule.rank_threshold:g})",
        ),
    ]


def _accuracies(row: TrialRow, controls: Controls) -> list[tuple[str, str, str]]:
    """The accuracies, each only beside what it must be compared with."""
    start, pixels, chance = controls.knn_accuracy_start, controls.knn_accuracy_pixels, controls.chance
    if row.knn_accuracy is None:
        return [("kNN accuracy", "not measured", "")]
    if start is None or pixels is None or chance is None:
        return [("kNN accuracy", "not shown", "because its own start, raw pixels or chance are not known")]
    gain = f"{100 * (row.knn_accuracy - start):+.1f}"
    compare = f"own untrained start {start:.1%} ({gain} points), raw pixels {pixels:.1%}, chance {chance:.1%}"
    rows = [(f"kNN accuracy, {controls.test_images:,} test images", f"{row.knn_accuracy:.1%}", compare)]
    if row.probe_accuracy is not None:
        rows.append(("accuracy of a linear probe", f"{row.probe_accuracy:.1%}", f"chance {chance:.1%}"))
    return rows


def _origin(row: TrialRow, controls: Controls) -> list[tuple[str, str]]:
    states = {True: "", False: ", with changes that are not committed", None: ", perhaps changed"}
    commit = f"{row.commit}{states[row.clean]}" if row.commit else "not known"
    return [
        ("versions", row.versions or "not known"),
        ("commit of BYOL Sweeps", commit),
        ("digest of the learner's code", row.code or "not known"),
        ("device, precision", f"{row.device or 'not known'}, {controls.precision or 'not known'}"),
        ("card written by", f"BYOL Sweeps {__version__}"),
    ]


def _table(head: str, second: str, rows: Sequence[tuple[str, ...]]) -> list[str]:
    columns = len(rows[0])
    heads = [head, "", second][:columns]
    cells = [heads, ["---"] * columns, *rows]
    return [*(f"| {' | '.join(map(_cell, each))} |" for each in cells), ""]


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:.3g}"


def _yes(value: bool | None) -> str:
    return {True: "yes", False: "no", None: "not known"}[value]
