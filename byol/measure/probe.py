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

from byol.pulse import beat


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """What a linear probe reached. All NaN if the features were not finite."""

    accuracy: float
    """Share of test samples that are labelled correctly, 0..1, after a fit to all training samples."""
    validation_accuracy: float
    """Share of the validation split that is labelled correctly, 0..1, by which weight decay was chosen."""
    weight_decay: float
    """The weight decay that was chosen."""


def fit_linear(x_ND: Tensor, labels_N: Tensor, *, classes: int, weight_decay: float) -> tuple[Tensor, Tensor]:
    """Multinomial logistic regression by full-batch L-BFGS from zero.

    Minimises mean cross-entropy + weight_decay / 2 times the squared norm of the weights; the bias is not
    penalised. The problem is convex, so neither the start nor a seed matters.

    Args:
        x_ND: features.
        labels_N: their labels.
        classes: C.
        weight_decay: as above.

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
        beat()
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
    """Accuracy on `test` of a fit to `train`. Both are (features, labels), standardised by `train`."""
    (x_ND, labels_N), (x_MD, labels_M) = train, test
    mean_D, std_D = x_ND.mean(dim=0), x_ND.std(dim=0, correction=0)
    std_D = torch.where(std_D > 0, std_D, 1.0)  # a feature that never changes becomes 0
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

    A random part of the training samples validates each weight decay, and the best is chosen (of equally good
    ones, the strongest). The fit is then repeated on all training samples; test samples are used only once.

    Args:
        train_ND: features of training images, without augmentation, float32 or float64.
        train_labels_N: their labels.
        test_MD: features of test images, likewise.
        test_labels_M: their labels.
        weight_decays: candidates, see `fit_linear`.
        seed: fixes the split, by a generator of its own.
        validation_fraction: share of the training samples that validates, above 0 and below 1.

    Raises:
        ValueError: no candidates, or a split with an empty side.
    """
    count = len(train_ND)
    validation_count = round(count * validation_fraction)
    if not 0 < validation_count < count:
        rule = f"must leave both sides of a split of {count} samples non-empty"
        raise ValueError(f"validation_fraction {rule}, but got {validation_fraction:g}")
    if not weight_decays:
        raise ValueError("weight_decays must not be empty")
    if not (train_ND.isfinite().all() and test_MD.isfinite().all()):
        return ProbeResult(accuracy=math.nan, validation_accuracy=math.nan, weight_decay=math.nan)
    order_N = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).to(train_ND.device)
    validation, rest = (
        (train_ND[part], train_labels_N[part])
        for part in (order_N[:validation_count], order_N[validation_count:])
    )
    classes = int(train_labels_N.max()) + 1
    best_accuracy, best_decay = -1.0, 0.0
    for weight_decay in sorted(weight_decays, reverse=True):
        accuracy = _fitted_accuracy(rest, validation, classes=classes, weight_decay=weight_decay)
        if accuracy > best_accuracy:
            best_accuracy, best_decay = accuracy, weight_decay
    accuracy = _fitted_accuracy(
        (train_ND, train_labels_N), (test_MD, test_labels_M), classes=classes, weight_decay=best_decay
    )
    return ProbeResult(accuracy=accuracy, validation_accuracy=best_accuracy, weight_decay=best_decay)
