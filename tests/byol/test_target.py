"""How the target moves: written-out averages of every tensor that moves, and of those that must not."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from byol.learner import Learner
from byol.schedules import every_nth
from byol.target import running_statistics
from tests.byol.test_learner import NoHostReads, build_learner, equal, parameters, views


def trajectory(learner: Learner, module: nn.Module, steps: int) -> list[list[Tensor]]:
    """The parameters of `module` after each step."""
    result = []
    for seed in range(steps):
        learner.step(*views(seed))
        result.append(parameters(module))
    return result


def test_the_projector_follows_with_a_tau_of_its_own() -> None:
    """On the schedule that both share: cosine from its own base to tau_final."""
    learner = build_learner(tau_base=0.9, projector_tau_base=0.5, tau_final=0.95)
    expected = {name: parameter.detach().clone() for name, parameter in learner.target.named_parameters()}
    for step in range(3):
        learner.step(*views(step))
        for name, parameter in learner.online.named_parameters():
            base = 0.5 if name.startswith("projector") else 0.9
            cosine = (1 + torch.cos(torch.tensor(torch.pi * step / 10))) / 2
            tau = 0.95 - (0.95 - base) * cosine
            expected[name] = tau * expected[name] + (1 - tau) * parameter.detach()
    for name, parameter in learner.target.named_parameters():
        torch.testing.assert_close(parameter.detach(), expected[name])


def test_a_projector_tau_equal_to_that_of_the_encoder_changes_nothing() -> None:
    own, shared = build_learner(tau_base=0.9, projector_tau_base=0.9), build_learner(tau_base=0.9)
    for a, b in zip(trajectory(own, own.target, 3), trajectory(shared, shared.target, 3), strict=True):
        assert equal(a, b)


def test_a_target_whose_projector_alone_is_copied() -> None:
    learner = build_learner(projector_tau_base=0.0, tau_schedule="constant")
    learner.step(*views())
    assert equal(parameters(learner.target.projector), parameters(learner.online.projector))
    assert not equal(parameters(learner.target.encoder), parameters(learner.online.encoder))
    online_encoder = build_learner(tau_base=0.0, projector_tau_base=0.9, tau_schedule="constant")
    assert online_encoder.target is not online_encoder.online


def test_tau_at_every_nth_step() -> None:
    tau_K = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5])
    assert every_nth(tau_K, 1) is tau_K
    assert every_nth(tau_K, 2).tolist() == pytest.approx([1, 0.2, 1, 0.4, 1])
    assert every_nth(tau_K, 3).tolist() == pytest.approx([1, 1, 0.3, 1, 1])


def test_a_target_that_moves_every_third_step_stays_between() -> None:
    """With tau 0 it is a copy of the online network as it was after steps 3 and 6."""
    learner = build_learner(tau_base=0.0, tau_schedule="constant", target_every=3)
    start = parameters(learner.target)
    online, target = [], []
    for seed in range(7):
        learner.step(*views(seed))
        online.append(parameters(learner.online))
        target.append(parameters(learner.target))
    for step, expected in enumerate([start, start, online[2], online[2], online[2], online[5], online[5]]):
        assert equal(target[step], expected), step
    torch.testing.assert_close(learner.tau_table, torch.zeros(10))  # what is reported is the schedule


@pytest.mark.parametrize("every", [1, 2])
def test_averaged_statistics_move_with_tau_as_the_weights_do(every: int) -> None:
    """`BYOLEMAN.momentum_update` of EMAN over the whole state, written out; buffers of counts aside."""
    learner = build_learner(
        target_statistics="averaged", tau_base=0.7, tau_schedule="constant", target_every=every
    )
    assert not learner.target.training
    assert learner.online.training
    expected = {name: tensor.clone() for name, tensor in learner.target.state_dict().items()}
    for step in range(4):
        learner.step(*views(step))
        if (step + 1) % every == 0:
            for name, tensor in learner.online.state_dict().items():
                if not name.endswith("num_batches_tracked"):
                    expected[name] = 0.7 * expected[name] + (1 - 0.7) * tensor
    for name, tensor in learner.target.state_dict().items():
        torch.testing.assert_close(tensor, expected[name])


def test_copied_statistics_are_those_of_the_online_network() -> None:
    learner = build_learner(target_statistics="copied", tau_base=0.7)
    for seed in range(3):
        learner.step(*views(seed))
    assert running_statistics(learner.online)
    assert equal(running_statistics(learner.target), running_statistics(learner.online))
    assert not equal(parameters(learner.target), parameters(learner.online))


def test_the_target_normalises_by_running_statistics() -> None:
    """The loss is that of a target in eval mode; the projection of an image does not depend on its batch."""
    learner = build_learner(target_statistics="copied")
    for seed in range(3):
        learner.step(*views(seed))
    x1, x2 = views(5)
    evaluated = copy.deepcopy(learner.target).eval()
    with torch.no_grad():
        t1 = learner._target_projection(0, (x1, x2), ())
        torch.testing.assert_close(t1, torch.cat([evaluated(x1[i : i + 2])[1] for i in range(0, 8, 2)]))
    batch = build_learner()
    batch.load_state(learner.state())
    assert not torch.allclose(batch.loss(x1, x2), learner.loss(x1, x2), rtol=1e-3)


def test_in_train_mode_the_targets_running_statistics_change_nothing() -> None:
    """That is why they have no setting of their own: overwriting them leaves every later step as it was."""
    kept, overwritten = build_learner(), build_learner()
    for seed in range(3):
        kept.step(*views(seed))
        overwritten.step(*views(seed))
        for target, online in zip(
            running_statistics(overwritten.target), running_statistics(overwritten.online), strict=True
        ):
            target.copy_(online)
    assert equal(parameters(kept.online), parameters(overwritten.online))
    assert torch.equal(kept.take_loss(), overwritten.take_loss())


def test_without_batch_norm_the_statistics_do_not_matter() -> None:
    norms = {"encoder_norm": "group", "projector_norm": "none", "predictor_norm": "none"}
    losses = []
    for statistics in ("batch", "averaged", "copied"):
        learner = build_learner(**norms, target_statistics=statistics)
        for seed in range(2):
            learner.step(*views(seed))
        losses.append(learner.take_loss().item())
    assert losses == [losses[0]] * 3


@pytest.mark.parametrize(
    "settings",
    [
        {"target_statistics": "averaged", "target_every": 2, "projector_tau_base": 0.5},
        {"target_statistics": "copied", "ghost_batch": 4, "accumulate": 2},
        {"predictor": "linear", "predictor_symmetric": True, "encoder_weight_decay": 0.1},
    ],
)
def test_no_new_setting_makes_a_step_wait(settings: dict[str, Any]) -> None:
    learner = build_learner(**settings)
    learner.step(*views())
    x1, x2 = views()
    with NoHostReads():
        learner.step(x1, x2)


def test_in_train_mode_running_statistics_come_from_the_targets_own_batches_alone() -> None:
    learner = build_learner(tau_base=0.5, target_init="fresh")
    alone = copy.deepcopy(learner.target)
    x1, x2 = views()
    with torch.no_grad():
        alone(x1)
        alone(x2)
    learner.step(x1, x2)
    assert equal(running_statistics(learner.target), running_statistics(alone))
    assert not equal(parameters(learner.target), parameters(alone))
