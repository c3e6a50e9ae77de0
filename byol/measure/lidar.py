"""LiDAR: how many directions tell images from each other, against what tells views of one image apart.

Shape suffixes: Q views an image, N images, D dimensions of the embedding.
"""

import torch
from torch import Tensor

from byol.measure.metrics import RANKME_EPS, entropy_rank

DELTA = 1e-4
"""Added to the variance within images in every direction. The paper gives no value; this is that of Skean et
al. 2025 (arXiv 2502.02013) and of stable-pretraining."""


def lidar(x_QND: Tensor, *, delta: float = DELTA) -> Tensor:
    """The effective rank of the matrix of a linear discriminant analysis whose classes are the images.

    With the covariance B of the images' means over their views, and the mean covariance W of the views around
    them plus delta: the exponential of the entropy of the eigenvalues' shares of W^-1/2 B W^-1/2, each share
    plus 1e-7. A direction in which the views of one image differ as much as images do counts for little, so
    noise does not raise it, as it does a rank that is centred. At most D and N - 1; directions without any
    difference between images still have eigenvalues of about 1 / Q, so only values at equal Q are comparable.

    Embeddings are taken at their own length, so delta matters where the variance within images is not far
    above it: of a collapsed cloud, LiDAR is the rank of B alone. Computed in float64. NaN for what is not
    finite; 1 where no two images differ.

    Source: Thilak et al. 2024 (arXiv 2312.04000), equations 1 to 4 of the first version.

    Args:
        x_QND: embeddings of Q >= 2 views of N >= 2 images.
        delta: as above, > 0.
    """
    x_QND = x_QND.detach().double()
    views, images, size = x_QND.shape
    mean_ND = x_QND.mean(dim=0)
    within_SD = (x_QND - mean_ND).reshape(-1, size)
    between_ND = mean_ND - mean_ND.mean(dim=0)
    within_DD = within_SD.T @ within_SD / (images * (views - 1))
    between_DD = between_ND.T @ between_ND / (images - 1)
    if not (within_DD.isfinite().all() and between_DD.isfinite().all()):  # which LAPACK refuses
        return within_DD.new_tensor(torch.nan)
    root_DD, failed = torch.linalg.cholesky_ex(within_DD + delta * torch.eye(size).to(within_DD))
    if failed:  # numerically singular: embeddings so large that delta is lost
        return within_DD.new_tensor(torch.nan)
    # L^-1 B L^-T has the eigenvalues of W^-1/2 B W^-1/2, for L L^T = W.
    half_DD = torch.linalg.solve_triangular(root_DD, between_DD, upper=False)
    lda_DD = torch.linalg.solve_triangular(root_DD, half_DD.T, upper=False)
    values_D = torch.linalg.eigvalsh((lda_DD + lda_DD.T) / 2).clamp_min(0)
    return entropy_rank(values_D, RANKME_EPS)
