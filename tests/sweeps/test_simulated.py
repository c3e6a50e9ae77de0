"""The simulated trainer: its curves depend only on the configuration."""

import dataclasses

from byol.config import TrialConfig
from sweeps.simulated import TRAINER


def test_measurements_depend_only_on_the_configuration() -> None:
    images = TRAINER.load_data("x", root=None, train_images=0, image_size=28, on_broken="fail")
    reference = TrialConfig(steps=20, eval_every=5)

    def stds(config: TrialConfig) -> list[float]:
        rows = TRAINER.train(config, images, checkpoint_folder=None, checkpoint_every=0)
        return [row.representation_std for row in rows]

    assert stds(reference) == stds(reference)
    assert stds(reference) != stds(dataclasses.replace(reference, seed=1))


def test_the_accuracy_is_best_at_a_learning_rate_of_a_tenth() -> None:
    images = TRAINER.load_data("x", root=None, train_images=0, image_size=28, on_broken="fail")

    def knn(lr: float) -> float:
        config = TrialConfig(steps=20, eval_every=5, lr=lr)
        last = list(TRAINER.train(config, images, checkpoint_folder=None, checkpoint_every=0))[-1]
        return float(last.knn_accuracy)

    assert knn(0.1) > knn(1) + 0.2 > knn(0.001)
