"""Accuracy of a weighted kNN classifier on frozen features.

Shape suffixes: N samples of the bank, M queries, D features, C classes, b a block of queries, k neighbours.
Labels are integers from 0; C is the largest label in the bank plus 1, so a class that occurs only among the
queries is never right.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from byol.errors import ConfigError
from byol.pulse import beat

_BLOCK = 1024  # queries whose similarities to the whole bank are in memory at a time
_BLOCK_COSINES = 2**25  # likewise, of a bank of any size


def knn_accuracy(
    bank_ND: Tensor,
    bank_labels_N: Tensor,
    queries_MD: Tensor,
    query_labels_M: Tensor,
    *,
    k: int,
    temperature: float,
) -> float:
    """Share of queries that get the right label by a vote of their k nearest samples of the bank, 0..1.

    Nearest is by cosine, in float32; a vote weighs exp(cosine / temperature). This is the kNN of lightly and
    of solo-learn, number for number. Of classes with equal votes the lowest wins. Which of equally near
    samples is the k-th neighbour is up to torch.topk. Features that are not finite give NaN.

    It says what class information the features hold, not whether they have collapsed: collapse is the loss
    of spread (`byol.measure.metrics.embedding_std`). A cloud around one point may still have its classes in
    places of their own, which float32 tells apart down to cosines 1e-7 from each other, and then accuracy
    stays high. Features that are all equal give the accuracy of chance.

    Args:
        bank_ND: features of labelled training images, without augmentation.
        bank_labels_N: their labels.
        queries_MD: features of test images, likewise.
        query_labels_M: their labels.
        k: neighbours, 1..N.
        temperature: > 0; the smaller it is, the more the nearest neighbours count.

    Raises:
        ValueError: k is not in 1..N.

    Source: Wu et al. 2018 (arXiv 1805.01978), section 3.4.

    >>> bank, labels = torch.tensor([[3.0, 0.1], [0.1, 1.0]]), torch.tensor([0, 1])
    >>> queries, query_labels = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 0])
    >>> knn_accuracy(bank, labels, queries, query_labels, k=1, temperature=0.1)
    0.5
    """
    if not 1 <= k <= len(bank_ND):
        raise ValueError(f"knn_k must be between 1 and the {len(bank_ND)} samples of the bank, but got {k}")
    if not (bank_ND.isfinite().all() and queries_MD.isfinite().all()):
        return math.nan
    bank_ND, queries_MD = F.normalize(bank_ND.float(), dim=1), F.normalize(queries_MD.float(), dim=1)
    classes = int(bank_labels_N.max()) + 1
    correct = torch.zeros((), dtype=torch.int64, device=bank_ND.device)
    for start in range(0, len(queries_MD), _BLOCK):
        beat()
        block = slice(start, start + _BLOCK)
        cosine_bk, nearest_bk = (queries_MD[block] @ bank_ND.T).topk(k, dim=1)
        predicted_b = vote(cosine_bk, bank_labels_N[nearest_bk], classes=classes, temperature=temperature)
        correct += (predicted_b == query_labels_M[block]).sum()
    return correct.item() / len(queries_MD)


def leave_one_out_accuracy(
    x_ND: Tensor, labels_N: Tensor, *, k: int, temperature: float, most_queries: int
) -> tuple[float, int]:
    """Accuracy of the same vote where every sample is labelled by all others, and the number of queries.

    For features that come without a split into bank and queries. A sample never votes for itself, but a copy
    of it does. Features without class information come out a little below the share of the largest class,
    because each query has one sample less of its own class than of the others.

    Args:
        x_ND: features; they are the bank.
        labels_N: their labels.
        k: neighbours, 1..N-1.
        temperature: as of `knn_accuracy`.
        most_queries: of more samples, so many are queries, evenly spaced.

    Raises:
        ValueError: k is not in 1..N-1.

    >>> features, labels = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), torch.tensor([0, 0, 1])
    >>> accuracy, queries = leave_one_out_accuracy(features, labels, k=1, temperature=0.1, most_queries=10)
    >>> round(accuracy, 3), queries
    (0.667, 3)
    """
    count = len(x_ND)
    if not 1 <= k < count:
        raise ValueError(f"knn_k must be between 1 and the {count - 1} other samples, but got {k}")
    chosen_M = torch.linspace(0, count - 1, min(count, most_queries), dtype=torch.float64).round().long()
    if not x_ND.isfinite().all():
        return math.nan, len(chosen_M)
    unit_ND, classes = F.normalize(x_ND.float(), dim=1), int(labels_N.max()) + 1
    correct = 0
    for queries_b in chosen_M.split(max(1, min(_BLOCK, _BLOCK_COSINES // count))):
        cosine_bN = unit_ND[queries_b] @ unit_ND.T
        cosine_bN[torch.arange(len(queries_b)), queries_b] = -torch.inf
        cosine_bk, nearest_bk = cosine_bN.topk(k, dim=1)
        predicted_b = vote(cosine_bk, labels_N[nearest_bk], classes=classes, temperature=temperature)
        correct += int((predicted_b == labels_N[queries_b]).sum())
    return correct / len(chosen_M), len(chosen_M)


def check_neighbours(k: int, labelled_images: int, name: str) -> None:
    """Checks that a bank has enough images.

    Raises:
        ConfigError: it has fewer than k labelled images; the message names the data set.
    """
    if k > labelled_images:
        raise ConfigError("knn_k", k, f"must not exceed the {labelled_images} labelled images of {name}")


def vote(cosine_bk: Tensor, labels_bk: Tensor, *, classes: int, temperature: float) -> Tensor:
    """The label [b] for which each query's neighbours vote, with weights exp(cosine / temperature).

    Args:
        cosine_bk: similarities of the neighbours.
        labels_bk: their labels.
        classes: C.
        temperature: > 0.
    """
    # softmax is exp(cosine / temperature) up to a factor per query, and cannot overflow.
    weights_bk = (cosine_bk / temperature).softmax(dim=1)
    votes_bC = cosine_bk.new_zeros(len(cosine_bk), classes).scatter_add_(1, labels_bk, weights_bk)
    return votes_bC.argmax(dim=1)
