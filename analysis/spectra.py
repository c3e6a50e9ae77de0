"""What follows from the eigenvalues of a covariance alone. The only place where it is computed.

The tables hold the spectra of embeddings of length 1, centred (docs/result-tables.md); the sources of NESum
and alpha-ReQ take embeddings at their own length. None of these numbers shows full collapse: a cloud that has
shrunk to a point still has the shape of its noise, which has many dimensions. Read them beside the std.

Shape suffixes: D eigenvalues, descending. A spectrum that is not finite gives NaN throughout.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_FIRST, _LAST = 4, 100
"""Places of the eigenvalues, from 1, through which alpha-ReQ's authors fit their power law."""
_LEAST = 3
"""Eigenvalues below which no slope is fitted."""
ROUNDING = 1e-12
"""Share of the largest eigenvalue below which embeddings in float32 leave only rounding."""

_Values = npt.NDArray[np.floating]


class Shape(NamedTuple):
    """How a spectrum falls."""

    effective_rank_centred: float
    """`effective_rank`, 1..D."""
    alpha_req: float
    """`alpha_req`, at least 0."""
    nesum: float
    """`nesum`, 1..D."""
    participation_ratio: float
    """`participation_ratio`, 1..D."""


def shape(eigenvalues_D: _Values) -> Shape:
    """All measures of one spectrum.

    >>> shape(np.ones(8)).nesum
    8.0
    """
    values_D = np.asarray(eigenvalues_D, dtype=np.float64)
    if not len(values_D) or not np.isfinite(values_D).all():
        return Shape(*[np.nan] * len(Shape._fields))
    return Shape(
        effective_rank(values_D), alpha_req(values_D), nesum(values_D), participation_ratio(values_D)
    )


def effective_rank(eigenvalues_D: _Values) -> float:
    """The exponential of the entropy of the singular values' shares, of centred embeddings, 1..D.

    The singular values are the roots of the eigenvalues. 1 without any variance.

    Source: Roy and Vetterli 2007; of centred embeddings as in Li et al. 2022 (arXiv 2209.15007).
    """
    singular_D = np.sqrt(np.clip(eigenvalues_D, 0, None))
    shares = singular_D[singular_D > 0] / max(singular_D.sum(), 1e-300)
    return float(np.exp(-(shares * np.log(shares)).sum()))


def alpha_req(eigenvalues_D: _Values) -> float:
    """The exponent a of the power law i^-a that fits eigenvalues 4 to 100; NaN with fewer than three of them.

    Least squares of the logarithms, weighted by 1 / i, as in the authors' code; eigenvalues that float32 has
    lost (below 1e-12 of the largest) are left out. It is 0 for equal eigenvalues; the authors find the best
    representations near 1. Which places are fitted changes it: of fewer than 100 dimensions, all after the
    third.

    Source: Agrawal et al. 2022 (alpha-ReQ, NeurIPS); the fit is that of Stringer et al. 2019.
    """
    kept_K = eigenvalues_D[_FIRST - 1 : _LAST]
    kept_K = kept_K[kept_K > ROUNDING * max(eigenvalues_D[0], 0)]
    if len(kept_K) < _LEAST:
        return float("nan")
    x_K = -np.log(np.arange(_FIRST, _FIRST + len(kept_K)))
    weights_K = 1 / np.arange(_FIRST, _FIRST + len(kept_K))
    weights_K = weights_K / weights_K.sum()
    y_K = np.log(kept_K)
    x_K = x_K - weights_K @ x_K
    return float((weights_K * x_K) @ (y_K - weights_K @ y_K) / ((weights_K * x_K) @ x_K))


def nesum(eigenvalues_D: _Values) -> float:
    """NESum: the sum of the eigenvalues by the largest, 1..D; 0 without any variance.

    It is the stable rank of the centred embeddings.

    Source: He and Ozay 2022 (ICML), definition 4.1.
    """
    return float(eigenvalues_D.sum() / max(eigenvalues_D[0], 1e-300))


def participation_ratio(eigenvalues_D: _Values) -> float:
    """(sum l)^2 / sum l^2: how many dimensions share the variance, 1..D; 0 without any."""
    return float(eigenvalues_D.sum() ** 2 / max(np.square(eigenvalues_D).sum(), 1e-300))
