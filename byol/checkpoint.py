"""Checkpoints as safetensors files with a JSON header: nothing is pickled, and nothing pickled is read.

A checkpoint folder holds `state.safetensors` while a trial runs, from which it resumes bit for bit, and the
state before; `encoder.safetensors` once it is done. Each says of which trial it is, and carries a digest.
"""

import json
import logging
import time
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from byol import tensor_file
from byol.files import ENCODER, PREVIOUS_STATE, STATE, remove_states, replacing
from byol.learner import Learner
from byol.networks import StandardisedConv2d
from byol.presets import from_settings
from byol.pulse import Stopped, is_told_to_end
from byol.sources import code_digest
from byol.tensor_file import CheckpointError as CheckpointError

_log = logging.getLogger(__name__)
SECONDS = 300.0
"""Least seconds between two states that are saved by time."""
SHARE = 0.02
"""Largest share of a trial's time that they take, so that a state that takes long is saved less often."""


class Saver:
    """Saves a learner's state now and then while it trains, and when it is told to end."""

    def __init__(self, learner: Learner, folder: Path, *, data: str, every: int | None) -> None:
        """Saves to `folder` every `every` steps; None is by time, and 0 never. `data` as of `save_state`."""
        self._learner, self._folder, self._data, self._every = learner, folder, data, every
        self._due, self._due_seconds = time.monotonic() + SECONDS, 0.0

    def after(self, step: int, seconds: float) -> None:
        """Saves the state after `step`, if that is due.

        Args:
            step: the last step.
            seconds: how long it has had a turn. Where several trials take turns that is less than the time
                that has passed, so that all of them together keep to SHARE.

        Raises:
            Stopped: the loop was told to end, and the state is saved. Without checkpoints nothing is.
        """
        if self._every == 0:
            return
        ends = is_told_to_end()
        by_time = time.monotonic() >= self._due and seconds >= self._due_seconds
        if ends or (step % self._every == 0 if self._every else by_time):
            began = time.monotonic()
            save_state(self._learner, self._folder, data=self._data)
            ended = time.monotonic()
            took = ended - began
            self._due, self._due_seconds = ended + SECONDS, seconds + took + took / SHARE
        if ends:
            raise Stopped


def save_state(learner: Learner, folder: Path, *, data: str = "") -> None:
    """Writes the learner's whole state to `folder`; the one before stays until the next is whole.

    Its header says under which code, versions and `data`, a digest, it came about.
    """
    header = {"config": _config_json(learner), **_ran_under(data)}
    _save(learner.state(), folder / STATE, header, previous=folder / PREVIOUS_STATE)


def load_state(learner: Learner, folder: Path, *, data: str = "") -> int:
    """Puts the latest whole state in `folder` into `learner`; returns its step, or 0 if there is none.

    A state that is damaged, or of another configuration, is skipped for the one before, with a warning. One
    that came about under other code, versions or data is removed, and so is the one before: a trial runs
    under one of each, and a state that stayed could be taken later, without the rows in between.
    """
    for path in (folder / STATE, folder / PREVIOUS_STATE):
        if not path.exists():
            continue
        try:
            header = tensor_file.verified_header(path)
        except CheckpointError as error:
            _log.warning("%s; removed, and the state before it taken, if there is one", error)
            path.unlink()  # so that it does not take the place of the one before
            continue
        if "config" not in header or from_settings(json.loads(header["config"])) != learner.config:
            _log.warning("%s: holds the state of another trial; not taken", path)
            continue
        changed = [key for key, value in _ran_under(data).items() if header.get(key, value) != value]
        if changed:
            _log.warning("%s: was made under other %s; the trial starts again", path, " and ".join(changed))
            remove_states(folder)
            return 0
        learner.load_state(load_file(path))
        return int(learner.step_index)
    return 0


def save_encoder(learner: Learner, folder: Path, about: dict[str, str]) -> Path:
    """Writes the online encoder alone, named and shaped as torchvision's own; removes the states.

    Where the encoder standardises its weights, the standardised ones are written, so that plain convolutions
    give the same output. The file's header holds the configuration and `about`.

    Returns:
        The path of the file.
    """
    encoder = learner.online.encoder
    tensors = dict(encoder.state_dict())
    for name, module in encoder.named_modules():
        if isinstance(module, StandardisedConv2d):
            tensors[f"{name}.weight"] = module.standardised_weight()
    _save(tensors, folder / ENCODER, {"config": _config_json(learner), **about})
    remove_states(folder)
    return folder / ENCODER


def _ran_under(data: str) -> dict[str, str]:
    """What a state depends on, besides the configuration. A state of an earlier version does not say."""
    versions = f"torch {torch.__version__}, numpy {np.__version__}"
    return {"code": code_digest(), "versions": versions, "data": data}


def _config_json(learner: Learner) -> str:
    return json.dumps(learner.config.to_settings(), sort_keys=True)


def _save(
    tensors: dict[str, Tensor], path: Path, header: dict[str, str], *, previous: Path | None = None
) -> None:
    """Writes a file with a digest, in one step. What was there goes to `previous` then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    on_cpu: dict[str, Tensor] = {}
    places: set[int] = set()
    for name, tensor in tensors.items():
        value = tensor.detach().cpu().contiguous()
        place = value.untyped_storage().data_ptr()
        on_cpu[name] = value.clone() if place in places else value  # of weights that layers share
        places.add(place)
    # In a sweep the folder's name is the trial's id.
    about = {**header, "trial": path.absolute().parent.name, tensor_file.DIGEST: tensor_file.PLACEHOLDER}
    with replacing(path) as partial:
        try:
            save_file(on_cpu, partial, metadata=about)
        except SafetensorError as error:  # which does not say where
            raise OSError(f"{path}: cannot be written: {error}") from error
        tensor_file.seal(partial)
        if previous is not None and path.exists():
            path.replace(previous)
