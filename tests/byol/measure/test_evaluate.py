"""kNN against brute force, the probe against scipy and problems whose answer is known."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import scipy.optimize
import torch
import torch._dynamo  # an optimiser loads it on first use, for seconds: not on a test's clock
from torch import Tensor

from byol.measure import evaluate
from byol.measure.evaluate import fit_linear, knn_accuracy, linear_probe

DECAYS = (1e-4, 1e-2, 1.0)


def clouds(count: int, size: int, classes: int, *, noise: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Overlapping Gaussian clouds, one a class, the labels in random order."""
    centres = torch.randn(classes, size, generator=torch.Generator().manual_seed(99))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count,), generator=generator)
    return centres[labels] + noise * torch.randn(count, size, generator=generator), labels


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
    monkeypatch.setattr(evaluate, "_BLOCK", 64)
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
        result = linear_probe(bank, labels, queries, labels, weight_decays=DECAYS, seed=0)
        assert math.isnan(result.accuracy)
        assert math.isnan(result.validation_accuracy)


@pytest.mark.parametrize("weight_decay", [1e-3, 0.3])
def test_fit_is_the_minimum_that_scipy_finds(weight_decay: float) -> None:
    classes, size = 4, 5
    x, labels = clouds(200, size, classes, noise=1.0)
    x = x.double()
    rows = np.arange(len(x))

    def objective(flat: npt.NDArray[np.float64]) -> float:
        weight, bias = flat[: classes * size].reshape(classes, size), flat[classes * size :]
        logits = x.numpy() @ weight.T + bias
        logits = logits - logits.max(axis=1, keepdims=True)
        log_p = logits[rows, labels.numpy()] - np.log(np.exp(logits).sum(axis=1))
        return float(-log_p.mean() + weight_decay / 2 * (weight**2).sum())

    reference = scipy.optimize.minimize(objective, np.zeros(classes * (size + 1)), options={"gtol": 1e-6})
    weight, bias = fit_linear(x, labels, classes=classes, weight_decay=weight_decay)
    ours = objective(np.concatenate([weight.numpy().ravel(), bias.numpy()]))
    assert ours == pytest.approx(reference.fun, abs=1e-9)
    np.testing.assert_allclose(weight.numpy().ravel(), reference.x[: classes * size], atol=2e-4)


def test_bias_of_featureless_data_is_the_log_frequency_of_the_classes() -> None:
    labels = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)
    weight, bias = fit_linear(torch.zeros(100, 2).double(), labels, classes=3, weight_decay=0.1)
    torch.testing.assert_close(bias.softmax(0), torch.tensor([0.6, 0.3, 0.1]).double(), atol=1e-5, rtol=0)
    assert weight.abs().max() == 0


def test_separable_features_are_separated_whatever_their_scale() -> None:
    train, labels = clouds(300, 10, 4, noise=0.05)
    test, test_labels = clouds(200, 10, 4, noise=0.05, seed=1)
    scale = torch.logspace(-4, 4, 10)
    offset = 100.0
    result = linear_probe(
        train * scale + offset * scale,
        labels,
        test * scale + offset * scale,
        test_labels,
        weight_decays=DECAYS,
        seed=0,
    )
    assert result.accuracy == 1.0
    assert result.validation_accuracy == 1.0
    assert result.weight_decay == 1.0  # of equals, the strongest


def test_regularisation_is_chosen_on_the_training_samples_alone() -> None:
    # 60 samples in 200 dimensions of noise plus one that tells: too little decay fits the noise
    generator = torch.Generator().manual_seed(5)
    train, test = (torch.randn(n, 200, generator=generator) for n in (60, 400))
    labels, test_labels = (torch.randint(2, (len(x),), generator=generator) for x in (train, test))
    train[:, 0] += 6.0 * labels
    test[:, 0] += 6.0 * test_labels
    results = [
        linear_probe(train, labels, test, own, weight_decays=(1e-5, 0.1, 1e4), seed=1)
        for own in (test_labels, 1 - test_labels)
    ]
    # labels of the test set change its accuracy, and nothing else
    assert results[0].accuracy == pytest.approx(1 - results[1].accuracy)
    assert results[0].weight_decay == results[1].weight_decay
    assert results[0].validation_accuracy == results[1].validation_accuracy


def test_the_decay_that_validates_best_is_chosen() -> None:
    # the difference of two features tells the class; strong decay keeps to the one whose mean differs
    generator = torch.Generator().manual_seed(6)
    labels = torch.randint(2, (400,), generator=generator)
    common, own = (torch.randn(400, generator=generator) for _ in range(2))
    x = torch.stack([labels + 10 * common, 10 * common + 0.1 * own], dim=1)
    result = linear_probe(x, labels, x, labels, weight_decays=(10.0, 1e-6, 1.0), seed=0)
    assert result.weight_decay == 1e-6
    assert result.validation_accuracy > 0.95


def test_validation_samples_are_not_fitted() -> None:
    # pure noise in more dimensions than samples: whatever was fitted would be right
    generator = torch.Generator().manual_seed(7)
    x, labels = torch.randn(200, 400, generator=generator), torch.randint(2, (200,), generator=generator)
    result = linear_probe(x, labels, x, labels, weight_decays=(1e-4,), seed=0, validation_fraction=0.5)
    assert result.accuracy == 1.0
    assert 0.3 < result.validation_accuracy < 0.7


def test_probe_is_refitted_on_all_training_samples() -> None:
    # one sample of class 1; wherever the split puts it, the last fit has seen it
    train = torch.tensor([[0.0], [0.1], [0.2], [0.1], [9.0]])
    labels = torch.tensor([0, 0, 0, 0, 1])
    for seed in range(5):
        result = linear_probe(
            train, labels, torch.tensor([[9.0]]), torch.tensor([1]), weight_decays=(1e-4,), seed=seed
        )
        assert result.accuracy == 1.0


def test_constant_features_do_no_harm() -> None:
    train, labels = clouds(200, 4, 3, noise=0.05)
    train[:, 2] = 7.0
    assert linear_probe(train, labels, train, labels, weight_decays=DECAYS, seed=0).accuracy == 1.0


def test_probe_neither_reads_nor_moves_the_global_generator() -> None:
    train, labels = clouds(80, 4, 3, noise=1.0)
    results = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        state = torch.get_rng_state()
        results.append(linear_probe(train, labels, train, labels, weight_decays=DECAYS, seed=3))
        assert torch.equal(torch.get_rng_state(), state)
    assert results[0] == results[1]


def test_probe_runs_inside_no_grad() -> None:
    train, labels = clouds(60, 4, 3, noise=0.05)
    with torch.no_grad():
        assert linear_probe(train, labels, train, labels, weight_decays=DECAYS, seed=0).accuracy == 1.0


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_a_split_with_an_empty_side_is_refused(fraction: float) -> None:
    train, labels = clouds(20, 4, 3, noise=1.0)
    with pytest.raises(
        ValueError, match="validation_fraction must leave both sides of a split of 20 samples"
    ):
        linear_probe(train, labels, train, labels, weight_decays=DECAYS, seed=0, validation_fraction=fraction)
    with pytest.raises(ValueError, match="weight_decays must not be empty"):
        linear_probe(train, labels, train, labels, weight_decays=(), seed=0)


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
