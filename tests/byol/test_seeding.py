"""Random numbers made on the device, against the published generator and the distribution that they have."""

import math

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from byol.seeding import normals_on_device, splitmix64


def step(number: int) -> Tensor:
    return torch.tensor([number])


def test_splitmix64_is_the_published_generator() -> None:
    """The first outputs for the seed 1234567, as by Vigna's splitmix64.c."""
    bits = splitmix64(1234567, torch.arange(5))
    assert [int(value) % 2**64 for value in bits] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_normals_are_independent_standard_normals() -> None:
    drawn = torch.stack([normals_on_device(0, "slices", step(k), 40, 50) for k in range(20)]).double()
    assert stats.kstest(drawn.flatten().numpy(), "norm").pvalue > 1e-3
    rows = drawn.flatten(1)
    correlation = np.corrcoef(rows.numpy()) - np.eye(20)  # of steps
    assert np.abs(correlation).max() < 5 / math.sqrt(2000)
    neighbours = np.corrcoef(drawn.flatten().numpy()[:-1], drawn.flatten().numpy()[1:])[0, 1]
    assert abs(neighbours) < 4 / math.sqrt(40_000)


def test_normals_depend_on_seed_name_and_step_alone() -> None:
    first = normals_on_device(3, "slices", step(7), 5, 4)
    assert torch.equal(first, normals_on_device(3, "slices", step(7), 5, 4))
    others = [(4, "slices", 7), (3, "view1", 7), (3, "slices", 8)]
    for seed, name, number in others:
        assert not torch.isclose(first, normals_on_device(seed, name, step(number), 5, 4)).any()
