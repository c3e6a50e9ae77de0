"""Accuracy of a weighted kNN classifier on frozen features.

Shape suffixes: N samples of the bank, M queries, D features, C classes, b a block of queries, k neighbours.
Labels are integers from 0; C is the largest label in the bank plus 1, so a class that occurs only among the
queries is never right.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

COSINE_RESOLUTION = 1 / 256
"""Cosines that differ by less count as equal. It is the precision of bf16 near 1."""

_BLOCK = 1024  # queries whose similarities to the whole bank are in memory at a time


def knn_accuracy(
    bank_ND: Tensor,
    bank_labels_N: Tensor,
    queries_MD: Tensor,
    query_labels_M: Tensor,
    *,
    k: int,
    temperature: float,
    resolution: float = COSINE_RESOLUTION,
) -> float:
    """Share of queries that a vote of their k nearest bank samples labels correctly, 0..1.

    Near is by cosine; a neighbour's vote weighs exp(cosine / temperature). Of classes with equal votes the
    lowest wins; which of several equally near samples become the k-th neighbour is left to torch.topk (in
    full collapse that is all of them, and accuracy is then at chance). Features that are not finite give NaN.

    Cosines are rounded to `resolution` first. Mixed-precision benchmarks compare no more digits, whereas
    float32 finds the classes in the remnants, a hundredth wide, of an embedding collapsed to a point.
    A spread-out embedding loses next to nothing by it.

    Args:
        bank_ND: features of labelled, clean training images.
        bank_labels_N: their labels.
        queries_MD: features of clean test images.
        query_labels_M: their labels.
        k: neighbours, 1..N.
        temperature: > 0; the smaller, the more the nearest count.
        resolution: cosines closer than this are equal; 0 compares all digits of float32.

    Raises:
        ValueError: k is not in 1..N.

    Source: Wu et al. 2018 (arXiv 1805.01978), section 3.4.
    """
    if not 1 <= k <= len(bank_ND):
        raise ValueError(f"knn_k must be between 1 and the {len(bank_ND)} samples of the bank, but got {k}")
    if not (bank_ND.isfinite().all() and queries_MD.isfinite().all()):
        return math.nan
    bank_ND, queries_MD = F.normalize(bank_ND.float(), dim=1), F.normalize(queries_MD.float(), dim=1)
    classes = int(bank_labels_N.max()) + 1
    correct = torch.zeros((), dtype=torch.int64, device=bank_ND.device)
    for start in range(0, len(queries_MD), _BLOCK):
        block = slice(start, start + _BLOCK)
        cosine_bN = queries_MD[block] @ bank_ND.T
        if resolution:
            cosine_bN.div_(resolution).round_().mul_(resolution)
        cosine_bk, nearest_bk = cosine_bN.topk(k, dim=1)
        # softmax is exp(cosine / temperature) up to a factor per query, and can't overflow
        votes_bC = cosine_bk.new_zeros(len(cosine_bk), classes)
        votes_bC.scatter_add_(1, bank_labels_N[nearest_bk], (cosine_bk / temperature).softmax(dim=1))
        correct += (votes_bC.argmax(dim=1) == query_labels_M[block]).sum()
    return correct.item() / len(queries_MD)
