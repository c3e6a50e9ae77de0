"""A trained encoder is loaded as it was, and its ONNX computes the same."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from byol import checkpoint
from byol.encoder_file import TrainedEncoder, load_encoder, write_onnx
from byol.learner import Learner
from byol.presets import from_settings
from byol.tensor_file import CheckpointError

ROOT = Path(__file__).parents[2]
ABOUT = {"dataset": "fashion-mnist-8k", "mean": "[0.25]", "std": "[0.5]"}
NETWORKS: dict[str, dict[str, object]] = {
    "tiny": {},
    "ghost": {"ghost_batch": 2},
    "weight standardisation": {"encoder_norm": "group-ws"},
    "no normalisation": {"encoder_norm": "none"},
    "resnet18": {"encoder": "resnet18"},
    "shufflenet": {"encoder": "shufflenet_v2_x1_0", "encoder_norm": "native", "image_size": 32},
}


def trained(settings: dict[str, object], folder: Path) -> tuple[Path, Learner]:
    """The file of an encoder after two steps, and its learner."""
    config = from_settings({"image_size": 16, "batch_size": 8, "steps": 2, **settings})
    learner = Learner(config, train_images=200, device=torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        size = config.image_size
        learner.step(*(torch.rand(8, 3, size, size, generator=generator) for _ in range(2)))
    return checkpoint.save_encoder(learner, folder, ABOUT), learner


def images_for(encoder: TrainedEncoder) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return encoder.prepared(torch.randint(256, (5, 1, 28, 28), generator=generator, dtype=torch.uint8))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", NETWORKS)
def test_the_loaded_encoder_gives_the_same_representation(name: str, tmp_path: Path) -> None:
    path, learner = trained(NETWORKS[name], tmp_path)
    encoder = load_encoder(path)
    images = images_for(encoder)
    with torch.no_grad():
        expected = learner.online.eval().encoder(images)
    assert expected.shape == (5, encoder.features)
    assert expected.std(dim=0).max() > 1e-6
    # The learner's weights lie in channels_last, so sums are in another order.
    torch.testing.assert_close(encoder.module(images), expected, atol=1e-5, rtol=1e-5)
    assert encoder.config == learner.config
    assert not encoder.module.training


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["tiny", "weight standardisation", "resnet18"])
def test_the_onnx_model_gives_the_same_representation_for_any_number_of_images(
    name: str, tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    path, _ = trained(NETWORKS[name], tmp_path)
    encoder = load_encoder(path)
    write_onnx(encoder, tmp_path / "encoder.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "encoder.onnx")
    images = images_for(encoder)
    for count in (1, 2, 5):
        [shown] = session.run(["representation"], {"images": images[:count].numpy()})
        expected = encoder.module(images[:count])
        torch.testing.assert_close(torch.from_numpy(shown), expected, atol=1e-5, rtol=1e-4)
    assert list(tmp_path.glob("*.onnx*")) == [
        tmp_path / "encoder.onnx"
    ]  # no weights beside it, no partial file


def test_images_are_resized_and_normalised_by_the_file_s_mean_and_std(tmp_path: Path) -> None:
    path, _ = trained({}, tmp_path)
    white, black = torch.full((2, 1, 28, 28), 255, dtype=torch.uint8), torch.zeros(1, 1, 9, 30).byte()
    encoder = load_encoder(path)
    torch.testing.assert_close(encoder.prepared(white), torch.full((2, 3, 16, 16), 1.5))
    torch.testing.assert_close(encoder.prepared(black), torch.full((1, 3, 16, 16), -0.5))


def test_what_is_no_encoder_of_this_tool_is_refused_in_one_line(tmp_path: Path) -> None:
    path, learner = trained({}, tmp_path)
    tensors = load_file(path)
    other = tmp_path / "other.safetensors"
    header = {"config": checkpoint._config_json(learner), **ABOUT}
    save_file({**tensors, "more": torch.zeros(1)}, other, metadata=header)
    with pytest.raises(CheckpointError, match="its tensors are not those of the encoder tiny"):
        load_encoder(other)
    save_file(tensors, other, metadata={"config": header["config"]})
    with pytest.raises(CheckpointError, match="is no trained encoder: its header has no 'mean'"):
        load_encoder(other)
    for wrong in ("[", '{"stesp": 1}'):
        save_file(tensors, other, metadata={**header, "config": wrong})
        with pytest.raises(CheckpointError, match="its header cannot be read"):
            load_encoder(other)
    other.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="is damaged"):
        load_encoder(other)


def test_it_needs_neither_ray_nor_tables() -> None:
    code = (
        "import sys, byol.encoder_file, byol.networks\n"
        "assert not {'ray', 'pandas', 'yaml', 'pyarrow', 'optuna', 'sweeps', 'analysis'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def block(heading: str) -> str:
    """The Python code under a heading of docs/export.md."""
    section = (ROOT / "docs" / "export.md").read_text().partition(f"## {heading}\n")[2]
    return section.partition("```python\n")[2].partition("```")[0]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("heading", "settings"),
    [
        ("With this tool", {}),
        ("With this tool", {"encoder": "mobilenet_v3_small", "encoder_norm": "native", "image_size": 32}),
        ("With torchvision alone", {"encoder": "resnet18"}),
        ("With ONNX", {}),
    ],
)
def test_the_code_of_the_page_loads_it(
    heading: str, settings: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, learner = trained(settings, tmp_path)
    encoder = load_encoder(path)
    images = torch.randint(256, (5, 1, 28, 28), generator=torch.Generator().manual_seed(1)).byte()
    x = encoder.prepared(images)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"images": images} if heading == "With this tool" else {"x": x}
    if heading == "With ONNX":
        pytest.importorskip("onnxruntime")
        write_onnx(encoder, tmp_path / "encoder.onnx")
    exec(block(heading), names)
    with torch.no_grad():
        expected = learner.online.eval().encoder(x)
    torch.testing.assert_close(torch.as_tensor(names["y"]), expected, atol=1e-5, rtol=1e-4)
