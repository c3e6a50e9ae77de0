"""Ghost batch normalisation against torch's own BatchNorm on each group, and against accumulated batches."""

import copy

import pytest
import torch
from torch import Tensor, nn

from byol.config import TrialConfig
from byol.ghost import use_ghost_batches
from byol.networks import build_encoder
from tests.byol.test_learner import build_learner, parameters, views


@pytest.mark.parametrize("shape", [(12, 5), (12, 5, 3, 2)])
@pytest.mark.parametrize("affine", [True, False])
def test_each_group_is_normalised_as_a_batch_of_its_own(shape: tuple[int, ...], affine: bool) -> None:
    """Outputs, gradients and running statistics of plain BatchNorm that sees one group after the other."""
    plain = (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(5, affine=affine, momentum=0.3, eps=1e-3)
    generator = torch.Generator().manual_seed(1)
    for parameter in plain.parameters():
        nn.init.normal_(parameter, generator=generator)
    ghost = use_ghost_batches(nn.Sequential(copy.deepcopy(plain)), 4)
    images = 5 * torch.randn(shape, generator=generator) + torch.arange(12.0).view(
        -1, *[1] * (len(shape) - 1)
    )
    results = []
    for norm in (ghost, lambda x: torch.cat([plain(part) for part in x.split(4)])):
        x = images.clone().requires_grad_()
        y: Tensor = norm(x)
        (y * torch.arange(y.numel()).view_as(y)).sum().backward()
        results.append((y.detach(), x.grad))
    torch.testing.assert_close(results[0], results[1], atol=1e-4, rtol=1e-4)
    for a, b in zip(ghost.state_dict().values(), plain.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b)
    for a, b in zip(ghost.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(ghost.eval()(images), plain.eval()(images))


def test_ghost_batches_are_the_parts_of_an_accumulated_batch() -> None:
    """Without negatives, images meet in BatchNorm alone."""
    ghost, parted = build_learner(ghost_batch=4, lr=0.1), build_learner(accumulate=2, lr=0.1)
    for seed in range(3):
        ghost.step(*views(seed))
        parted.step(*views(seed))
    for one, other in zip(parameters(ghost.online), parameters(parted.online), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    # Running statistics see the groups in another order: here by view, there by part.
    counts = [
        {tensor.item() for name, tensor in learner.online.named_buffers() if name.endswith("tracked")}
        for learner in (ghost, parted)
    ]
    assert counts == [{12}, {12}]  # three steps, two views, two groups
    torch.testing.assert_close(ghost.take_loss(), parted.take_loss())


def test_a_group_of_all_images_is_batch_norm() -> None:
    ghost, plain = build_learner(ghost_batch=8), build_learner()
    ghost.step(*views())
    plain.step(*views())
    for one, other in zip(parameters(ghost.online), parameters(plain.online), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_every_batch_norm_of_an_encoder_is_reached(name: str) -> None:
    """Also of one whose layers cannot be exchanged: each group alone gives the same as all together."""
    norm = "batch" if name == "resnet18" else "native"
    config = TrialConfig(encoder=name, encoder_norm=norm, image_size=32, batch_size=8, ghost_batch=4)
    encoder, _ = build_encoder(config)
    images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        apart = torch.cat([encoder(part) for part in images.chunk(2)])
        torch.testing.assert_close(encoder(images), apart, atol=1e-3, rtol=1e-3)
        plain, _ = build_encoder(TrialConfig(encoder=name, encoder_norm=norm, image_size=32))
        assert not torch.allclose(plain(images), apart, atol=1e-2)


def test_collapse_is_measured_on_groups_of_that_size() -> None:
    assert TrialConfig(batch_size=64, accumulate=2, ghost_batch=8).norm_size == 8
    assert TrialConfig(batch_size=64, accumulate=2).norm_size == 32
