"""What precision "auto" stands for."""

import pytest
import torch

from byol import precision
from byol.data import ImageData, load_data
from byol.precision import resolved, uses_bf16
from byol.presets import from_settings
from byol.train import train


@pytest.mark.parametrize(("native", "expected"), [(True, "bf16"), (False, "fp32")])
@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
def test_auto_is_bf16_where_the_device_has_it(
    native: bool, expected: str, device: torch.device | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "native_bf16", lambda device: native)
    assert resolved("auto", device) == expected
    assert uses_bf16("auto", torch.device("cpu")) is native
    assert [resolved(choice, device) for choice in ("fp32", "bf16")] == ["fp32", "bf16"]


@pytest.mark.timeout(60)
def test_a_trial_with_the_resolved_precision_is_the_trial_with_auto() -> None:
    data = load_data("fashion-mnist-8k", train_images=64)
    assert isinstance(data, ImageData)
    settings = {"image_size": 12, "batch_size": 32, "steps": 2, "eval_every": 1, "eval_images": 32}
    losses = [
        [row.loss for row in train(from_settings({**settings, "precision": choice}), data, device="cpu")]
        for choice in ("auto", resolved("auto", "cpu"))
    ]
    assert losses[0] == losses[1]
