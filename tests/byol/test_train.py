"""The loop: golden losses, resumption bit for bit, measurements, checkpoints."""

import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torchvision import models

from byol import checkpoint
from byol.config import TrialConfig
from byol.data import ImageData, StreamedImages, load_data
from byol.errors import ConfigError
from byol.files import PREVIOUS_STATE, STATE
from byol.learner import Learner
from byol.measure.knn import knn_accuracy
from byol.measure.measurer import Measurer, evaluating
from byol.measure.metrics import Metrics, embedding_std
from byol.presets import from_settings
from byol.pulse import Stopped, tell_to_end
from byol.train import train
from byol.views import clean_view

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data() -> ImageData:
    images = load_data("fashion-mnist-8k", train_images=200)
    assert isinstance(images, ImageData)
    return images


def tiny(**changes: Any) -> TrialConfig:
    small = {"image_size": 16, "projector_width": 32, "projector_size": 16, "predictor_width": 32}
    run = {"batch_size": 32, "steps": 8, "lr": 0.3, "eval_every": 4, "eval_images": 64, "precision": "fp32"}
    return from_settings({**small, **run, **changes})


def numbers(metrics: Metrics) -> dict[str, Any]:
    """All that is measured but the speed."""
    row = dataclasses.asdict(metrics)
    row.pop("samples_per_second")
    return {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in row.items()}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    # The order of a sum depends on the number of threads.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    tell_to_end(False)
    torch.set_num_threads(threads)


GOLDEN: dict[str, list[float]] = {
    # Recorded 2026-11-24 with torch 2.15 on an x86-64 CPU. They change only when numerics are meant to.
    "byol": [4.154388, 2.550069, 1.880769, 1.770053],
    "simsiam": [0.980672, 0.960017, 0.935467, 0.935677],
    "simclr": [6.117371, 5.744938, 5.613124, 5.537559],
}


@pytest.mark.parametrize("preset", GOLDEN)
def test_golden_losses(preset: str, data: ImageData) -> None:
    heads = {"projector_width": 32, "projector_size": 16, "predictor_width": 32}
    losses = [row.loss for row in train(tiny(preset=preset, **heads, eval_every=2), data)][1:]
    assert losses == pytest.approx(GOLDEN[preset], rel=1e-3)


def test_a_trial_repeats_itself_whatever_the_global_generator(data: ImageData) -> None:
    torch.manual_seed(1)
    first = [numbers(row) for row in train(tiny(), data)]
    torch.manual_seed(2)
    again = [numbers(row) for row in train(tiny(), data)]
    other = [numbers(row) for row in train(tiny(seed=1), data)]
    assert first == again
    assert first[-1]["loss"] != other[-1]["loss"]


@pytest.mark.parametrize(
    ("knn_every", "measured"), [(8, [True, False, True, True]), (0, [True, False, False, True])]
)
def test_measurements_come_at_the_start_the_cadence_and_the_end(
    knn_every: int, measured: list[bool], data: ImageData
) -> None:
    rows = list(train(tiny(steps=10, knn_every=knn_every), data))
    assert [row.step for row in rows] == [0, 4, 8, 10]
    assert [row.knn_accuracy is not None for row in rows] == measured
    assert rows[0].loss is None
    assert rows[-1].epoch == pytest.approx(10 / 6)
    assert rows[1].tau == pytest.approx(1 - 0.01 * (math.cos(math.pi * 4 / 10) + 1) / 2)


def test_the_loss_of_a_measurement_is_the_mean_since_the_last(data: ImageData) -> None:
    every = [row.loss or 0.0 for row in train(tiny(steps=7, eval_every=1), data)][1:]
    fourth = [row.loss or 0.0 for row in train(tiny(steps=7), data)][1:]
    assert fourth == pytest.approx([np.mean(every[:4]), np.mean(every[4:])], rel=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "sgd"},
        {"optimizer": "lars"},
        {"optimizer": "adamw", "lr": 0.01},
        {"view_count": 3, "sigreg_weight": 0.1},
    ],
)
@pytest.mark.parametrize("stopped_at", [3, 4, 6])
def test_a_resumed_trial_equals_one_that_was_not_stopped(
    settings: dict[str, Any], stopped_at: int, data: ImageData, tmp_path: Path
) -> None:
    """Bit for bit, stopped between measurements or at one; with a target of its own and tau on its way."""
    config = tiny(**settings, steps=10)
    whole = {row.step: numbers(row) for row in train(config, data)}
    interrupted = train(config, data, checkpoint_folder=tmp_path, checkpoint_every=stopped_at)
    seen = {}
    for row in interrupted:
        seen[row.step] = numbers(row)
        if row.step > stopped_at:
            break
    del interrupted
    assert (tmp_path / STATE).exists()
    resumed = {row.step: numbers(row) for row in train(config, data, checkpoint_folder=tmp_path)}
    assert min(resumed) > stopped_at
    assert seen | resumed == whole


@pytest.mark.parametrize("at", [5, 8])
def test_a_trial_that_is_told_to_end_saves_its_state_and_resumes_bit_for_bit(
    at: int, data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told in the step `at`, which lies between two measurements or at one; with the state before kept."""
    config = tiny(steps=12)
    whole = {row.step: numbers(row) for row in train(config, data)}
    draw, seen = Learner.step, dict[int, dict[str, Any]]()

    def step(learner: Learner, *views: torch.Tensor) -> None:
        draw(learner, *views)
        tell_to_end(int(learner.step_index) == at)

    rows = train(config, data, checkpoint_folder=tmp_path, checkpoint_every=3)
    with monkeypatch.context() as patch:
        patch.setattr(Learner, "step", step)
        with pytest.raises(Stopped):
            seen.update((row.step, numbers(row)) for row in rows)
    tell_to_end(False)
    assert max(seen) == at // 4 * 4, "the measurement of this step comes first"
    assert sorted(path.name for path in tmp_path.iterdir()) == [PREVIOUS_STATE, STATE]
    assert int(load_file(tmp_path / STATE)["step_index"]) == at
    resumed = {row.step: numbers(row) for row in train(config, data, checkpoint_folder=tmp_path)}
    assert min(resumed) > at
    assert seen | resumed == whole


def test_without_checkpoints_a_trial_that_is_told_to_end_goes_on(data: ImageData, tmp_path: Path) -> None:
    tell_to_end()
    rows = [row.step for row in train(tiny(), data, checkpoint_folder=tmp_path, checkpoint_every=0)]
    assert rows == [0, 4, 8]


@pytest.mark.parametrize(("saving", "saved"), [(1.0, [300, 601, 902]), (12.0, [300, 912])])
def test_states_by_time_come_every_few_minutes_and_take_a_small_share_of_it(
    saving: float, saved: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a trial with a step a second: at most 2 % of its time."""
    now, states = 0.0, list[int]()

    def save(*_: object, **__: object) -> None:
        nonlocal now
        states.append(int(now))
        now += saving

    monkeypatch.setattr(checkpoint, "save_state", save)
    monkeypatch.setattr("time.monotonic", lambda: now)
    learner = Learner(tiny(), train_images=200, device=CPU)
    saver = checkpoint.Saver(learner, Path("nowhere"), data="", every=None)
    while now < 1000:
        now += 1
        saver.after(int(now), now)
    assert states == saved


def test_trials_that_take_turns_keep_together_to_that_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of four has a quarter of the time, and a state that takes 3 s."""
    now, states = 0.0, list[int]()

    def save(*_: object, **__: object) -> None:
        nonlocal now
        states.append(int(now))
        now += 3

    monkeypatch.setattr(checkpoint, "save_state", save)
    monkeypatch.setattr("time.monotonic", lambda: now)
    learner = Learner(tiny(), train_images=200, device=CPU)
    savers = [checkpoint.Saver(learner, Path("nowhere"), data="", every=None) for _ in range(4)]
    turns = [0.0] * 4
    while now < 4000:
        for place, saver in enumerate(savers):
            began, now = now, now + 1
            saver.after(int(now), turns[place] + 1)
            turns[place] += now - began
    first = 4  # no one knows yet how long saving takes
    assert 0.01 < 3 * len(states[first:]) / (now - states[first - 1]) <= 0.02


RESUMED: dict[str, dict[str, Any]] = {
    "directpred": {"predictor": "directpred", "direct_every": 2},
    "directcopy": {"predictor": "directcopy", "accumulate": 2},
    "symmetric": {"predictor": "linear", "predictor_symmetric": True},
    "decays": {"optimizer": "lars", "projector_weight_decay": 0.1, "predictor_weight_decay": 0.0},
    "averaged": {"target_statistics": "averaged", "projector_tau_base": 0.5, "target_every": 2},
    "copied": {"target_statistics": "copied", "tau_base": 0, "tau_schedule": "constant", "target_every": 3},
    "ghost": {"ghost_batch": 8, "head_bias": "all"},
    "no projector": {"projector_depth": 0, "head_bias": "none"},
}


@pytest.mark.parametrize("settings", RESUMED.values(), ids=list(RESUMED))
def test_a_resumed_trial_has_all_its_state(settings: dict[str, Any], data: ImageData, tmp_path: Path) -> None:
    """Bit for bit, stopped in the middle of what takes several steps."""
    config = tiny(**settings, eval_every=1, steps=7)
    whole = {row.step: numbers(row) for row in train(config, data)}
    for row in train(config, data, checkpoint_folder=tmp_path, checkpoint_every=4):
        if row.step == 5:
            break
    resumed = {row.step: numbers(row) for row in train(config, data, checkpoint_folder=tmp_path)}
    assert resumed == {step: whole[step] for step in (5, 6, 7)}
    assert math.isfinite(whole[7]["loss"])
    plain = [row.loss for row in train(tiny(eval_every=1, steps=7), data)]
    assert whole[7]["loss"] != plain[-1]


def test_the_first_knn_accuracy_is_that_of_the_untrained_encoder(data: ImageData) -> None:
    config = tiny(lr=10.0)
    learner = Learner(config, train_images=200, device=CPU)
    images = (data.train_images, data.test_images)
    with torch.no_grad(), evaluating(learner.online, batch_statistics=False):
        views = [clean_view(torch.from_numpy(x), size=16, mean=data.mean, std=data.std) for x in images]
        bank, test = (torch.cat([learner.online.encoder(part) for part in view.split(32)]) for view in views)
    labels = [torch.from_numpy(np.array(x)) for x in (data.train_labels, data.test_labels)]
    accuracy = knn_accuracy(bank, labels[0], test, labels[1], k=config.knn_k, temperature=0.1)
    assert next(train(config, data)).knn_accuracy == pytest.approx(accuracy, abs=1e-3)


def test_a_state_of_another_trial_is_not_taken(
    data: ImageData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    learner = Learner(tiny(seed=1), train_images=200, device=CPU)
    checkpoint.save_state(learner, tmp_path)
    assert next(train(tiny(seed=2), data, checkpoint_folder=tmp_path)).step == 0
    assert "holds the state of another trial" in caplog.text


def test_a_checkpoint_holds_no_pickle(tmp_path: Path) -> None:
    learner = Learner(tiny(), train_images=200, device=CPU)
    checkpoint.save_state(learner, tmp_path)
    content = (tmp_path / STATE).read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    assert json.loads(header["__metadata__"]["config"])["tau_base"] == 0.99


def test_a_diverging_trial_ends_with_the_measurement_that_shows_it(data: ImageData) -> None:
    rows = list(train(tiny(lr=1e30, encoder_norm="none", loss_norm="none", steps=40), data))
    assert rows[-1].step < 40
    assert not math.isfinite(rows[-1].loss or 0.0) or math.isnan(rows[-1].representation_std)


@pytest.mark.parametrize("norm", ["batch", "group-ws"])
def test_the_exported_encoder_runs_in_plain_torchvision(norm: str, data: ImageData, tmp_path: Path) -> None:
    config = tiny(encoder="resnet18", encoder_stem="imagenet", encoder_norm=norm, image_size=32, steps=1)
    learner = Learner(config, train_images=200, device=CPU)
    images = clean_view(torch.from_numpy(data.test_images[:8]), size=32, mean=data.mean, std=data.std)
    learner.step(images, images.flip(3))
    path = checkpoint.save_encoder(learner, tmp_path, {"dataset": "x"})
    plain = models.resnet18(
        norm_layer=(lambda c: nn.GroupNorm(min(32, c // 4), c)) if norm != "batch" else None
    )
    missing, unexpected = plain.load_state_dict(load_file(path), strict=False)
    assert (sorted(missing), unexpected) == (["fc.bias", "fc.weight"], [])
    plain.fc = nn.Identity()
    with torch.no_grad():
        expected = learner.online.eval().encoder(images)
        torch.testing.assert_close(plain.eval()(images), expected, atol=1e-3, rtol=1e-3)


def test_collapse_metrics_use_batch_statistics_and_do_not_change_running_ones(data: ImageData) -> None:
    config = tiny()
    learner = Learner(config, train_images=200, device=CPU)
    before = {name: buffer.clone() for name, buffer in learner.online.named_buffers()}
    row = Measurer(config, data, learner).measure(step=0, loss=None, samples_per_second=None)
    assert all(torch.equal(before[name], buffer) for name, buffer in learner.online.named_buffers())
    assert learner.online.training
    images = clean_view(torch.from_numpy(data.test_images[:64]), size=16, mean=data.mean, std=data.std)
    with torch.no_grad():
        y, _ = zip(*(learner.online(part) for part in images.chunk(2)), strict=True)  # train mode
    assert row.representation_std == pytest.approx(embedding_std(torch.cat(y)).item(), rel=1e-5)
    with torch.no_grad(), evaluating(learner.online, batch_statistics=False):
        running = embedding_std(learner.online(images)[0]).item()
    assert running != pytest.approx(row.representation_std, rel=0.05)


@pytest.mark.parametrize(("images", "batch", "parts"), [(64, 32, 2), (500, 16, 32), (9, 2, 4), (10, 3, 4)])
def test_no_part_of_what_is_measured_is_much_smaller_than_another(
    images: int, batch: int, parts: int, data: ImageData
) -> None:
    """BatchNorm takes the statistics of each part, and has none of a single image."""
    config = tiny(batch_size=batch, eval_images=8)
    measurer = Measurer(config, data, Learner(config, train_images=200, device=CPU))
    sizes = [len(part) for part in measurer._batches(torch.empty(images, 1))]
    assert (len(sizes), sum(sizes)) == (parts, images)
    assert max(sizes) - 1 <= min(sizes) >= 2


def test_too_many_neighbours_are_refused_before_training(data: ImageData) -> None:
    with pytest.raises(ConfigError, match=r"knn_k: must not exceed the 200 labelled images of"):
        next(train(tiny(knn_k=201), data))
    unlabelled = dataclasses.replace(data, train_labels=None, test_labels=None, classes=None)
    assert next(train(tiny(knn_k=201), unlabelled)).step == 0


def test_without_labels_knn_is_null_and_collapse_is_still_measured(data: ImageData) -> None:
    unlabelled = dataclasses.replace(data, train_labels=None, test_labels=None, classes=None)
    rows = list(train(tiny(knn_every=4, probe=True), unlabelled))
    assert {row.knn_accuracy for row in rows} == {None}
    assert rows[-1].probe_accuracy is None
    assert rows[-1].representation_std > 0


def test_the_probe_is_fitted_at_the_end_only(data: ImageData) -> None:
    rows = list(train(tiny(probe=True, steps=4), data))
    assert rows[0].probe_accuracy is None
    assert rows[-1].probe_accuracy is not None
    assert 0.3 < rows[-1].probe_accuracy <= 1


def test_every_trial_is_measured_on_the_same_draws(data: ImageData) -> None:
    measurers = [
        Measurer(config, data, Learner(config, train_images=200, device=CPU))
        for config in (tiny(), tiny(seed=9))
    ]
    assert torch.equal(measurers[0]._views[0], measurers[1]._views[0])
    assert not torch.equal(measurers[0]._views[0], measurers[0]._views[1])


def test_a_streamed_set_trains_like_one_in_memory(data: ImageData, tmp_path: Path) -> None:
    """Same images, order and draws; the crops differ by their rounding to bytes only."""
    for index in range(80):
        path = (
            tmp_path
            / f"{data.classes[index % 10] if data.classes else ''}".replace("/", "-")
            / f"{index}.png"
        )
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.repeat(data.train_images[index].transpose(1, 2, 0), 3, axis=2)).save(path)
    config = tiny(dataset=f"folder:{tmp_path}", batch_size=16, steps=3, eval_every=1, eval_images=8, knn_k=5)
    in_memory = load_data(config.dataset, image_size=28)
    streamed = load_data(config.dataset, image_size=28, memory_limit=0)
    assert isinstance(in_memory, ImageData)
    assert isinstance(streamed, StreamedImages)
    losses = [[row.loss or 0.0 for row in train(config, source)][1:] for source in (in_memory, streamed)]
    assert losses[1] == pytest.approx(losses[0], rel=0.1)
