"""Predictions against targets: BYOL's regression and the negatives of its generalised InfoNCE.

Shape suffixes: B batch, D size of the projection, N = 2B.

Both are for one direction: view 1 predicts the target's projection of view 2. `views_loss` puts the
directions of all views together: BYOL's loss lies in 0..8 if every view predicts, and in 0..4 if one does.
Everything is computed in float32 at least, whatever precision the network ran in, and nothing waits for the
device.
"""

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from byol.precision import at_least_float32

# A vector shorter than this is not stretched to length one. deepmind-research (byol/utils/helpers.py) floors
# the squared norm at 1e-12; torch's own default of 1e-12 for the norm itself would multiply the gradient of a
# dead (all-zero) embedding by 1e12.
_NORM_FLOOR = 1e-6


def normalise(x_BD: Tensor, norm: str) -> Tensor:
    """Normalises embeddings as BYOL's table 20 does before taking their squared distance.

    `l2` scales every row to length 1. `layer` (over each row) and `batch` (over each column) subtract the
    mean and divide by the standard deviation, without affine parameters, and by sqrt(D), so that a row's
    expected squared length is 1 too and the loss keeps its scale. `none` changes nothing.

    Args:
        x_BD: embeddings, one row per image; `batch` needs B >= 2.
        norm: l2, layer, batch or none.

    Returns:
        [B, D], of the type of `x_BD`.

    Raises:
        ValueError: another `norm`.

    Source: Grill et al. 2020 (arXiv 2006.07733), appendix, table 20.
    """
    size = x_BD.shape[-1]
    if norm == "l2":
        unit_BD: Tensor = F.normalize(x_BD, dim=-1, eps=_NORM_FLOOR)
        return unit_BD
    if norm == "layer":
        return torch.layer_norm(x_BD, [size]) / math.sqrt(size)
    if norm == "batch":
        return F.batch_norm(x_BD, None, None, training=True) / math.sqrt(size)
    if norm == "none":
        return x_BD
    raise ValueError(f"loss_norm must be one of l2, layer, batch, none, but got {norm!r}")


def regression_loss(prediction_BD: Tensor, target_BD: Tensor, *, norm: str) -> Tensor:
    """Mean over the batch of the squared distance between normalised prediction and target.

    With `norm="l2"` this is 2 - 2 cos, in 0..4. It is computed as a squared distance because near collapse
    (cos close to 1) the difference 2 - 2 cos has no correct digits in float32 and can be negative.

    Args:
        prediction_BD: the online network's predictions of one view.
        target_BD: the target's projections of the other view. Gradient flows into it unless the caller has
            detached it (`stop_gradient`).
        norm: see `normalise`.

    Returns:
        A 0-dim tensor.

    Source: Grill et al. 2020, equation 2.
    """
    prediction_BD = normalise(at_least_float32(prediction_BD), norm)
    target_BD = normalise(at_least_float32(target_BD), norm)
    return (prediction_BD - target_BD).square().sum(dim=-1).mean()


def negatives_term(
    prediction_BD: Tensor, target_BD: Tensor, same_view_BD: Tensor, *, temperature: float
) -> Tensor:
    """The term of the generalised InfoNCE that pushes an image away from the others in its batch.

        2 alpha mean_i ln( sum_{j != i} exp(S(v_i, v_j) / alpha) + sum_j exp(S(v_i, v'_j) / alpha) )

    S(u1, u2) is the cosine between the prediction of u1 and the target projection of u2, whatever
    normalisation the regression uses.

    Args:
        prediction_BD: predictions of view 1 (v).
        target_BD: target projections of view 2 (v').
        same_view_BD: target projections of view 1 (v).
        temperature: alpha, > 0.

    Returns:
        A 0-dim tensor.

    Source: Grill et al. 2020, appendix F.4.
    """
    prediction_BD, target_BD, same_view_BD = (
        normalise(at_least_float32(x_BD), "l2") for x_BD in (prediction_BD, target_BD, same_view_BD)
    )
    itself_BB = torch.eye(len(prediction_BD), dtype=torch.bool, device=prediction_BD.device)
    same_view_BB = (prediction_BD @ same_view_BD.T).masked_fill(itself_BB, -torch.inf)
    similarity_BN = torch.cat([same_view_BB, prediction_BD @ target_BD.T], dim=1)
    return 2 * temperature * torch.logsumexp(similarity_BN / temperature, dim=1).mean()


def pair_loss(
    prediction_BD: Tensor,
    target_BD: Tensor,
    same_view_BD: Tensor | None,
    *,
    norm: str,
    regression_weight: float = 1.0,
    negatives_weight: float = 0.0,
    negatives_temperature: float = 0.1,
) -> Tensor:
    """One direction of the loss: the weighted regression plus `negatives_weight` (beta) times the negatives.

    beta = 0 is BYOL and ignores `same_view_BD`. beta = 1 with l2 normalisation, no predictor, and the online
    network as its own target (no stop-gradient) is SimCLR: 2 + 2 alpha times NT-Xent over the anchors of
    view 1. Values between the two are those of BYOL's table 5b.

    Args:
        prediction_BD: predictions of view 1.
        target_BD: target projections of view 2.
        same_view_BD: target projections of view 1; may be None when beta is 0.
        norm: normalisation of the regression term.
        regression_weight: >= 0; 1 is BYOL.
        negatives_weight: beta, >= 0.
        negatives_temperature: alpha, > 0.

    Returns:
        A 0-dim tensor, float32 or wider.
    """
    # Under autocast the similarities would be bfloat16: two digits, then divided by alpha.
    with torch.autocast(prediction_BD.device.type, enabled=False):
        loss = regression_weight * regression_loss(prediction_BD, target_BD, norm=norm)
        if negatives_weight == 0:
            return loss
        assert same_view_BD is not None, "negatives need the target's projection of the same view"
        negatives = negatives_term(prediction_BD, target_BD, same_view_BD, temperature=negatives_temperature)
        return loss + negatives_weight * negatives


def views_loss(
    predictions: Sequence[Tensor],
    targets: Mapping[int, Tensor],
    *,
    average_targets: bool,
    norm: str,
    regression_weight: float = 1.0,
    negatives_weight: float = 0.0,
    negatives_temperature: float = 0.1,
) -> Tensor:
    """The loss over all views: each prediction against the targets of the other views.

    The loss of a view is the mean of its pair losses, or its pair loss with the mean of the targets. Views
    that predict count together as much as the two of BYOL: the sum of their losses times 2 / K. If the first
    alone predicts, its loss is the whole.

    Where views 3 to K = 2m are copies of views 1 and 2, and all predict each other's targets one by one, this
    is (m (L12 + L21) + (m - 1) (L11 + L22)) / (2m - 1), with the pair loss Lij of prediction i and target j.

    Args:
        predictions: [B, D] of the views that predict: all of them, or the first.
        targets: [B, D] by the index of their view, at least one of another view for each prediction. With
            negatives, every view that predicts has one.
        average_targets: whether targets are averaged, before they are normalised (FastSiam,
            arXiv 2203.08777; lightly, examples/pytorch/fastsiam.py). The mean then also stands for the other
            view among the negatives.
        norm, regression_weight, negatives_weight, negatives_temperature: see `pair_loss`.

    Returns:
        A 0-dim tensor, float32 or wider.
    """
    losses = []
    for index, prediction_BD in enumerate(predictions):
        others = [target_BD for view, target_BD in targets.items() if view != index]
        if average_targets:
            others = [torch.stack(others).mean(dim=0)]
        pairs = [
            pair_loss(
                prediction_BD,
                target_BD,
                targets.get(index),
                norm=norm,
                regression_weight=regression_weight,
                negatives_weight=negatives_weight,
                negatives_temperature=negatives_temperature,
            )
            for target_BD in others
        ]
        losses.append(torch.stack(pairs).mean())
    return torch.stack(losses).sum() * (min(2, len(losses)) / len(losses))
