"""What `plan` warns of, and that it does not cry wolf."""

import pytest

from sweeps.planning.warnings import warnings
from sweeps.study import list_studies, study_from_text

STUDY = """
name: small
reference: {{{reference}}}
factors:
  predictor: [{predictors}]
"""


def shown(reference: str, predictors: str = "mlp, none") -> str:
    study = study_from_text(STUDY.format(reference=reference, predictors=predictors), "small.yaml")
    return "\n".join(warnings(study))


def test_a_trial_that_is_too_short_for_its_tau() -> None:
    text = shown("precision: fp32, tau_base: 0.99, steps: 100")
    assert "with tau_base 0.99 the target remembers about 100 steps of a trial of 100" in text
    assert "2 of 2 configurations" in text
    # Passes over the images count as steps: 8,000 / 128 = 62 steps an epoch.
    assert "about 250 steps of a trial of 1240" in shown("precision: fp32, tau_base: 0.996, epochs: 20")


@pytest.mark.parametrize(
    "reference",
    [
        "precision: fp32, tau_base: 0.9, steps: 400",
        "precision: fp32, tau_base: 1.0, steps: 100",  # a target that never moves is meant
        "precision: fp32, tau_base: 0, tau_schedule: constant, steps: 100",  # the online network
    ],
)
def test_nothing_is_said_where_nothing_surprises(reference: str) -> None:
    assert shown(reference) == ""


@pytest.mark.parametrize(
    ("reference", "predictors", "warning"),
    [
        (
            "precision: fp32, dataset: cifar10, tau_base: 0.9",
            "mlp, none",
            "of cifar10 have 32 pixels",
        ),
        ("precision: fp32, tau_base: 0, steps: 100", "mlp, none", "its cosine schedule goes to 1: set"),
        ("steps: 400, tau_base: 0.9", "mlp, none", "precision is auto: bf16 where the machine has it"),
        ("precision: fp32, steps: 400, tau_base: 0.9", "mlp", "the factor predictor has one level"),
        (
            "precision: fp32, tau_base: 0.9, dataset: 'folder:/no/such'",
            "mlp, none",
            "no/such is not on",
        ),
    ],
)
def test_what_may_surprise(reference: str, predictors: str, warning: str) -> None:
    assert warning in shown(reference, predictors)


SHORT = "precision: fp32, tau_base: 0.9, steps: 400"
NO_NORM = f"{SHORT}, encoder_norm: group, projector_norm: layer, predictor_norm: none"
NO_TARGET = "precision: fp32, regression_weight: 0, variance_weight: 1, steps: 400"


@pytest.mark.parametrize(
    ("reference", "predictors", "warned"),
    [
        (f"{NO_NORM}, ghost_batch: 32", "mlp, none", "ghost_batch"),
        (f"{NO_NORM}, target_statistics: averaged", "mlp, none", "target_statistics"),
        (f"{NO_TARGET}, tau_base: 0.9", "none", "tau_base"),
        (f"{NO_TARGET}, tau_base: 0.9, negatives_weight: 1", "mlp, none", ""),
        (f"{NO_TARGET}, tau_base: 0, tau_schedule: constant", "none", ""),
        (f"{SHORT}, ghost_batch: 32, encoder_norm: group", "mlp, none", ""),
    ],
)  # fmt: skip
def test_settings_without_effect(reference: str, predictors: str, warned: str) -> None:
    without_effect = [line for line in shown(reference, predictors).splitlines() if "no effect" in line]
    assert [line.split(" has no effect: no configuration that sets it ")[0] for line in without_effect] == (
        [warned] if warned else []
    )


def test_a_size_that_fits_the_images_is_fine() -> None:
    assert "pixels" not in shown("dataset: cifar10, image_size: 32")


def test_studies_that_ship_surprise_only_where_that_is_their_question() -> None:
    notes = {study.name: list(warnings(study)) for study in list_studies()}
    surprising = {name: len(lines) for name, lines in notes.items() if lines}
    # A target that is too slow is a level of byol-target; CIFAR-10 is downloaded; cifar10-ablation is for
    # machines with GPUs, in the precision that they have.
    assert surprising.pop("cifar10-ablation") >= 2
    assert surprising == {"byol-target": 1, "cifar10-small": 1}
    assert "tau_base 0.999" in notes["byol-target"][0]
    assert "more than 10% in 1 of 8 configurations" in notes["byol-target"][0]
