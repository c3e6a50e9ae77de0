"""What the measurer hands to which metric, and when it measures what is only measured at the end."""

import math

import numpy as np
import pytest
import torch

from byol.config import TrialConfig
from byol.data import ImageData, load_data
from byol.learner import Learner
from byol.measure import measurer as measuring
from byol.measure import metrics
from byol.measure.lidar import lidar
from byol.measure.measurer import LIDAR_VIEWS, Measurer, evaluating
from byol.measure.metrics import Metrics
from byol.presets import from_settings
from byol.seeding import stream
from byol.train import train
from byol.views import draw, make_view

CPU = torch.device("cpu")
SMALL = {"image_size": 16, "batch_size": 50, "steps": 4, "eval_every": 2, "eval_images": 40, "knn_k": 5}


def small(**settings: str | float | bool) -> TrialConfig:
    widths = {"projector_width": 32, "projector_size": 16, "predictor_width": 32, "precision": "fp32"}
    return from_settings({**SMALL, **widths, **settings})


@pytest.fixture(scope="module")
def data() -> ImageData:
    loaded = load_data("fashion-mnist-8k", train_images=200)
    assert isinstance(loaded, ImageData)
    return loaded


def measured(config: TrialConfig, data: ImageData, step: int) -> tuple[Metrics, Measurer]:
    measurer = Measurer(config, data, Learner(config, train_images=200, device=CPU))
    return measurer.measure(step=step, loss=None, samples_per_second=None), measurer


def test_each_number_is_that_of_its_level(data: ImageData) -> None:
    row, measurer = measured(small(), data, 2)
    with torch.no_grad(), evaluating(measurer.learner.online, batch_statistics=True):
        y, z = measurer._embed(measurer._clean)
        (y1, z1), (y2, z2) = (measurer._embed(view) for view in measurer._views)
    assert row.rankme == pytest.approx(metrics.rankme(y).item())
    assert row.projection_rankme == pytest.approx(metrics.rankme(z).item())
    assert row.stable_rank == pytest.approx(metrics.stable_rank(y).item())
    assert row.projection_stable_rank == pytest.approx(metrics.stable_rank(z).item())
    assert row.representation_positive_cosine == pytest.approx(metrics.positive_cosine(y1, y2).item())
    assert row.representation_negative_cosine == pytest.approx(metrics.negative_cosine(y1, y2).item())
    assert row.positive_cosine == pytest.approx(metrics.positive_cosine(z1, z2).item())
    assert row.negative_cosine == pytest.approx(metrics.negative_cosine(z1, z2).item())
    unit = y.double().numpy() / np.linalg.norm(y.double().numpy(), axis=1, keepdims=True)
    stds = math.sqrt(unit.shape[1]) * unit.std(axis=0)
    spread = (row.representation_std_min, row.representation_std_median, row.representation_std_max)
    assert spread == pytest.approx((stds.min(), np.median(stds), stds.max()))
    assert row.projection_std_min <= row.projection_std_median <= row.projection_std_max


def test_a_point_has_no_spread_in_any_dimension_and_cosines_of_one(data: ImageData) -> None:
    config = small()
    learner = Learner(config, train_images=200, device=CPU)
    with torch.no_grad():
        for parameter in learner.online.encoder.parameters():
            parameter.zero_()
        learner.online.encoder(torch.zeros(2, 3, 16, 16))
        list(learner.online.encoder.parameters())[-1].fill_(1)  # the last bias: the same for every image
    row = Measurer(config, data, learner).measure(step=4, loss=None, samples_per_second=None)
    assert (row.representation_std_min, row.representation_std_max) == pytest.approx((0, 0), abs=1e-9)
    assert row.representation_positive_cosine == pytest.approx(1)
    assert row.representation_negative_cosine == pytest.approx(1)
    assert (row.rankme, row.stable_rank, row.lidar) == pytest.approx((1, 1, 1), abs=1e-3)


def test_lidar_is_measured_at_the_end_alone_on_views_of_its_own(data: ImageData) -> None:
    config = small()
    early, measurer = measured(config, data, 2)
    assert (early.lidar, early.projection_lidar) == (None, None)
    row, _ = measured(config, data, 4)
    images = torch.from_numpy(data.test_images[:40])
    with torch.no_grad(), evaluating(measurer.learner.online, batch_statistics=True):
        embedded = []
        for index in range(LIDAR_VIEWS):
            draws = draw(stream(0, f"lidar{index}"), 40)
            settings = config.view2 if index % 2 else config.view1
            view = make_view(images, draws, settings, size=16, mean=data.mean, std=data.std)
            embedded.append(measurer._embed(view))
    y, z = (torch.stack(level) for level in zip(*embedded, strict=True))
    assert (row.lidar, row.projection_lidar) == pytest.approx((lidar(y).item(), lidar(z).item()), rel=1e-6)


def test_measuring_lidar_shifts_no_other_number(data: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    with_it = list(train(small(), data, device="cpu"))
    monkeypatch.setattr(Measurer, "_lidar", lambda self: {})
    without = list(train(small(), data, device="cpu"))
    for one, other in zip(with_it, without, strict=True):
        assert (one.loss, one.uniformity, one.knn_accuracy) == (
            other.loss,
            other.uniformity,
            other.knn_accuracy,
        )
        assert one.representation_positive_cosine == other.representation_positive_cosine
    assert with_it[-1].lidar is not None
    assert without[-1].lidar is None


@pytest.mark.parametrize(
    ("settings", "fitted"),
    [
        ({}, False),
        ({"probe": True}, True),
        ({"encoder": "resnet18", "steps": 80}, True),  # 80 x 50 images are 20 passes over 200
        ({"encoder": "resnet18", "steps": 79}, False),
        ({"encoder": "resnet18", "steps": 0, "epochs": 20.0}, True),
        ({"steps": 8000}, False),  # the tiny encoder never has it unasked
    ],
)
def test_the_probe_is_fitted_unasked_where_it_costs_little(
    settings: dict[str, str | float | bool], fitted: bool, data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "lidar", lambda views: torch.tensor(1.0))
    config = small(**settings)
    total = config.total_steps(200)
    accuracies = {}
    for step in (0, total):
        measurer = Measurer(config, data, Learner(config, train_images=200, device=CPU))
        monkeypatch.setattr(measurer, "_features", lambda: (torch.zeros(200, 1),))
        monkeypatch.setattr(measurer, "_knn", lambda *features: 0.5)
        monkeypatch.setattr(measurer, "_probe", lambda *features: 0.75)
        _, accuracies[step] = measurer._accuracies(step)
    assert accuracies == {0: None, total: 0.75 if fitted else None}
