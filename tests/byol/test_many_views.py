"""More than two views an image: the loss against loops over pairs and against two views, and the draws."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from byol.config import TrialConfig
from byol.data import ImageData, load_data
from byol.learner import Learner
from byol.losses import pair_loss, regression_loss, views_loss
from byol.presets import from_settings
from byol.seeding import stream
from byol.train import batches
from byol.views import draw, make_view

CPU = torch.device("cpu")


def settings(**changes: Any) -> TrialConfig:
    small = {"projector_width": 16, "projector_size": 8, "predictor_width": 16, "batch_size": 8}
    return from_settings({**small, "image_size": 16, "steps": 10, "lr": 1.0, **changes})


def build_learner(**changes: Any) -> Learner:
    return Learner(settings(**changes), train_images=64, device=CPU)


def views(count: int, seed: int = 0) -> list[Tensor]:
    return list(torch.randn(count, 8, 3, 16, 16, generator=torch.Generator().manual_seed(seed)))


def embeddings(count: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return list(torch.randn(count, 6, 5, dtype=torch.float64, generator=generator))


# The pure function


@pytest.mark.parametrize("count", [2, 3, 4, 5])
@pytest.mark.parametrize("beta", [0.0, 0.7])
def test_all_pairs_are_a_double_loop(count: int, beta: float) -> None:
    q, t = embeddings(count), embeddings(count, seed=1)
    weights = {"norm": "l2", "regression_weight": 0.6, "negatives_weight": beta}
    total = 0.0
    for i in range(count):
        for j in range(count):
            if i != j:
                total += pair_loss(q[i], t[j], t[i], **weights).item()  # type: ignore[arg-type]
    expected = 2 * total / (count * (count - 1))
    loss = views_loss(q, dict(enumerate(t)), average_targets=False, **weights)  # type: ignore[arg-type]
    assert loss.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_mean_targets_are_lightlys_fastsiam(count: int) -> None:
    """examples/pytorch/fastsiam.py of lightly 1.5.26, whose loss is the mean of negative cosines."""
    ps, zs = torch.stack(embeddings(count)), torch.stack(embeddings(count, seed=1))
    fastsiam = 0.0
    for i in range(count):
        mask = torch.arange(count) != i
        fastsiam -= functional.cosine_similarity(ps[i], torch.mean(zs[mask], dim=0)).mean().item() / count
    loss = views_loss(list(ps), dict(enumerate(zs)), average_targets=True, norm="l2")
    assert loss.item() == pytest.approx(4 + 4 * fastsiam, rel=1e-12)


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("count", [2, 3, 6])
def test_the_range_is_that_of_two_views(average: bool, count: int) -> None:
    point = torch.ones(6, 5)
    for sign, expected in ((1, 0.0), (-1, 8.0)):
        targets = dict.fromkeys(range(count), sign * point)
        for predictions, share in (([point] * count, 1.0), ([point], 0.5)):
            loss = views_loss(predictions, targets, average_targets=average, norm="l2")
            assert loss.item() == pytest.approx(share * expected, abs=1e-6)


# The learner


def pieces(learner: Learner, first: Tensor, second: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Predictions and targets of two views."""
    q = [learner.predictor(learner.online(x)[1]) for x in (first, second)]
    with torch.no_grad():
        return q, [learner.target(x)[1] for x in (first, second)]


@pytest.mark.parametrize("target", ["average", "online"])
def test_copies_of_two_views(target: str) -> None:
    """(2 (L12 + L21) + L11 + L22) / 3 with four views, and targets (2 t2 + t1) / 3 if they are averaged."""
    online = {"tau_base": 0, "tau_schedule": "constant"} if target == "online" else {"target_init": "fresh"}
    x1, x2 = views(2)
    learner = build_learner(**online)
    q, t = pieces(learner, x1, x2)
    pair = [[regression_loss(q[i], t[j], norm="l2") for j in range(2)] for i in range(2)]
    expected = (2 * (pair[0][1] + pair[1][0]) + pair[0][0] + pair[1][1]) / 3
    each = build_learner(**online, view_count=4)
    torch.testing.assert_close(each.loss(x1, x2, x1, x2), expected, rtol=1e-5, atol=1e-6)
    means = [(2 * t[1] + t[0]) / 3, (2 * t[0] + t[1]) / 3]
    expected = sum(regression_loss(q[i], means[i], norm="l2") for i in range(2)) * torch.ones(())
    mean = build_learner(**online, view_count=4, target_views="mean")
    torch.testing.assert_close(mean.loss(x1, x2, x1, x2), expected, rtol=1e-5, atol=1e-6)


def test_one_way_is_the_mean_over_the_other_views_of_two_views_one_way() -> None:
    for beta in (0.0, 0.5):
        one_way = {"symmetric": False, "negatives_weight": beta}
        x1, *others = views(4)
        expected = torch.stack([build_learner(**one_way).loss(x1, x) for x in others]).mean()
        loss = build_learner(**one_way, view_count=4).loss(x1, *others)
        torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)


def test_one_way_sends_one_view_through_the_online_network() -> None:
    """And the others through the target alone: that is what it saves."""
    learner = build_learner(symmetric=False, view_count=5)
    seen = {"online": 0, "target": 0}

    def count(name: str) -> Any:
        def hook(*_: object) -> None:
            seen[name] += 1

        return hook

    learner.online.register_forward_hook(count("online"))
    learner.target.register_forward_hook(count("target"))
    learner.loss(*views(5))
    assert seen == {"online": 1, "target": 4}


def test_two_views_are_the_same_whether_targets_are_averaged() -> None:
    each, mean = build_learner(), build_learner(target_views="mean")
    for seed in range(3):
        each.step(*views(2, seed))
        mean.step(*views(2, seed))
    for a, b in zip(each.online.parameters(), mean.online.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("target_views", ["each", "mean"])
def test_a_step_accumulates_the_mean_of_its_parts(target_views: str) -> None:
    plain = {"momentum": 0.0, "weight_decay": 0.0, "view_count": 3, "target_views": target_views}
    whole, parted = build_learner(**plain), build_learner(**plain, accumulate=2)
    before = [parameter.detach().clone() for parameter in whole.online.parameters()]
    batch = views(3)
    losses = [whole.loss(*(view[part] for view in batch)) for part in (slice(0, 4), slice(4, 8))]
    gradients = [torch.autograd.grad(loss, list(whole.online.parameters())) for loss in losses]
    parted.step(*batch)
    for parameter, old, first, second in zip(parted.online.parameters(), before, *gradients, strict=True):
        torch.testing.assert_close(parameter.detach(), old - 8 / 256 * (first + second) / 2)
    torch.testing.assert_close(parted.take_loss(), (losses[0] + losses[1]).detach() / 2)


def test_batch_statistics_are_per_view() -> None:
    learner = build_learner(view_count=3)
    learner.step(*views(3))
    norms = [m for m in learner.target.modules() if isinstance(m, nn.BatchNorm2d)]
    assert [int(norm.num_batches_tracked) for norm in norms] == [3] * len(norms)  # type: ignore[arg-type]


# The draws


@pytest.fixture(scope="module")
def data() -> ImageData:
    images = load_data("fashion-mnist-8k", train_images=64)
    assert isinstance(images, ImageData)
    return images


def test_further_views_shift_no_draw_of_the_first_two(data: ImageData) -> None:
    two, five = (list(batches(settings(view_count=n), data, CPU, 3, 6)) for n in (2, 5))
    for few, many in zip(two, five, strict=True):
        assert (len(few), len(many)) == (2, 5)
        assert torch.equal(few[0], many[0])
        assert torch.equal(few[1], many[1])
        for i in range(5):
            for j in range(i):
                assert not torch.isclose(many[i], many[j]).all()


def test_views_take_turns_with_the_settings_of_the_two(data: ImageData) -> None:
    config = settings(view_count=4, seed=5)
    order = torch.randperm(64, generator=stream(5, "order", 0))[16:24]
    images = torch.from_numpy(data.train_images)[order]
    [drawn] = batches(config, data, CPU, 2, 3)
    for number, view in enumerate(drawn, 1):
        like = config.view2 if number in (2, 4) else config.view1
        table = draw(stream(5, f"view{number}", 2), 8)
        expected = make_view(images, table, like, size=16, mean=data.mean, std=data.std)
        assert torch.equal(view, expected)
