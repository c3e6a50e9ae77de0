"""One step of the learner against independent calculations, and what each setting changes, or must not."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from byol.config import TrialConfig
from byol.errors import ConfigError
from byol.learner import Learner
from byol.presets import from_settings

CPU = torch.device("cpu")
IMAGES = 64


def settings(**changes: Any) -> TrialConfig:
    small = {
        "projector_width": 16,
        "projector_size": 8,
        "predictor_width": 16,
        "batch_size": 8,
        "image_size": 16,
    }
    return from_settings({**small, "steps": 10, "lr": 1.0, **changes})


def build_learner(**changes: Any) -> Learner:
    return Learner(settings(**changes), train_images=IMAGES, device=CPU)


def views(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    view1, view2 = torch.randn(2, 8, 3, 16, 16, generator=generator)
    return view1, view2


def parameters(module: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


def equal(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def tutorial_loss(
    online: nn.Module, predictor: nn.Module, target: nn.Module, x1: Tensor, x2: Tensor
) -> Tensor:
    """The loss that most tutorials print: 2 - 2 cos in both directions, halved."""
    p1, p2 = predictor(online(x1)), predictor(online(x2))
    with torch.no_grad():
        t1, t2 = target(x1), target(x2)
    forward = (2 - 2 * functional.cosine_similarity(p1, t2, dim=-1)).mean()
    backward = (2 - 2 * functional.cosine_similarity(p2, t1, dim=-1)).mean()
    return (forward + backward) / 2


def test_one_step_of_the_tutorial_loop() -> None:
    """Loss halved, tau per epoch, EMA over parameters only: written out with plain modules and SGD."""
    learner = build_learner(
        preset="tutorial",
        projector_width=16,
        projector_size=8,
        predictor_width=16,
        tau_base=0.9,
        weight_decay=0.0,
        momentum=0.0,
        lr=3.2,
    )
    online = nn.Sequential(copy.deepcopy(learner.online.encoder), copy.deepcopy(learner.online.projector))
    target, predictor = copy.deepcopy(online), copy.deepcopy(learner.predictor)
    x1, x2 = views()
    trained = [*online.parameters(), *predictor.parameters()]
    loss = tutorial_loss(online, predictor, target, x1, x2)
    gradients = torch.autograd.grad(loss, trained)
    with torch.no_grad():
        for parameter, gradient in zip(trained, gradients, strict=True):
            parameter.sub_(3.2 * 8 / 256 * gradient)
        for averaged, parameter in zip(target.parameters(), online.parameters(), strict=True):
            averaged.copy_(0.9 * averaged + (1 - 0.9) * parameter)

    learner.step(x1, x2)
    torch.testing.assert_close(learner.take_loss(), loss.detach())
    for module, expected in (
        (learner.online.encoder, online[0]),
        (learner.online.projector, online[1]),
        (learner.predictor, predictor),
        (learner.target.encoder, target[0]),
        (learner.target.projector, target[1]),
    ):
        for a, b in zip(module.parameters(), expected.parameters(), strict=True):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_byols_loss_is_twice_the_halved_one_and_starts_in_its_range() -> None:
    full, half = build_learner().loss(*views()), build_learner(loss_scale=0.5).loss(*views())
    torch.testing.assert_close(full, 2 * half)
    assert 0 < full.item() < 8


def test_accumulated_gradients_are_the_mean_of_those_of_the_parts() -> None:
    whole, parted = (
        build_learner(momentum=0.0, weight_decay=0.0),
        build_learner(momentum=0.0, weight_decay=0.0, accumulate=2),
    )
    before = parameters(whole.online)
    view1, view2 = views()
    losses = [whole.loss(view1[part], view2[part]) for part in (slice(0, 4), slice(4, 8))]
    gradients = [torch.autograd.grad(loss, list(whole.online.parameters())) for loss in losses]
    parted.step(view1, view2)
    rate = 1.0 * 8 / 256
    for parameter, old, first, second in zip(parted.online.parameters(), before, *gradients, strict=True):
        torch.testing.assert_close(parameter.detach(), old - rate * (first + second) / 2)
    torch.testing.assert_close(parted.take_loss(), (losses[0] + losses[1]).detach() / 2)
    assert parted.step_index.item() == 1


def test_accumulating_changes_nothing_where_images_do_not_meet() -> None:
    """Without batch statistics and negatives, the mean over parts is the mean over the batch."""
    norms = {"encoder_norm": "group", "projector_norm": "layer", "predictor_norm": "none"}
    whole, parted = build_learner(**norms), build_learner(**norms, accumulate=4)
    for seed in range(3):
        whole.step(*views(seed))
        parted.step(*views(seed))
    for one, other in zip(parameters(whole.online), parameters(parted.online), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)
    batch_norm = build_learner(accumulate=4)
    reference = build_learner()
    batch_norm.step(*views())
    reference.step(*views())
    assert not equal(parameters(batch_norm.online), parameters(reference.online))


def test_batch_statistics_are_per_view() -> None:
    """Two forward passes, one a view: concatenating the views gives another loss."""
    learner = build_learner()
    x1, x2 = views()
    x2 = 3 * x2 + 1
    apart = learner.loss(x1, x2)
    z1, z2 = learner.online(torch.cat([x1, x2]))[1].chunk(2)
    t1, t2 = learner.target(torch.cat([x1, x2]))[1].chunk(2)
    q1, q2 = learner.predictor(torch.cat([z1, z2])).chunk(2)
    together = 4 - 2 * (functional.cosine_similarity(q1, t2) + functional.cosine_similarity(q2, t1)).mean()
    assert not torch.allclose(apart, together, rtol=1e-3)


def test_the_target_runs_on_batch_statistics_and_keeps_running_ones_of_its_own() -> None:
    learner = build_learner()
    for _ in range(3):
        learner.step(*views())
    assert learner.target.training
    online = dict(learner.online.named_buffers())
    for name, buffer in learner.target.named_buffers():
        if name.endswith("running_mean"):
            assert not torch.equal(buffer, torch.zeros_like(buffer)), "the target's statistics never moved"
            assert not torch.equal(buffer, online[name]), "the target's statistics were copied"
        if name.endswith("num_batches_tracked"):
            assert buffer.item() == 6, "two views a step, three steps"


@pytest.mark.parametrize(("tau", "frozen", "follows"), [(1.0, True, False), (0.0, False, True)])
def test_the_ends_of_tau_are_exact(tau: float, frozen: bool, follows: bool) -> None:
    learner = build_learner(tau_base=tau, tau_schedule="constant", target_init="fresh")
    before = parameters(learner.target)
    learner.step(*views())
    assert equal(before, parameters(learner.target)) == frozen
    assert equal(parameters(learner.online), parameters(learner.target)) == follows


def test_an_online_target_is_the_same_as_a_target_copied_after_every_step() -> None:
    """SimSiam's shortcut: sharing the forward pass changes nothing but the cost."""
    shared = build_learner(tau_base=0.0, tau_schedule="constant")
    assert shared.target is shared.online
    copied = build_learner(tau_base=0.0, tau_schedule="constant", target_init="fresh")
    with torch.no_grad():
        for averaged, parameter in zip(copied.target.parameters(), copied.online.parameters(), strict=True):
            averaged.copy_(parameter)
    for seed in range(4):
        shared.step(*views(seed))
        copied.step(*views(seed))
    for a, b in zip(shared.online.parameters(), copied.online.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_without_stop_gradient_the_gradient_flows_through_both_branches() -> None:
    stopped = build_learner(tau_base=0.0, tau_schedule="constant", predictor="none")
    flowing = build_learner(tau_base=0.0, tau_schedule="constant", predictor="none", stop_gradient=False)
    gradients = []
    for learner in (stopped, flowing):
        loss = learner.loss(*views())
        gradients.append((loss.detach(), torch.autograd.grad(loss, list(learner.online.parameters()))))
    torch.testing.assert_close(gradients[0][0], gradients[1][0])
    # Without a predictor the loss is symmetric in its branches, so the full gradient is exactly twice.
    for half, whole in zip(gradients[0][1], gradients[1][1], strict=True):
        torch.testing.assert_close(2 * half, whole, atol=1e-6, rtol=1e-4)


def test_the_asymmetric_loss_is_one_direction() -> None:
    symmetric, asymmetric = build_learner(), build_learner(symmetric=False)
    x1, x2 = views()
    both_directions = asymmetric.loss(x1, x2) + asymmetric.loss(x2, x1)
    torch.testing.assert_close(symmetric.loss(x1, x2), both_directions)


def test_simclr_is_a_point_in_the_same_space() -> None:
    """The preset's loss is 2 (2 + 2 alpha NT-Xent) over both directions, against a written-out NT-Xent."""
    learner = build_learner(preset="simclr", projector_width=16, projector_size=8)
    x1, x2 = views()
    z = functional.normalize(torch.cat([learner.online(x1)[1], learner.online(x2)[1]]).double())
    similarity = (z @ z.T / 0.1).fill_diagonal_(-torch.inf)
    nt_xent = functional.cross_entropy(similarity, torch.arange(16).roll(8))
    expected = 2 * (2 + 2 * 0.1 * nt_xent)
    torch.testing.assert_close(learner.loss(x1, x2).double(), expected, atol=1e-5, rtol=1e-5)


def test_a_frozen_predictor_stays_and_lets_the_gradient_through() -> None:
    learner = build_learner(predictor="frozen")
    before, online = parameters(learner.predictor), parameters(learner.online)
    learner.step(*views())
    assert equal(before, parameters(learner.predictor))
    assert not equal(online, parameters(learner.online))


def test_a_predictor_rate_of_zero_holds_it_still() -> None:
    learner = build_learner(predictor_lr_scale=0.0)
    before = parameters(learner.predictor)
    learner.step(*views())
    assert equal(before, parameters(learner.predictor))


def test_a_predictor_without_decay_keeps_the_peak_rate() -> None:
    moved = {}
    for decays in (True, False):
        learner = build_learner(predictor_lr_decay=decays, momentum=0.0, weight_decay=0.0)
        for _ in range(9):
            learner.step(*views())
        before = parameters(learner.predictor)
        learner.step(*views())
        last = parameters(learner.predictor)
        moved[decays] = sum((a - b).abs().sum().item() for a, b in zip(before, last, strict=True))
    assert moved[False] > 10 * moved[True]  # the last rate of a cosine over ten steps is 1/41 of its peak


def test_rates_follow_the_tables_step_by_step() -> None:
    learner = build_learner(lr=0.5)
    assert learner.lr_table[0].item() == pytest.approx(0.5 * 8 / 256)
    learner.step(*views())
    assert learner.step_index.tolist() == [1]
    learner.step(*views())
    assert {float(group["lr"]) for group in learner.optimizer.param_groups} == {learner.lr_table[1].item()}


def test_the_loss_sum_is_taken_once() -> None:
    learner = build_learner()
    learner.step(*views(1))
    learner.step(*views(2))
    assert learner.take_loss().item() > 0
    assert learner.take_loss().item() == 0


def test_an_encoder_of_the_callers() -> None:
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 5))
    learner = Learner(settings(), train_images=IMAGES, device=CPU, encoder=(encoder, 5))
    learner.step(*views())
    assert learner.online.encoder is encoder
    with pytest.raises(ConfigError, match="an encoder of your own"):
        Learner(settings(target_init="fresh"), train_images=IMAGES, device=CPU, encoder=(encoder, 5))


class NoHostReads(TorchDispatchMode):
    """Fails on operations whose result the host would have to wait for, and on copies from the host."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket._qualified_op_name
        forbidden = ("_local_scalar_dense", "nonzero", "is_nonzero", "masked_select", "equal", "lift_fresh")
        assert name.removeprefix("aten::") not in forbidden, name
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("optimizer", ["sgd", "lars", "adamw"])
def test_a_step_never_waits_for_the_device(optimizer: str) -> None:
    learner = build_learner(optimizer=optimizer, negatives_weight=0.5)
    x1, x2 = views()
    learner.step(x1, x2)
    with NoHostReads():
        learner.step(x1, x2)
    with pytest.raises(AssertionError, match="_local_scalar_dense"), NoHostReads():
        learner.take_loss().item()


def test_the_global_generator_is_not_drawn_from() -> None:
    before = torch.random.get_rng_state()
    learner = build_learner(encoder="resnet18")
    learner.step(*views())
    assert torch.equal(torch.random.get_rng_state(), before)
