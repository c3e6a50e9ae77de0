"""The probe against scipy and problems whose answer is known."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import scipy.optimize
import torch
import torch._dynamo  # an optimiser loads it on first use, for seconds: not on a test's clock

from byol.measure.probe import fit_linear, linear_probe
from tests.byol.measure.clouds import clouds

DECAYS = (1e-4, 1e-2, 1.0)


def test_features_that_are_not_finite_give_nan() -> None:
    good, labels = clouds(20, 3, 2, noise=1.0)
    bad = good.clone()
    bad[4, 1] = math.nan
    for train, test in ((bad, good), (good, bad)):
        result = linear_probe(train, labels, test, labels, weight_decays=DECAYS, seed=0)
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
    loss = objective(np.concatenate([weight.numpy().ravel(), bias.numpy()]))
    assert loss == pytest.approx(reference.fun, abs=1e-9)
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


def test_weight_decay_is_chosen_by_the_training_samples_only() -> None:
    # 60 samples in 200 dimensions of noise plus one that tells: too little decay fits the noise
    generator = torch.Generator().manual_seed(5)
    train, test = (torch.randn(n, 200, generator=generator) for n in (60, 400))
    labels, test_labels = (torch.randint(2, (len(x),), generator=generator) for x in (train, test))
    train[:, 0] += 6.0 * labels
    test[:, 0] += 6.0 * test_labels
    results = [
        linear_probe(train, labels, test, evaluated_labels, weight_decays=(1e-5, 0.1, 1e4), seed=1)
        for evaluated_labels in (test_labels, 1 - test_labels)
    ]
    # labels of the test set change its accuracy, and nothing else
    assert results[0].accuracy == pytest.approx(1 - results[1].accuracy)
    assert results[0].weight_decay == results[1].weight_decay
    assert results[0].validation_accuracy == results[1].validation_accuracy


def test_the_decay_that_validates_best_is_chosen() -> None:
    # the difference of two features tells the class; strong decay keeps to the one whose mean differs
    generator = torch.Generator().manual_seed(6)
    labels = torch.randint(2, (400,), generator=generator)
    common, separate = (torch.randn(400, generator=generator) for _ in range(2))
    x = torch.stack([labels + 10 * common, 10 * common + 0.1 * separate], dim=1)
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
