"""Terms of the loss that keep projections spread out by themselves, without a predictor or a target.

All are of the online network's projections, one tensor a view, through all of which the gradient flows. A
moving-average target has no part in them: no gradient would reach it, and its spread follows the online
network's. The systems that they come from, as settings (d is `projector_size`; all with `predictor: none`,
the online network as target, `stop_gradient: false`, and for the regression `loss_norm: none`):

- VICReg as its algorithm 1 (a mean over features), with weights 25, 25, 1: `regression_weight` 25 / (2 d),
  `variance_weight` 25, `covariance_weight` 1. Its code, and lightly's, halve the variance term:
  `variance_weight` 12.5.
- Barlow Twins: `regression_weight` 0, `cross_correlation_weight` 1; `cross_correlation_lambda` is .005 in the
  paper and .0051 in its code.
- LeJEPA with weight l and K views: `regression_weight` (1 - l) (K - 1) / (4 K d), `sigreg_weight` l. For its
  invariance term is the mean, over views and features, of the squared distance from the mean of the views.

Shape suffixes: B batch, D size of the projection, S slices, T knots.
"""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from byol.precision import at_least_float32

_TARGET_STD = 1.0  # VICReg's gamma
_VARIANCE_FLOOR = 1e-4  # VICReg's epsilon
_KNOTS = 17
_LAST_KNOT = 3.0  # of the integral over the characteristic function, as in the authors' code


def variance(z_BD: Tensor) -> Tensor:
    """Mean over features of max(0, 1 - sqrt(variance over the batch + 1e-4)): 0-dim; .99 for a point.

    The variance divides by B - 1.

    Source: Bardes et al. 2022 (VICReg, arXiv 2105.04906), equation 1.
    """
    std_D = (z_BD.var(dim=0) + _VARIANCE_FLOOR).sqrt()
    return (_TARGET_STD - std_D).relu().mean()


def covariance(z_BD: Tensor) -> Tensor:
    """Sum of the squared covariances of different features, divided by D: 0-dim; 0 for a point.

    The covariance divides by B - 1. Independent standard normals give (D - 1) / (B - 1) in the mean.

    Source: VICReg, equations 3 and 4.
    """
    batch, size = z_BD.shape
    centred_BD = z_BD - z_BD.mean(dim=0)
    return _off_diagonal(centred_BD.T @ centred_BD / (batch - 1)).square().sum() / size


def cross_correlation(z1_BD: Tensor, z2_BD: Tensor, *, off_diagonal_weight: float) -> Tensor:
    """Squared distance of the correlation matrix between two views from the identity.

        sum_i (1 - C_ii)^2 + off_diagonal_weight sum_{i != j} C_ij^2

    C_ij is the correlation over the batch between feature i of view 1 and feature j of view 2. As in the
    authors' code, 1e-5 is added to each variance; so a point gives D. Returns a 0-dim tensor.

    Source: Zbontar et al. 2021 (Barlow Twins, arXiv 2103.03230), equations 1 and 2.
    """
    first_BD, second_BD = (F.batch_norm(z_BD, None, None, training=True) for z_BD in (z1_BD, z2_BD))
    correlation_DD = first_BD.T @ second_BD / len(first_BD)
    on_diagonal = (1 - correlation_DD.diagonal()).square().sum()
    return on_diagonal + off_diagonal_weight * _off_diagonal(correlation_DD).square().sum()


def sigreg(z_BD: Tensor, directions_DS: Tensor) -> Tensor:
    """Sketched isotropic Gaussian regularisation: how far projections on random directions are from N(0, 1).

    The mean over directions of the Epps-Pulley statistic

        B int_{-3}^{3} |phi(t) - exp(-t^2 / 2)|^2 exp(-t^2 / 2) dt

    where phi is the empirical characteristic function of the batch along that direction, by the trapezoid
    rule with 17 knots from 0 to 3. A standard normal gives 1.05 in the mean, whatever B; a point at the
    origin gives .40 B.

    Args:
        z_BD: projections of one view.
        directions_DS: unit vectors, as by `directions`.

    Returns:
        A 0-dim tensor.

    Source: Balestriero and LeCun 2025 (LeJEPA, arXiv 2511.08544); rbalestr-lab/lejepa,
    lejepa/univariate/epps_pulley.py and lejepa/multivariate/slicing.py.
    """
    knot_T = torch.linspace(0, _LAST_KNOT, _KNOTS, device=z_BD.device, dtype=z_BD.dtype)
    normal_T = (-knot_T.square() / 2).exp()
    angle_BST = (z_BD @ directions_DS.to(z_BD.dtype))[:, :, None] * knot_T
    distance_ST = (angle_BST.cos().mean(dim=0) - normal_T).square() + angle_BST.sin().mean(dim=0).square()
    # The integrand is even: twice the integral from 0.
    return 2 * len(z_BD) * torch.trapezoid(distance_ST * normal_T, knot_T, dim=-1).mean()


def directions(normals_DS: Tensor) -> Tensor:
    """Unit vectors [D, S], uniform over the sphere, from independent standard normals."""
    unit_DS: Tensor = F.normalize(normals_DS, dim=0)
    return unit_DS


def regularisation(
    projections: Sequence[Tensor],
    *,
    variance_weight: float = 0.0,
    covariance_weight: float = 0.0,
    cross_correlation_weight: float = 0.0,
    cross_correlation_lambda: float = 5e-3,
    sigreg_weight: float = 0.0,
    directions_DS: Tensor | None = None,
) -> Tensor:
    """The weighted sum of all terms over the views.

    Variance and covariance are summed over two views, as in VICReg's equation 6: with K views they are 2 / K
    times the sum. Cross-correlation is the mean over pairs of views, and SIGReg the mean over views, as in
    their sources.

    Args:
        projections: [B, D] of each view, at least two.
        variance_weight, covariance_weight, cross_correlation_weight, sigreg_weight: of each term; a term of
            weight 0 is not computed.
        cross_correlation_lambda: weight of the correlations between different features.
        directions_DS: for SIGReg; may be None when its weight is 0.

    Returns:
        A 0-dim tensor, float32 or wider.
    """
    with torch.autocast(projections[0].device.type, enabled=False):
        views = [at_least_float32(z_BD) for z_BD in projections]
        terms = [views[0].new_zeros(())]
        if variance_weight > 0:
            terms.append(variance_weight * 2 * _mean([variance(z_BD) for z_BD in views]))
        if covariance_weight > 0:
            terms.append(covariance_weight * 2 * _mean([covariance(z_BD) for z_BD in views]))
        if cross_correlation_weight > 0:
            pairs = [
                cross_correlation(*pair, off_diagonal_weight=cross_correlation_lambda)
                for pair in itertools.combinations(views, 2)
            ]
            terms.append(cross_correlation_weight * _mean(pairs))
        if sigreg_weight > 0:
            assert directions_DS is not None, "SIGReg needs directions"
            terms.append(sigreg_weight * _mean([sigreg(z_BD, directions_DS) for z_BD in views]))
        return torch.stack(terms).sum()


def _mean(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean()


def _off_diagonal(matrix_DD: Tensor) -> Tensor:
    return matrix_DD - matrix_DD.diagonal().diag()
