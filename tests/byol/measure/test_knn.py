"""kNN against brute force, the kNN of lightly and of solo-learn, and problems whose answer is known."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from byol.measure import knn
from byol.measure.knn import knn_accuracy, leave_one_out_accuracy
from byol.measure.metrics import embedding_std
from byol.pulse import beats
from tests.byol.measure.clouds import clouds


def knn_by_hand(bank: Tensor, labels: Tensor, queries: Tensor, k: int, temperature: float) -> list[int]:
    b, q = (x.double().numpy() for x in (bank, queries))
    predicted = []
    for query in q:
        cosines = b @ query / np.linalg.norm(b, axis=1) / np.linalg.norm(query)
        votes: dict[int, float] = {}
        for i in np.argsort(-cosines)[:k]:
            votes[int(labels[i])] = votes.get(int(labels[i]), 0.0) + math.exp(cosines[i] / temperature)
        predicted.append(max(votes, key=lambda label: votes[label]))
    return predicted


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.1), (7, 0.07), (40, 0.5)])
def test_knn_against_brute_force(k: int, temperature: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knn, "_BLOCK", 64)
    bank, bank_labels = clouds(300, 6, 5, noise=1.5)
    queries, query_labels = clouds(150, 6, 5, noise=1.5, seed=1)
    expected = np.mean(
        np.array(knn_by_hand(bank, bank_labels, queries, k, temperature)) == query_labels.numpy()
    )
    accuracy = knn_accuracy(bank, bank_labels, queries, query_labels, k=k, temperature=temperature)
    assert 0.3 < accuracy < 0.9  # neither trivial nor hopeless, so that a difference shows
    assert accuracy == pytest.approx(expected, abs=1e-12)


def angles(*degrees: float) -> Tensor:
    radians = torch.tensor(degrees) * math.pi / 180
    return torch.stack([radians.cos(), radians.sin()], dim=1)


def test_temperature_decides_between_one_near_and_two_far_neighbours() -> None:
    # class 0 at 10 degrees, class 1 twice at 40: exp((cos 10 - cos 40) / T) against 2, equal at T = .32
    bank, labels = angles(10, 40, -40), torch.tensor([0, 1, 1])
    query, label = angles(0), torch.tensor([0])
    assert knn_accuracy(bank, labels, query, label, k=3, temperature=0.30) == 1.0
    assert knn_accuracy(bank, labels, query, label, k=3, temperature=0.34) == 0.0


def test_knn_is_by_cosine_and_not_by_distance() -> None:
    bank, labels = torch.tensor([[100.0, 1.0], [0.0, 1.0]]), torch.tensor([0, 1])
    assert (
        knn_accuracy(bank, labels, torch.tensor([[1.0, 0.1]]), torch.tensor([0]), k=1, temperature=0.1) == 1.0
    )


def test_tiny_temperature_neither_overflows_nor_underflows() -> None:
    bank, labels = angles(10, 40, 50, -50), torch.tensor([0, 1, 1, 1])
    for query, label in ((angles(0), 0), (angles(180), 1)):
        assert knn_accuracy(bank, labels, query, torch.tensor([label]), k=4, temperature=1e-4) == 1.0


def test_equal_votes_go_to_the_lowest_class() -> None:
    bank, labels = angles(20, -20), torch.tensor([2, 1])
    assert knn_accuracy(bank, labels, angles(0), torch.tensor([1]), k=2, temperature=0.1) == 1.0


def test_collapsed_features_are_at_chance() -> None:
    labels = torch.arange(10).repeat(20)
    assert knn_accuracy(torch.ones(200, 8), labels, torch.ones(200, 8), labels, k=20, temperature=0.1) == 0.1


def test_a_class_that_the_bank_lacks_is_never_right() -> None:
    bank, labels = angles(0, 1), torch.tensor([0, 0])
    assert knn_accuracy(bank, labels, angles(0, 0), torch.tensor([0, 5]), k=2, temperature=0.1) == 0.5


@pytest.mark.parametrize("k", [0, 4])
def test_more_neighbours_than_samples_are_refused(k: int) -> None:
    bank, labels = angles(0, 1, 2), torch.tensor([0, 0, 1])
    with pytest.raises(ValueError, match=rf"between 1 and the 3 samples of the bank, but got {k}"):
        knn_accuracy(bank, labels, bank, labels, k=k, temperature=0.1)


def test_features_that_are_not_finite_give_nan() -> None:
    good, labels = clouds(20, 3, 2, noise=1.0)
    bad = good.clone()
    bad[4, 1] = math.nan
    for bank, queries in ((bad, good), (good, bad)):
        assert math.isnan(knn_accuracy(bank, labels, queries, labels, k=3, temperature=0.1))


def collapsed_cloud(count: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """Features around one point, with classes: all their cosines are within about 2e-4 of 1."""
    generator = torch.Generator().manual_seed(seed)
    point = functional.normalize(torch.rand(32, generator=torch.Generator().manual_seed(0)), dim=0)
    labels = torch.arange(count) % 10
    noise = 1.5e-3 * torch.randn(count, 32, generator=generator)
    return point + 7e-3 * functional.one_hot(labels, 32) + noise, labels


def test_collapse_to_a_narrow_cloud_keeps_what_classes_the_cloud_has() -> None:
    """Rounding cosines to 1/256, bf16's precision, would make all of them equal, and accuracy chance."""
    bank, bank_labels = collapsed_cloud(800, seed=1)
    queries, query_labels = collapsed_cloud(200, seed=2)
    cosine = functional.normalize(queries, dim=1) @ functional.normalize(bank, dim=1).T
    assert 1e-4 < 1 - cosine.min() < 3e-4
    assert (cosine * 256).round().unique().tolist() == [256]
    assert embedding_std(bank) < 0.02
    assert knn_accuracy(bank, bank_labels, queries, query_labels, k=20, temperature=0.1) > 0.95


def lightly_accuracy(
    bank: Tensor, labels: Tensor, queries: Tensor, query_labels: Tensor, *, k: int, temperature: float
) -> float:
    """`knn_predict` of lightly 1.5.26 (lightly/utils/benchmarking/knn.py), on features of length 1."""
    classes = int(labels.max()) + 1
    features, feature_bank = functional.normalize(queries, dim=1), functional.normalize(bank, dim=1).t()
    weights, indices = torch.mm(features, feature_bank).topk(k=k, dim=-1)
    neighbour_labels = torch.gather(labels.expand(len(features), -1), dim=-1, index=indices)
    weights = (weights / temperature).exp()
    one_hot = torch.zeros(len(features) * k, classes)
    one_hot = one_hot.scatter(dim=-1, index=neighbour_labels.view(-1, 1), value=1.0)
    scores = torch.sum(one_hot.view(len(features), -1, classes) * weights.unsqueeze(dim=-1), dim=1)
    predicted = scores.argsort(dim=-1, descending=True)[:, 0]
    return (predicted == query_labels).sum().item() / len(queries)


def solo_learn_accuracy(
    bank: Tensor, labels: Tensor, queries: Tensor, query_labels: Tensor, *, k: int, temperature: float
) -> float:
    """`WeightedKNNClassifier` of solo-learn (solo/utils/knn.py, commit 9187ea3): cosine, accuracy @1."""
    bank, queries = functional.normalize(bank), functional.normalize(queries)
    classes = torch.unique(query_labels).numel()
    chunk = min(max(1, int(5e6) // len(bank)), len(queries))
    correct = 0.0
    for start in range(0, len(queries), chunk):
        features, targets = queries[start : start + chunk], query_labels[start : start + chunk]
        similarities, indices = torch.mm(features, bank.t()).topk(k, largest=True, sorted=True)
        neighbours = torch.gather(labels.view(1, -1).expand(len(targets), -1), 1, indices)
        one_hot = torch.zeros(len(targets) * k, classes).scatter_(1, neighbours.view(-1, 1), 1)
        similarities = similarities.clone().div_(temperature).exp_()
        probabilities = (one_hot.view(len(targets), -1, classes) * similarities.unsqueeze(-1)).sum(1)
        _, predictions = probabilities.sort(1, True)
        correct += predictions.eq(targets.view(-1, 1)).narrow(1, 0, 1).sum().item()
    return correct / len(queries)


@pytest.mark.parametrize("cloud", ["spread out", "one mean direction", "collapsed"])
@pytest.mark.parametrize(("k", "temperature"), [(1, 0.1), (20, 0.1), (20, 0.07), (200, 0.1)])
def test_knn_is_that_of_lightly_and_solo_learn(cloud: str, k: int, temperature: float) -> None:
    if cloud == "collapsed":
        bank, queries = collapsed_cloud(2000, seed=1), collapsed_cloud(1500, seed=2)
    else:
        bank, queries = (clouds(n, 24, 10, noise=3.0, seed=i) for i, n in enumerate((2000, 1500)))
    offset = 20.0 if cloud == "one mean direction" else 0.0
    problem = (bank[0] + offset, bank[1], queries[0] + offset, queries[1])
    accuracy = knn_accuracy(*problem, k=k, temperature=temperature)
    assert 0.2 < accuracy < 1
    assert accuracy == lightly_accuracy(*problem, k=k, temperature=temperature)
    assert accuracy == solo_learn_accuracy(*problem, k=k, temperature=temperature)


def test_each_block_of_queries_is_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knn, "_BLOCK", 4)
    before, (bank, labels) = beats(), (torch.eye(3), torch.arange(3))
    knn_accuracy(bank, labels, torch.ones(10, 3), torch.zeros(10, dtype=torch.int64), k=1, temperature=0.1)
    assert beats() == before + 3


def test_leaving_one_out_against_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knn, "_BLOCK", 64)
    x, labels = clouds(150, 6, 5, noise=1.5)
    right = []
    for i in range(150):
        others = torch.arange(150) != i
        right += [knn_by_hand(x[others], labels[others], x[i : i + 1], 7, 0.1) == [int(labels[i])]]
    accuracy, queries = leave_one_out_accuracy(x, labels, k=7, temperature=0.1, most_queries=1000)
    assert queries == 150
    assert accuracy == pytest.approx(np.mean(right), abs=1e-12)
    assert 0.3 < accuracy < 0.9
    accuracy, queries = leave_one_out_accuracy(x, labels, k=7, temperature=0.1, most_queries=50)
    chosen = np.linspace(0, 149, 50).round().astype(int)
    assert queries == 50
    assert accuracy == pytest.approx(np.mean(np.array(right)[chosen]), abs=1e-12)


def test_left_out_samples_do_not_vote_for_themselves() -> None:
    x = torch.eye(8)
    accuracy, _ = leave_one_out_accuracy(x, torch.arange(8), k=1, temperature=0.1, most_queries=8)
    assert accuracy == 0
    with pytest.raises(ValueError, match="between 1 and the 7 other samples, but got 8"):
        leave_one_out_accuracy(x, torch.arange(8), k=8, temperature=0.1, most_queries=8)


def test_leaving_one_out_of_features_without_classes_is_a_little_below_chance() -> None:
    x = torch.randn(2000, 16, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(2000) % 2
    accuracy, _ = leave_one_out_accuracy(x, labels, k=20, temperature=0.1, most_queries=2000)
    assert 0.45 < accuracy < 0.53
