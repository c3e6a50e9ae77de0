"""kNN against brute force and problems whose answer is known."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from byol.measure import knn
from byol.measure.knn import knn_accuracy
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
    accuracy = knn_accuracy(
        bank, bank_labels, queries, query_labels, k=k, temperature=temperature, resolution=0
    )
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


def test_remnants_of_a_collapsed_embedding_score_at_chance() -> None:
    """Classes a thousandth apart around one point: all digits of float32 tell them, the default does not."""
    labels = torch.arange(1000) % 10
    point = torch.nn.functional.normalize(torch.rand(32, generator=torch.Generator().manual_seed(0)), dim=0)
    features = point + 1e-3 * torch.nn.functional.one_hot(labels, 32)
    split = (features[:800], labels[:800], features[800:], labels[800:])
    assert knn_accuracy(*split, k=20, temperature=0.1, resolution=0) == 1.0
    assert knn_accuracy(*split, k=20, temperature=0.1) < 0.2
    apart = (split[0] - point, split[1], split[2] - point, split[3])
    assert knn_accuracy(*apart, k=20, temperature=0.1) == 1.0
