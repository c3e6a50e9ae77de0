"""Checkpoints carry a digest: a damaged one is skipped for the one before, and no row changes."""

import dataclasses
import hashlib
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from byol import checkpoint
from byol.data import ImageData, load_data
from byol.files import ENCODER, PREVIOUS_STATE, STATE
from byol.tensor_file import DIGEST, PLACEHOLDER, CheckpointError, seal, verified_header
from byol.train import train
from tests.byol.test_train import tiny


def damaged(content: bytes, how: str, draws: random.Random) -> bytes:
    """A file cut, emptied, or with one bit flipped."""
    if how == "flipped":
        position = draws.randrange(len(content))
        return (
            content[:position]
            + bytes([content[position] ^ 1 << draws.randrange(8)])
            + content[position + 1 :]
        )
    return content[: draws.randrange(1, len(content))] if how == "cut" else b""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "some.safetensors"
    about = {"trial": "abc", "config": '{"a": "b"}', DIGEST: PLACEHOLDER}
    save_file({"w": torch.arange(64.0), "b": torch.ones(3, dtype=torch.int64)}, path, metadata=about)
    seal(path)
    return path


def test_the_digest_is_that_of_the_file_with_zeros_in_its_place(file: Path) -> None:
    header = verified_header(file, trial="abc")
    stored = header[DIGEST]
    assert hashlib.sha256(file.read_bytes().replace(stored.encode(), b"0" * 64)).hexdigest() == stored
    assert (header["trial"], json.loads(header["config"])) == ("abc", {"a": "b"})
    assert torch.equal(load_file(file)["w"], torch.arange(64.0))
    with pytest.raises(CheckpointError, match="is of the trial abc, not of other"):
        verified_header(file, trial="other")


def test_any_flipped_bit_and_any_cut_is_found(file: Path) -> None:
    content = file.read_bytes()
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CheckpointError, match="some file: "):
            verified_header(bytes(flipped), "some file")
    for length in range(len(content)):
        with pytest.raises(CheckpointError, match="some file: "):
            verified_header(content[:length], "some file")


def test_a_file_of_an_earlier_version_has_no_digest(tmp_path: Path) -> None:
    save_file({"w": torch.ones(2)}, tmp_path / "f", metadata={"config": "{}"})
    assert verified_header(tmp_path / "f", trial="any") == {"config": "{}"}


@pytest.fixture(scope="module")
def data() -> ImageData:
    images = load_data("fashion-mnist-8k", train_images=200)
    assert isinstance(images, ImageData)
    return images


@pytest.mark.timeout(120)
@pytest.mark.parametrize("how", ["flipped", "cut", "emptied"])
def test_a_trial_whose_latest_state_is_damaged_resumes_from_the_one_before(
    data: ImageData,
    tmp_path: Path,
    how: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config, draws = tiny(steps=7, eval_every=2), random.Random(how)
    run: Callable[[Path], dict[int, object]] = lambda folder: {  # noqa: E731
        row.step: (row.loss, row.representation_std, row.knn_accuracy)
        for row in train(config, data, checkpoint_folder=folder, checkpoint_every=3)
    }
    whole = run(tmp_path / "whole")
    trial = tmp_path / "trial"
    rows = train(config, data, checkpoint_folder=trial, checkpoint_every=3)
    while next(rows).step < 7:  # states of steps 3 and 6
        pass
    assert verified_header(trial / STATE)["trial"] == "trial"
    (trial / STATE).write_bytes(damaged((trial / STATE).read_bytes(), how, draws))
    both = tmp_path / "both" / "trial"
    shutil.copytree(trial, both)
    (both / PREVIOUS_STATE).write_bytes(damaged((both / PREVIOUS_STATE).read_bytes(), how, draws))
    only_loaded = tmp_path / "only loaded"
    shutil.copytree(trial, only_loaded)
    next(train(config, data, checkpoint_folder=only_loaded))
    assert not (only_loaded / STATE).exists(), "a damaged state must not take the place of the one before"
    resumed = run(trial)
    assert min(resumed) == 4, "from the state of step 3"
    assert resumed == {step: row for step, row in whole.items() if step >= 4}
    assert f"{STATE}: is " in caplog.text
    assert {path.name for path in trial.iterdir()} == {ENCODER}
    assert run(both) == whole, "without a whole state, from the start"
    assert verified_header(trial / ENCODER, trial="trial")["trial"] == "trial"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["code", "data"])
def test_a_state_of_other_code_or_data_is_not_taken(
    data: ImageData,
    tmp_path: Path,
    kind: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = tiny(steps=4, eval_every=2)
    run: Callable[[ImageData], list[int]] = lambda data: [  # noqa: E731
        row.step for row in train(config, data, checkpoint_folder=tmp_path, checkpoint_every=3)
    ]
    rows = train(config, data, checkpoint_folder=tmp_path, checkpoint_every=3)
    while next(rows).step < 4:  # a state of step 3
        pass
    kept = (tmp_path / STATE).read_bytes()
    assert run(data) == [4]
    (tmp_path / STATE).write_bytes(kept)
    if kind == "code":
        monkeypatch.setattr(checkpoint, "code_digest", lambda: "other")
    other = dataclasses.replace(data, digest="other") if kind == "data" else data
    assert run(other) == [0, 2, 4]
    assert f"{STATE}: was made under other {kind}; the trial starts again" in caplog.text


@pytest.mark.timeout(60)
def test_a_state_of_earlier_code_is_not_taken_when_that_code_is_back(
    data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(steps=5, eval_every=1)

    def run(code: str, until: int) -> list[int]:
        monkeypatch.setattr(checkpoint, "code_digest", lambda: code)
        steps = []
        for row in train(config, data, checkpoint_folder=tmp_path, checkpoint_every=1):
            steps.append(row.step)
            if row.step == until:
                break
        return steps

    assert run("a", 4) == [0, 1, 2, 3, 4]  # a state of step 3
    assert run("b", 2) == [0, 1, 2]  # one of step 1
    assert run("a", 5) == [0, 1, 2, 3, 4, 5], "and not from step 3, whose rows were made by b or are missing"
