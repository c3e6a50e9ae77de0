"""A trained encoder, from the file that a trial leaves or `export` writes. Needs no engine and no tables.

Shape suffixes: B batch, C channels, F features, H height, S side of a view, W width.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load
from torch import Tensor, nn

from byol.config import TrialConfig
from byol.errors import ConfigError
from byol.files import replacing
from byol.networks import build_encoder
from byol.own_parts import is_own
from byol.presets import from_settings
from byol.tensor_file import CheckpointError, verified_header
from byol.views import clean_view


@dataclass(frozen=True, kw_only=True)
class TrainedEncoder:
    """A trained encoder with what its file says about it."""

    module: nn.Module
    """[B, 3, S, S], as `prepared` returns it -> [B, F]; in eval mode, on the CPU, float32."""
    features: int
    """F."""
    config: TrialConfig
    """The trial that trained it; S is `config.image_size`."""
    dataset: str
    """The data set that it was trained on."""
    mean: tuple[float, ...]
    """Of its training images by channel, of pixels in 0..1: one value for gray images, else three."""
    std: tuple[float, ...]
    """Likewise."""

    def prepared(self, images_BCHW: Tensor) -> Tensor:
        """Images as the encoder was evaluated on them: resized to S and normalised.

        Args:
            images_BCHW: uint8, of any size and of as many channels as `mean` has values.

        Returns:
            float32 [B, 3, S, S].
        """
        return clean_view(images_BCHW, size=self.config.image_size, mean=self.mean, std=self.std)


def load_encoder(path: Path | str, *, own: bool = False) -> TrainedEncoder:
    """Reads the encoder of a file: builds the network that its header names, and loads the weights.

    Args:
        path: the file.
        own: whether it may be `MODULE:NAME`. The file then chooses which code of this machine runs, so
            say so only of a file that you trust.

    Raises:
        CheckpointError: it is no whole file of an encoder, its network is not one that this tool builds, or
            is somebody's own, and `own` is false.
        OtherPartError, PartError: the source of an own encoder is not here, or another, or fails.
        OSError: it cannot be opened.
    """
    return encoder_of(Path(path).read_bytes(), str(path), own=own)


def encoder_of(content: bytes, path: str, *, own: bool = False) -> TrainedEncoder:
    """As `load_encoder`, from what a file holds; `path` is what errors call it."""
    header = verified_header(content, path)
    try:
        config = from_settings(json.loads(header["config"]))
        mean, std = (tuple(map(float, json.loads(header[key]))) for key in ("mean", "std"))
    except KeyError as error:
        raise CheckpointError(f"{path}: is no trained encoder: its header has no {error}") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: its header cannot be read: {error}") from None
    if is_own(config.encoder) and not own:
        problem = f"names the encoder {config.encoder}, whose code would run"
        raise CheckpointError(
            f"{path}: {problem}; load_encoder(..., own=True) runs it, if you trust the file"
        )
    try:
        module, features = build_encoder(_plain(config))
        module.load_state_dict(load(content))
    except (ConfigError, RuntimeError):
        problem = f"its tensors are not those of the encoder {config.encoder}"
        raise CheckpointError(f"{path}: {problem} (was another one passed to train?)") from None
    return TrainedEncoder(
        module=module.eval().requires_grad_(False),
        features=features,
        config=config,
        dataset=header.get("dataset", config.dataset),
        mean=mean,
        std=std,
    )


def _plain(config: TrialConfig) -> TrialConfig:
    """The configuration of a network that gives the same output in eval mode, without parts for training.

    The file holds standardised weights, so the convolutions are plain ones.
    """
    norm = "group" if config.encoder_norm == "group-ws" else config.encoder_norm
    return dataclasses.replace(config, encoder_norm=norm, ghost_batch=0)


def write_onnx(encoder: TrainedEncoder, path: Path) -> None:
    """Writes an encoder as ONNX: `images` float32 [batch, 3, S, S], prepared -> `representation` [batch, F].

    The model's metadata are those of the safetensors file: configuration, data set, mean and std.

    Raises:
        ModuleNotFoundError: onnx or onnxscript is not installed.
        OSError: it cannot be written.
    """
    size = encoder.config.image_size
    program = torch.onnx.export(
        encoder.module,
        (torch.zeros(2, 3, size, size),),  # a batch of 1 would be taken for the only one
        input_names=["images"],
        output_names=["representation"],
        dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
        verbose=False,
    )
    assert program is not None
    about = {"config": encoder.config.to_settings(), "mean": encoder.mean, "std": encoder.std}
    program.model.metadata_props.update({key: json.dumps(value) for key, value in about.items()})
    program.model.metadata_props["dataset"] = encoder.dataset
    with replacing(path) as partial:
        program.save(partial)
