"""A trained encoder of a sweep as a file, with its card."""

from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path

from byol.errors import listed, nearest, shortened
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


def export_encoder(out: Path, trial_id: str, to: Path, *, force: bool = False) -> Path:
    """Writes the trained online encoder of a trial to the file `to`, and its card beside it.

    Args:
        out: the sweep's directory.
        trial_id: the trial's id, or a beginning that no other trial's id has.
        to: the file to write.
        force: whether `to` and the card may be there already, and are replaced.

    Returns:
        The card: `to` with .md added.

    Raises:
        RequestError: there is no such trial, it has no encoder, a package for ONNX is not installed, or `to`
            is there already or cannot be written.
        StorageError: the encoder is in a store that cannot be read.
    """
    search_in(Path())  # for the source of an encoder of the user's own
    card = _card_for(to, force=force)
    if to.suffix == ONNX:
        _check_packages(to)
    with directory.open_ledger(out) as ledger:
        trials, facts = {row.trial_id: row for row in ledger.trials()}, ledger.facts()
        row = trials[_in_full(trial_id, trials, out)]
        [controls] = controls_of(ledger, [row])
    store = Store(facts[Fact.STORAGE]) if Fact.STORAGE in facts else None
    content = Checkpoints(folder=out / files.CHECKPOINTS, store=store).encoder(row.trial_id)
    if content is None:
        state = row.end_reason or row.state.lower()
        raise RequestError(f"{out}: trial {row.trial_id} has no trained encoder (it is {state})")
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


def _card_for(to: Path, *, force: bool) -> Path:
    """The card's file; checks that it and `to` can be written."""
    card = Path(f"{to}.md")
    for path in (to, card):
        if path.is_dir():
            raise RequestError(f"{path}: must name a file to write, but is a folder")
    if not to.parent.is_dir():
        raise RequestError(f"{to}: must be in a folder that exists, but there is no folder {to.parent}")
    for path in (to, card):
        if path.exists() and not force:
            raise RequestError(f"{path}: must not exist yet, but is there (--force replaces it)")
    return card


def _in_full(beginning: str, trial_ids: Collection[str], out: Path) -> str:
    """The only trial id that begins so.

    Raises:
        RequestError: there is none, or there are several.
    """
    found = [trial_id for trial_id in trial_ids if trial_id.startswith(beginning)]
    if len(found) == 1:
        return found[0]
    if beginning in found:
        return beginning
    if found:
        raise RequestError(f'{out}: "{beginning}" begins the ids of {len(found):,} trials: {listed(found)}')
    hint = nearest(beginning, {trial_id[: len(beginning)] for trial_id in trial_ids})
    raise RequestError(f'{out}: has no trial "{shortened(beginning)}"{hint}')


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
