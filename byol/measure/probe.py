"""Accuracy of a linear probe: logistic regression on frozen features.

Shape suffixes: N training samples, M test samples, D features, C classes.
Labels are integers from 0; C is the largest training label plus 1, so a class that occurs only among the
test samples is never right.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """What a linear probe reached. All NaN where the features were not finite."""

    accuracy: float
    """Share of test samples right, 0..1, after a fit to all training samples."""
    validation_accuracy: float
    """Share of the validation split right, 0..1, by which the weight decay was chosen."""
    weight_decay: float
    """The chosen one."""


def fit_linear(x_ND: Tensor, labels_N: Tensor, *, classes: int, weight_decay: float) -> tuple[Tensor, Tensor]:
    """Multinomial logistic regression by full-batch L-BFGS from zero.

    Minimises mean cross-entropy + weight_decay / 2 times the squared norm of the weights; the bias is not
    penalised. Convex, so the start and the seed do not matter.

    Returns:
        Weights [C, D] and bias [C], in the precision of `x_ND`.
    """
    weight_CD = x_ND.new_zeros(classes, x_ND.shape[1]).requires_grad_()
    bias_C = x_ND.new_zeros(classes).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [weight_CD, bias_C],
        max_iter=300,
        tolerance_grad=1e-6,
        tolerance_change=1e-10,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(x_ND @ weight_CD.T + bias_C, labels_N)
        loss = loss + weight_decay / 2 * weight_CD.square().sum()
        torch.autograd.backward(loss)
        return loss

    optimizer.step(objective)  # type: ignore[arg-type, unused-ignore]
    return weight_CD.detach(), bias_C.detach()


def _fitted_accuracy(
    train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], *, classes: int, weight_decay: float
) -> float:
    """Accuracy on `test` of a fit to `train`, both (features, labels), standardised as `train` is."""
    (x_ND, labels_N), (x_MD, labels_M) = train, test
    mean_D, std_D = x_ND.mean(dim=0), x_ND.std(dim=0, correction=0)
    std_D = torch.where(std_D > 0, std_D, 1.0)  # a feature that never changes is left at 0
    weight_CD, bias_C = fit_linear(
        (x_ND - mean_D) / std_D, labels_N, classes=classes, weight_decay=weight_decay
    )
    predicted_M = ((x_MD - mean_D) / std_D @ weight_CD.T + bias_C).argmax(dim=1)
    return (predicted_M == labels_M).double().mean().item()


def linear_probe(
    train_ND: Tensor,
    train_labels_N: Tensor,
    test_MD: Tensor,
    test_labels_M: Tensor,
    *,
    weight_decays: Sequence[float],
    seed: int,
    validation_fraction: float = 0.2,
) -> ProbeResult:
    """Accuracy of logistic regression on frozen, standardised features.

    A random part of the training samples chooses the weight decay (of equals, the strongest); the fit is then
    repeated on all of them, and the test samples are looked at once.

    Args:
        train_ND: features of clean training images, float32 or float64.
        train_labels_N: their labels.
        test_MD: features of clean test images.
        test_labels_M: their labels.
        weight_decays: candidates, see `fit_linear`.
        seed: fixes the split, through a generator of its own.
        validation_fraction: share of the training samples that chooses, above 0 and below 1.

    Raises:
        ValueError: no candidates, or a split with an empty side.
    """
    count = len(train_ND)
    held = round(count * validation_fraction)
    if not 0 < held < count:
        rule = f"must leave both sides of a split of {count} samples non-empty"
        raise ValueError(f"validation_fraction {rule}, but got {validation_fraction:g}")
    if not weight_decays:
        raise ValueError("weight_decays must not be empty")
    if not (train_ND.isfinite().all() and test_MD.isfinite().all()):
        return ProbeResult(accuracy=math.nan, validation_accuracy=math.nan, weight_decay=math.nan)
    order_N = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).to(train_ND.device)
    validation, rest = ((train_ND[part], train_labels_N[part]) for part in (order_N[:held], order_N[held:]))
    classes = int(train_labels_N.max()) + 1
    best, chosen = -1.0, 0.0
    for weight_decay in sorted(weight_decays, reverse=True):
        accuracy = _fitted_accuracy(rest, validation, classes=classes, weight_decay=weight_decay)
        if accuracy > best:
            best, chosen = accuracy, weight_decay
    accuracy = _fitted_accuracy(
        (train_ND, train_labels_N), (test_MD, test_labels_M), classes=classes, weight_decay=chosen
    )
    return ProbeResult(accuracy=accuracy, validation_accuracy=best, weight_decay=chosen)
