"""Optimisers against written-out numpy arithmetic and against each other."""

from collections.abc import Iterable

import numpy as np
import pytest
import torch
import torch._dynamo  # torch's own optimisers, the oracles, load it for seconds: not on a test's clock
from torch import Tensor, nn

from byol.config import TrialConfig
from byol.optim import LARS, Optimizer, build_optimizer, parameter_groups, set_lr
from byol.presets import from_settings

LRS = (0.0, 0.5, 1.0, 0.3)


def network(seed: int = 0) -> dict[str, nn.Module]:
    generator = torch.Generator().manual_seed(seed)
    roles: dict[str, nn.Module] = {
        "encoder": nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)),
        "projector": nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8)),
        "predictor": nn.Linear(8, 8),
    }
    for module in roles.values():
        for parameter in module.parameters():
            nn.init.normal_(parameter, generator=generator)
    return roles


def named(roles: dict[str, nn.Module]) -> dict[str, Iterable[tuple[str, nn.Parameter]]]:
    return {role: list(module.named_parameters()) for role, module in roles.items()}


def config(**settings: object) -> TrialConfig:
    return from_settings(settings)


def gradients(parameters: list[Tensor], step: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(100 + step)
    drawn = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]
    return [torch.empty_like(p).copy_(g) for p, g in zip(parameters, drawn, strict=True)]  # autograd's layout


def run(optimizer: Optimizer, lrs: Iterable[float] = LRS, undecayed_lr: float = 1.0) -> None:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for step, lr in enumerate(lrs):
        set_lr(optimizer, torch.tensor(lr), torch.tensor(undecayed_lr))
        for parameter, gradient in zip(parameters, gradients(parameters, step), strict=True):
            parameter.grad = gradient
        optimizer.step()


def lars_by_hand(
    start: list[np.ndarray], adapt: list[bool], wd: list[float], eta: float, momentum: float
) -> list[np.ndarray]:
    p = [x.copy() for x in start]
    m = [np.zeros_like(x) for x in start]
    shapes = [torch.from_numpy(x) for x in start]
    for step, lr in enumerate(LRS):
        for i, gradient in enumerate(gradients(shapes, step)):
            update = gradient.numpy() + wd[i] * p[i]
            length, size = np.sqrt((update**2).sum()), np.sqrt((p[i] ** 2).sum())
            if adapt[i] and length > 0 and size > 0:
                update = update * eta * size / length
            m[i] = momentum * m[i] + update
            p[i] = p[i] - lr * m[i]
    return p


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_lars_against_a_written_out_calculation(weight_decay: float) -> None:
    generator = torch.Generator().manual_seed(1)
    tensors = [
        torch.randn(4, 3, dtype=torch.float64, generator=generator),
        torch.zeros(5, dtype=torch.float64),
    ]
    tensors.append(torch.randn(6, dtype=torch.float64, generator=generator))
    parameters = [nn.Parameter(t.clone()) for t in tensors]
    groups = [
        {"params": parameters[:2], "lr": torch.zeros(()), "lr_scale": 1.0, "lr_decay": True},
        {"params": parameters[2:], "lr": torch.zeros(()), "lr_scale": 1.0, "lr_decay": True}
        | {"adapt": False, "weight_decay": 0.0},
    ]
    optimizer = LARS(groups, momentum=0.9, weight_decay=weight_decay, eta=0.02, adapt=True, clip=False)
    run(optimizer)
    expected = lars_by_hand(
        [t.numpy() for t in tensors], [True, True, False], [weight_decay, weight_decay, 0.0], 0.02, 0.9
    )
    for parameter, value in zip(parameters, expected, strict=True):
        # the rate is a float32 on the device, so 0.3 is only as exact as that
        np.testing.assert_allclose(parameter.detach().numpy(), value, rtol=1e-7, atol=1e-8)
    assert parameters[1].detach().abs().min() > 0.01  # at norm 0 the ratio is 1, so the tensor moved


def solo_learns_lars(
    start: list[np.ndarray], *, wd: float, eta: float, momentum: float, excluded: list[bool]
) -> tuple[list[np.ndarray], set[bool]]:
    """`LARS.step` of solo-learn (solo/utils/lars.py, commit 9187ea3) with clip_lr; no dampening, no Nesterov.

    Returns:
        The parameters after the steps, and whether rates were clipped: both where some were and some not.
    """
    p = [x.copy() for x in start]
    buffers: dict[int, np.ndarray] = {}
    was_clipped = set()
    shapes = [torch.from_numpy(x) for x in start]
    for step, lr in enumerate(LRS):
        for i, gradient in enumerate(gradients(shapes, step)):
            d_p = gradient.numpy() * (i != 3)
            p_norm, g_norm = np.linalg.norm(p[i]), np.linalg.norm(d_p)
            if not excluded[i] and p_norm != 0 and g_norm != 0:
                lars_lr = float(p_norm / (g_norm + p_norm * wd + 1e-8) * eta)
                was_clipped.add(lars_lr > lr)
                lars_lr = min(lars_lr / lr, 1.0) if lr else 1.0  # torch divides by 0, which gives infinity
                d_p = (d_p + wd * p[i]) * lars_lr
            buffers[i] = momentum * buffers[i] + d_p if i in buffers else d_p
            p[i] = p[i] - lr * buffers[i]
    return p, was_clipped


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_clipped_lars_against_solo_learns_formula(weight_decay: float) -> None:
    """With a parameter at zero, an excluded one and one whose gradient is zero."""
    generator = torch.Generator().manual_seed(1)
    tensors = [torch.randn(4, 3, dtype=torch.float64, generator=generator), torch.zeros(5, 2).double()]
    tensors += [torch.randn(6, dtype=torch.float64, generator=generator), torch.ones(2, 2).double()]
    tensors += [20 * torch.randn(4, 3, dtype=torch.float64, generator=generator)]
    parameters = [nn.Parameter(t.clone()) for t in tensors]
    common = {"lr": torch.zeros(()), "lr_scale": 1.0, "lr_decay": True}
    groups = [
        {"params": [parameters[i] for i in (0, 1, 3, 4)], **common},
        {"params": [parameters[2]], "adapt": False, "weight_decay": 0.0, **common, "lr": torch.zeros(())},
    ]
    optimizer = LARS(groups, momentum=0.9, weight_decay=weight_decay, eta=0.05, adapt=True, clip=True)
    for step, lr in enumerate(LRS):
        set_lr(optimizer, torch.tensor(lr), torch.tensor(1.0))
        shapes = [parameter.detach() for parameter in parameters]
        for i, (parameter, gradient) in enumerate(zip(parameters, gradients(shapes, step), strict=True)):
            parameter.grad = gradient * (i != 3)
        optimizer.step()
    expected, was_clipped = solo_learns_lars(
        [t.numpy() for t in tensors],
        wd=weight_decay,
        eta=0.05,
        momentum=0.9,
        excluded=[False, False, True, False, False],
    )
    assert was_clipped == {True, False}
    for parameter, value in zip(parameters, expected, strict=True):
        np.testing.assert_allclose(parameter.detach().numpy(), value, rtol=1e-6, atol=1e-7)


def test_the_setting_clips() -> None:
    moved = []
    for clip in (False, True):
        weight = nn.Parameter(torch.full((3, 2), 100.0))
        optimizer = build_optimizer(
            {"encoder": [("weight", weight)]},
            config(optimizer="lars", lars_clip=clip, lars_eta=0.1, weight_decay=0.0),
        )
        set_lr(optimizer, torch.tensor(0.5), torch.tensor(1.0))
        weight.grad = torch.ones(3, 2)
        optimizer.step()
        moved.append(100.0 - weight[0, 0].item())
    assert moved == pytest.approx([0.5 * 10, 0.5 * 1])  # eta |p| / |g| is 10; clipped, the step is SGD's


def test_lars_without_adaptation_is_torch_sgd() -> None:
    lars_network, sgd_network = network(), network()
    settings = {"weight_decay": 0.1, "momentum": 0.8}
    lars = build_optimizer(named(lars_network), config(optimizer="lars", **settings))
    for group in lars.param_groups:
        group["adapt"] = False
    sgd = build_optimizer(named(sgd_network), config(optimizer="sgd", **settings))
    run(lars)
    run(sgd)
    for role in lars_network:
        for a, b in zip(lars_network[role].parameters(), sgd_network[role].parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_lars_skips_a_parameter_without_gradient() -> None:
    parameter = nn.Parameter(torch.ones(2))
    LARS([{"params": [parameter]}], lr=1.0, momentum=0.9, weight_decay=1.0, eta=1.0).step()
    assert torch.equal(parameter.detach(), torch.ones(2))


def test_lars_step_does_not_depend_on_the_scale_of_the_gradient_even_without_weight_decay() -> None:
    moved = []
    for scale in (1.0, 1000.0):
        weight = nn.Parameter(torch.ones(3, 2))
        optimizer = build_optimizer(
            {"encoder": [("weight", weight)]}, config(optimizer="lars", weight_decay=0.0, lars_eta=0.1)
        )
        set_lr(optimizer, torch.tensor(1.0), torch.tensor(1.0))
        weight.grad = scale * torch.arange(1.0, 7.0).view(3, 2)
        optimizer.step()
        moved.append(weight.detach() - 1)
    torch.testing.assert_close(moved[0], moved[1])
    assert moved[0].norm().item() == pytest.approx(0.1 * 6**0.5, rel=1e-5)  # eta |p|


@pytest.mark.parametrize("weight_decay", [0.0, 1e-6])
def test_biases_and_norms_are_excluded_by_a_flag_of_their_own(weight_decay: float) -> None:
    groups = parameter_groups(named(network()), config(exclude_bias_and_norm=True, weight_decay=weight_decay))
    treated = {
        name: (group["adapt"], group["weight_decay"]) for group in groups for name, _ in group["params"]
    }
    assert treated == {
        "encoder.0.weight": (True, weight_decay),
        "encoder.1.weight": (False, 0.0),
        "encoder.1.bias": (False, 0.0),
        "projector.0.weight": (True, weight_decay),
        "projector.0.bias": (False, 0.0),
        "projector.1.weight": (False, 0.0),
        "projector.1.bias": (False, 0.0),
        "predictor.weight": (True, weight_decay),
        "predictor.bias": (False, 0.0),
    }


def test_without_exclusion_everything_is_decayed_and_adapted() -> None:
    groups = parameter_groups(named(network()), config(exclude_bias_and_norm=False, weight_decay=0.3))
    assert [(g["adapt"], g["weight_decay"], len(g["params"])) for g in groups] == [
        (True, 0.3, 7),
        (True, 0.3, 2),
    ]


@pytest.mark.parametrize("optimizer", ["sgd", "lars", "adamw"])
def test_each_part_has_a_weight_decay_of_its_own(optimizer: str) -> None:
    """Each part moves as it does in a network in which that decay is the common one."""
    decays = {"encoder": 0.3, "projector": 0.0, "predictor": 0.1}

    def trained(**settings: float) -> dict[str, list[Tensor]]:
        roles = network()
        built = build_optimizer(
            named(roles), config(optimizer=optimizer, exclude_bias_and_norm=True, **settings)
        )
        parameters: list[Tensor] = [p for module in roles.values() for p in module.parameters()]
        for step, lr in enumerate(LRS):
            set_lr(built, torch.tensor(lr), torch.tensor(1.0))
            for parameter, gradient in zip(parameters, gradients(parameters, step), strict=True):
                parameter.grad = gradient
            built.step()
        return {role: [p.detach() for p in module.parameters()] for role, module in roles.items()}

    apart = trained(**{f"{role}_weight_decay": decay for role, decay in decays.items()})
    other = trained(weight_decay=0.7)
    for role, decay in decays.items():
        alike = trained(weight_decay=decay)
        for a, b in zip(apart[role], alike[role], strict=True):
            torch.testing.assert_close(a, b)
        assert not torch.allclose(apart[role][0], other[role][0])


def test_a_decay_equal_to_the_common_one_makes_no_group_of_its_own() -> None:
    """So the order of the optimiser's state, which checkpoints hold, stays as it was."""
    common = parameter_groups(named(network()), config(weight_decay=0.3))
    own = parameter_groups(named(network()), config(weight_decay=0.3, projector_weight_decay=0.3))
    names = [[[name for name, _ in group["params"]] for group in groups] for groups in (common, own)]
    assert names[0] == names[1]
    apart = parameter_groups(named(network()), config(weight_decay=0.3, projector_weight_decay=0.2))
    assert [group["weight_decay"] for group in apart] == [0.3, 0.2, 0.3]


@pytest.mark.parametrize("optimizer", ["sgd", "lars", "adamw"])
def test_predictor_learns_at_its_own_rate(optimizer: str) -> None:
    roles = network()
    built = build_optimizer(
        named(roles), config(optimizer=optimizer, predictor_lr_scale=10.0, predictor_lr_decay=False)
    )
    set_lr(built, torch.tensor(0.25), torch.tensor(0.5))
    rates = {n: g["lr"].item() for g in built.param_groups for n in g["param_names"]}
    assert {rate for name, rate in rates.items() if not name.startswith("predictor")} == {0.25}
    assert {rate for name, rate in rates.items() if name.startswith("predictor")} == {5.0}


def test_predictor_lr_scale_zero_keeps_the_predictor_as_it_is() -> None:
    roles = network()
    before = {role: [p.detach().clone() for p in module.parameters()] for role, module in roles.items()}
    run(build_optimizer(named(roles), config(predictor_lr_scale=0.0)))
    moved = {
        role: any(not torch.equal(a, b) for a, b in zip(before[role], module.parameters(), strict=True))
        for role, module in roles.items()
    }
    assert moved == {"encoder": True, "projector": True, "predictor": False}


def test_frozen_parameters_are_in_no_group() -> None:
    roles = network()
    roles["predictor"].requires_grad_(False)
    groups = parameter_groups(named(roles), config())
    assert all(not name.startswith("predictor") for group in groups for name, _ in group["params"])


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_torch_optimisers_follow_the_rate_in_the_tensor(optimizer: str) -> None:
    built_network, plain_network = network(), network()
    built = build_optimizer(
        named(built_network),
        config(optimizer=optimizer, weight_decay=0.1, momentum=0.8, exclude_bias_and_norm=True),
    )
    run(built)
    groups = parameter_groups(
        named(plain_network), config(weight_decay=0.1, momentum=0.8, exclude_bias_and_norm=True)
    )
    plain: torch.optim.Optimizer
    if optimizer == "sgd":
        plain = torch.optim.SGD(groups, lr=0.0, momentum=0.8, fused=True)
    else:
        plain = torch.optim.AdamW(groups, lr=0.0, betas=(0.8, 0.999), fused=True)
    tensors = [p for group in plain.param_groups for p in group["params"]]
    for step, lr in enumerate(LRS):
        for group in plain.param_groups:
            group["lr"] = torch.tensor(lr)
        for parameter, gradient in zip(tensors, gradients(tensors, step), strict=True):
            parameter.grad = gradient
        plain.step()
    for role in built_network:
        for a, b in zip(built_network[role].parameters(), plain_network[role].parameters(), strict=True):
            assert torch.equal(a, b)


def test_the_rate_stays_in_the_same_tensor() -> None:
    optimizer = build_optimizer(named(network()), config(optimizer="lars"))
    addresses = [group["lr"].data_ptr() for group in optimizer.param_groups]
    run(optimizer)
    assert [group["lr"].data_ptr() for group in optimizer.param_groups] == addresses


@pytest.mark.parametrize("optimizer", ["sgd", "lars", "adamw"])
def test_what_is_remembered_can_be_restored(optimizer: str) -> None:
    """A convolution in channels_last, whose layout files lose."""

    def built() -> tuple[dict[str, nn.Module], Optimizer]:
        roles = network()
        roles["encoder"].to(memory_format=torch.channels_last)
        return roles, build_optimizer(named(roles), config(optimizer=optimizer, lars_eta=0.1))

    (whole, undisturbed), (half, first), (rest, second) = built(), built(), built()
    run(undisturbed, LRS)
    run(undisturbed, LRS)
    assert first.slots() == {}
    run(first, LRS)
    for role, module in rest.items():
        module.load_state_dict(half[role].state_dict())
    second.load_slots(
        {place: {k: v.contiguous().clone() for k, v in each.items()} for place, each in first.slots().items()}
    )
    run(second, LRS)
    for role, module in whole.items():
        for a, b in zip(module.parameters(), rest[role].parameters(), strict=True):
            assert torch.equal(a, b)
