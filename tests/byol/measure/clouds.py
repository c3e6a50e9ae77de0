"""Labelled samples whose classes overlap, for the tests of kNN and probe."""

import torch
from torch import Tensor


def clouds(count: int, size: int, classes: int, *, noise: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Overlapping Gaussian clouds, one a class, the labels in random order."""
    centres = torch.randn(classes, size, generator=torch.Generator().manual_seed(99))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count,), generator=generator)
    return centres[labels] + noise * torch.randn(count, size, generator=generator), labels
