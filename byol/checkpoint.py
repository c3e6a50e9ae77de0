"""Checkpoints as safetensors files with a JSON header: nothing is pickled, and nothing pickled is read.

A checkpoint folder holds `state.safetensors` while a trial runs, from which it resumes bit for bit, and
`encoder.safetensors` once it is done.
"""

import json
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from byol.files import ENCODER, STATE, replacing
from byol.learner import Learner
from byol.networks import StandardisedConv2d
from byol.presets import from_settings


class CheckpointError(ValueError):
    """A checkpoint that belongs to another trial, or cannot be read; `str(error)` is one line."""


def save_state(learner: Learner, folder: Path) -> None:
    """Writes the learner's whole state to `folder`; replaces an earlier one in one step."""
    _save(learner.state(), folder / STATE, {"config": _config_json(learner)})


def load_state(learner: Learner, folder: Path) -> int:
    """Puts the state saved in `folder` into `learner`; returns its step, or 0 if nothing is saved there.

    Raises:
        CheckpointError: the file cannot be read, or belongs to another configuration.
    """
    path = folder / STATE
    if not path.exists():
        return 0
    saved_config = header(path).get("config")
    if saved_config is None or from_settings(json.loads(saved_config)) != learner.config:
        raise CheckpointError(f"{path}: holds the state of another trial")
    learner.load_state(load_file(path))
    return int(learner.step_index)


def save_encoder(learner: Learner, folder: Path, about: dict[str, str]) -> Path:
    """Writes the online encoder alone, named and shaped as torchvision's own; removes the state.

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
    (folder / STATE).unlink(missing_ok=True)
    return folder / ENCODER


def header(path: Path) -> dict[str, str]:
    """The JSON header of a safetensors file.

    Raises:
        CheckpointError: it is not a safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except Exception as error:  # safetensors raises its own error type, and OSError
        raise CheckpointError(f"{path}: is not a readable safetensors file ({error})") from error


def _config_json(learner: Learner) -> str:
    return json.dumps(learner.config.to_settings(), sort_keys=True)


def _save(tensors: dict[str, Tensor], path: Path, header: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as partial:
        save_file(on_cpu, partial, metadata=header)
