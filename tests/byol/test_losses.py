"""The loss against independent double-precision references, values and gradients."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from byol.losses import negatives_term, pair_loss, regression_loss

B, D = 6, 5


def embeddings(seed: int, count: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(B, D, dtype=torch.float64, generator=generator).requires_grad_() for _ in range(count)
    ]


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / math.sqrt((a @ a) * (b @ b)))


def info_nce_by_loops(phi1: Tensor, psi2: Tensor, psi1: Tensor, beta: float, alpha: float) -> float:
    """BYOL's generalised InfoNCE, negated and shifted by 2, written out sample by sample."""
    p, t, s = (x.detach().numpy() for x in (phi1, psi2, psi1))
    positives = sum(cosine(p[i], t[i]) for i in range(B)) / B
    negatives = 0.0
    for i in range(B):
        total = sum(math.exp(cosine(p[i], s[j]) / alpha) for j in range(B) if j != i)
        total += sum(math.exp(cosine(p[i], t[j]) / alpha) for j in range(B))
        negatives += math.log(total) / B
    return 2 - 2 * positives + beta * 2 * alpha * negatives


def test_l2_regression_is_two_minus_two_cosines_and_so_is_its_gradient() -> None:
    prediction, target, _ = embeddings(0)
    loss = regression_loss(prediction, target, norm="l2")
    reference = (2 - 2 * torch.nn.functional.cosine_similarity(prediction, target)).mean()
    assert loss.item() == pytest.approx(reference.item(), abs=1e-14)
    for gradient, expected in zip(
        torch.autograd.grad(loss, (prediction, target)),
        torch.autograd.grad(reference, (prediction, target)),
        strict=True,
    ):
        torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("factor", "expected"), [(3.0, 0.0), (-3.0, 4.0)])
def test_l2_regression_spans_zero_to_four(factor: float, expected: float) -> None:
    prediction, *_ = embeddings(1)
    assert regression_loss(prediction, factor * prediction, norm="l2").item() == pytest.approx(
        expected, abs=1e-14
    )


def test_layer_and_batch_norm_are_written_out_in_numpy() -> None:
    prediction, target, _ = embeddings(2)
    p, t = prediction.detach().numpy(), target.detach().numpy()

    def standardised(x: np.ndarray, axis: int) -> np.ndarray:
        x = x - x.mean(axis=axis, keepdims=True)
        return x / np.sqrt((x**2).mean(axis=axis, keepdims=True) + 1e-5) / math.sqrt(D)  # type: ignore[no-any-return]

    for norm, axis in (("layer", 1), ("batch", 0)):
        expected = ((standardised(p, axis) - standardised(t, axis)) ** 2).sum(axis=1).mean()
        assert regression_loss(prediction, target, norm=norm).item() == pytest.approx(expected, abs=1e-12)
    assert regression_loss(prediction, target, norm="none").item() == pytest.approx(
        ((p - t) ** 2).sum(1).mean()
    )


@pytest.mark.parametrize("norm", ["l2", "layer", "batch"])
def test_every_normalisation_puts_independent_vectors_at_two(norm: str) -> None:
    generator = torch.Generator().manual_seed(3)
    prediction, target = (40 + 7 * torch.randn(2000, 256, generator=generator) for _ in range(2))
    if norm == "l2":  # the only one that does not centre
        prediction, target = prediction - 40, target - 40
    assert regression_loss(prediction, target, norm=norm).item() == pytest.approx(2.0, abs=0.02)


@pytest.mark.parametrize("beta", [0.25, 1.0, 2.0])
@pytest.mark.parametrize("alpha", [0.1, 0.5])
def test_generalised_info_nce_against_loops(beta: float, alpha: float) -> None:
    prediction, target, same_view = embeddings(4)
    loss = pair_loss(
        prediction, target, same_view, norm="l2", negatives_weight=beta, negatives_temperature=alpha
    )
    expected = info_nce_by_loops(prediction, target, same_view, beta, alpha)
    assert loss.item() == pytest.approx(expected, abs=1e-12)


def test_gradients_of_the_negatives_by_finite_differences() -> None:
    prediction, target, same_view = embeddings(5)
    assert torch.autograd.gradcheck(
        lambda p, t, s: negatives_term(p, t, s, temperature=0.2), (prediction, target, same_view)
    )


def test_beta_zero_is_byol_exactly_in_value_and_gradient() -> None:
    prediction, target, same_view = embeddings(6)
    loss = pair_loss(prediction, target, same_view, norm="l2", negatives_weight=0.0)
    reference = regression_loss(prediction, target, norm="l2")
    assert torch.equal(loss, reference)
    assert torch.equal(*(torch.autograd.grad(x, prediction)[0] for x in (loss, reference)))
    assert torch.equal(pair_loss(prediction, target, None, norm="l2"), reference)


def nt_xent(z1: Tensor, z2: Tensor, alpha: float) -> Tensor:
    """SimCLR's loss over all 2B anchors, as cross-entropy over the others (Chen et al. 2020, eq. 1)."""
    z = torch.nn.functional.normalize(torch.cat([z1, z2]), dim=1)
    logits = z @ z.T / alpha
    others = ~torch.eye(2 * B, dtype=torch.bool)
    positive = torch.arange(2 * B).roll(B)
    logits_of_others = logits[others].view(2 * B, 2 * B - 1)
    positive_index = positive - (positive > torch.arange(2 * B)).long()
    return torch.nn.functional.cross_entropy(logits_of_others, positive_index)


def test_beta_one_without_predictor_and_target_is_simclr() -> None:
    z1, z2 = embeddings(7, count=2)
    alpha = 0.2
    loss = sum(
        pair_loss(a, b, a, norm="l2", negatives_weight=1.0, negatives_temperature=alpha)
        for a, b in ((z1, z2), (z2, z1))
    )
    assert isinstance(loss, Tensor)
    reference = 4 + 4 * alpha * nt_xent(z1, z2, alpha)  # two directions of 2 + 2 alpha NT-Xent
    assert loss.item() == pytest.approx(reference.item(), abs=1e-12)
    for a, b in zip(
        torch.autograd.grad(loss, (z1, z2)), torch.autograd.grad(reference, (z1, z2)), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_bfloat16_and_autocast_do_not_cost_digits() -> None:
    prediction, target, same_view = (x.detach().to(torch.bfloat16) for x in embeddings(8))
    expected = info_nce_by_loops(prediction.double(), target.double(), same_view.double(), 1.0, 0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = pair_loss(
            prediction, target, same_view, norm="l2", negatives_weight=1.0, negatives_temperature=0.1
        )
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected, abs=1e-5)


def test_dead_embeddings_give_a_finite_loss_and_gradient() -> None:
    dead = torch.zeros(B, D, requires_grad=True)
    loss = pair_loss(dead, dead.detach(), dead.detach(), norm="l2", negatives_weight=1.0)
    (gradient,) = torch.autograd.grad(loss, dead)
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()


def test_nearly_collapsed_loss_keeps_its_digits_in_float32() -> None:
    point = torch.full((1, 256), 1.0)
    near = point.clone()
    near[0, 0] += 1e-3
    exact = 2 - 2 * cosine(point[0].double().numpy(), near[0].double().numpy())
    assert regression_loss(near, point, norm="l2").item() == pytest.approx(exact, rel=1e-3)


def test_unknown_normalisation_is_refused() -> None:
    prediction, target, _ = embeddings(9)
    with pytest.raises(ValueError, match=r"loss_norm must be one of l2, layer, batch, none, but got 'l1'"):
        regression_loss(prediction, target, norm="l1")
