"""A trained encoder of a sweep as a file, with its card."""

from importlib.util import find_spec
from pathlib import Path

from byol.errors import nearest
from byol.files import replacing, write_text
from byol.own_parts import OtherPartError, PartError, is_own
from byol.part_source import search_in
from byol.tensor_file import CheckpointError
from sweeps import files
from sweeps.errors import RequestError
from sweeps.model_card import model_card
from sweeps.record import directory
from sweeps.record.rows import Fact, TrialRow
from sweeps.record.tables import controls_of
from sweeps.storage.checkpoints import Checkpoints
from sweeps.storage.store import Store

ONNX = ".onnx"
"""The end of a file that is written as ONNX. Any other is safetensors, as the trial left it."""
_ONNX_PACKAGES = ("onnx", "onnxscript")


def export_encoder(out: Path, trial_id: str, to: Path) -> Path:
    """Writes the trained online encoder of a trial to the file `to`, and its card beside it.

    Returns:
        The card: `to` with .md added.

    Raises:
        RequestError: there is no such trial, it has no encoder, a package for ONNX is not installed, or `to`
            cannot be written.
        StorageError: the encoder is in a store that cannot be read.
    """
    search_in(Path())  # for the source of an encoder of the user's own
    if to.is_dir():
        raise RequestError(f"{to}: must name a file to write, but is a folder")
    if to.suffix == ONNX:
        _check_packages(to)
    with directory.open_ledger(out) as ledger:
        trials, facts = {row.trial_id: row for row in ledger.trials()}, ledger.facts()
        if trial_id not in trials:
            raise RequestError(f'{out}: has no trial "{trial_id}"{nearest(trial_id, trials)}')
        row = trials[trial_id]
        [controls] = controls_of(ledger, [row])
    store = Store(facts[Fact.STORAGE]) if Fact.STORAGE in facts else None
    content = Checkpoints(folder=out / files.CHECKPOINTS, store=store).encoder(trial_id)
    if content is None:
        state = row.end_reason or row.state.lower()
        raise RequestError(f"{out}: trial {trial_id} has no trained encoder (it is {state})")
    card = to.with_name(f"{to.name}.md")
    text = model_card(row, controls, facts, content, to.name)
    try:
        if to.suffix == ONNX:
            _write_onnx(content, row, to)
        else:
            with replacing(to) as partial:
                partial.write_bytes(content)
        write_text(card, text)
    except OSError as error:
        raise RequestError(f"{to}: cannot be written: {error.strerror}") from None
    return card


def _check_packages(to: Path) -> None:
    missing = [name for name in _ONNX_PACKAGES if find_spec(name) is None]
    if missing:
        install = f"pip install {' '.join(_ONNX_PACKAGES)}"
        raise RequestError(
            f"{to}: ONNX needs packages that are not installed here: {', '.join(missing)} ({install})"
        )


def _write_onnx(content: bytes, row: TrialRow, to: Path) -> None:
    from byol.encoder_file import encoder_of, write_onnx

    own = is_own(str(row.settings["encoder"]))  # as the sweep planned it, whatever the file says
    try:
        write_onnx(encoder_of(content, f"the encoder of {row.trial_id}", own=own), to)
    except (CheckpointError, OtherPartError, PartError) as error:
        raise RequestError(str(error)) from None
