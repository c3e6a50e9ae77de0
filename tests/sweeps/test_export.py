"""Encoders as files: which format a name asks for, and what is refused."""

import importlib.machinery
import json
from pathlib import Path

import pytest
import torch

from byol import checkpoint
from byol.encoder_file import load_encoder
from byol.learner import Learner
from byol.presets import from_settings
from sweeps import export
from sweeps.errors import RequestError
from sweeps.export import export_encoder
from sweeps.study import Study
from tests.sweeps.conftest import plan_sweep
from tests.sweeps.tensor_files import tensor_file


def test_export_copies_the_encoder_or_says_why_it_cannot(tmp_path: Path, small: Study) -> None:
    finished, waiting, *_ = (trial.trial_id for trial in small.trials())
    plan_sweep(tmp_path, small).close()
    folder = tmp_path / "checkpoints" / finished
    folder.mkdir(parents=True)
    whole = tensor_file(b"weights", finished)
    (folder / "encoder.safetensors").write_bytes(whole)
    export_encoder(tmp_path, finished, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == whole
    (tmp_path / "copy").unlink()
    (tmp_path / "copy.md").unlink()
    for broken in (whole[:-1], b"", whole.replace(b"weights", b"weighty"), tensor_file(b"weights", waiting)):
        (folder / "encoder.safetensors").write_bytes(broken)
        with pytest.raises(RequestError, match=r"encoder\.safetensors: is .*; the trial's results stand"):
            export_encoder(tmp_path, finished, tmp_path / "damaged copy")
    assert not (tmp_path / "damaged copy").exists()
    (folder / "encoder.safetensors").write_bytes(whole)
    with pytest.raises(RequestError, match=rf'has no trial "{finished[:-1]}x" \(did you mean "{finished}"'):
        export_encoder(tmp_path, f"{finished[:-1]}x", tmp_path / "copy")
    with pytest.raises(RequestError, match="has no trained encoder \\(it is waiting\\)"):
        export_encoder(tmp_path, waiting, tmp_path / "copy")
    for folder in (tmp_path, Path(), Path("/")):
        with pytest.raises(RequestError, match="must name a file to write, but is a folder"):
            export_encoder(tmp_path, finished, folder)
    with pytest.raises(RequestError, match=r"must be in a folder that exists, but there is no .*missing"):
        export_encoder(tmp_path, finished, tmp_path / "missing" / "copy")
    assert not (tmp_path / "missing").exists()


def test_a_trial_is_named_by_the_beginning_of_its_id(tmp_path: Path, small: Study) -> None:
    wanted = with_encoder(tmp_path, small)
    ids = [trial.trial_id for trial in small.trials()]
    unique = next(length for length in range(1, 13) if sum(id.startswith(wanted[:length]) for id in ids) == 1)
    export_encoder(tmp_path, wanted[:unique], tmp_path / "short")
    export_encoder(tmp_path, wanted, tmp_path / "long")
    assert (tmp_path / "short").read_bytes() == (tmp_path / "long").read_bytes()
    with pytest.raises(RequestError, match=rf'"" begins the ids of 8 trials: {", ".join(ids)}'):
        export_encoder(tmp_path, "", tmp_path / "copy")
    with pytest.raises(
        RequestError, match=rf'has no trial "{wanted[:6]}x" \(did you mean "{wanted[:7]}"\?\)'
    ):
        export_encoder(tmp_path, f"{wanted[:6]}x", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("there", ["mine", "mine.md"])
def test_what_is_there_is_overwritten_on_request_alone(tmp_path: Path, small: Study, there: str) -> None:
    trial_id = with_encoder(tmp_path, small)
    (tmp_path / there).write_text("precious")
    with pytest.raises(
        RequestError, match=rf"{there}: must not exist yet, but is there \(--force replaces it"
    ):
        export_encoder(tmp_path, trial_id, tmp_path / "mine")
    assert (tmp_path / there).read_text() == "precious"
    assert len(list(tmp_path.glob("mine*"))) == 1
    export_encoder(tmp_path, trial_id, tmp_path / "mine", force=True)
    assert load_encoder(tmp_path / "mine").features == 128
    assert (tmp_path / "mine.md").read_text().startswith("#")


def with_encoder(out: Path, study: Study, **about: str) -> str:
    """A sweep whose first trial has an encoder that was trained for no step; its id."""
    trial = study.trials()[0]
    plan_sweep(out, study).close()
    learner = Learner(from_settings(trial.settings), train_images=200, device=torch.device("cpu"))
    values = {"dataset": "fashion-mnist-8k", "mean": "[0.25]", "std": "[0.5]"}
    checkpoint.save_encoder(learner, out / "checkpoints" / trial.trial_id, {**values, **about})
    return trial.trial_id


def test_a_name_that_ends_in_onnx_asks_for_onnx(tmp_path: Path, small: Study) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    trial_id = with_encoder(tmp_path, small)
    card = export_encoder(tmp_path, trial_id, tmp_path / "encoder.onnx")
    assert card == tmp_path / "encoder.onnx.md"
    assert "onnxruntime" in card.read_text()
    session = onnxruntime.InferenceSession(tmp_path / "encoder.onnx")
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["config"]) == small.trials()[0].settings
    assert (json.loads(about["mean"]), about["dataset"]) == ([0.25], "fashion-mnist-8k")


def test_onnx_without_its_packages_is_refused(
    tmp_path: Path, small: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> importlib.machinery.ModuleSpec | None:
        return None if name == "onnxscript" else importlib.machinery.ModuleSpec(name, None)

    monkeypatch.setattr(export, "find_spec", missing)
    trial_id = with_encoder(tmp_path, small)
    with pytest.raises(RequestError, match=r"not installed here: onnxscript \(pip install onnx onnxscript\)"):
        export_encoder(tmp_path, trial_id, tmp_path / "encoder.onnx")
    assert list(tmp_path.glob("encoder*")) == []


def test_what_is_exported_is_loaded_again(tmp_path: Path, small: Study) -> None:
    trial_id = with_encoder(tmp_path, small)
    card = export_encoder(tmp_path, trial_id, tmp_path / "mine.safetensors")
    assert card == tmp_path / "mine.safetensors.md"
    encoder = load_encoder(tmp_path / "mine.safetensors")
    assert encoder.config == from_settings(small.trials()[0].settings)
    assert (encoder.mean, encoder.std, encoder.features) == ((0.25,), (0.5,), 128)
