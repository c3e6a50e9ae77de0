"""The design section of a study file: fractional designs, and what is refused."""

import pytest

from sweeps.errors import StudyError
from sweeps.study import Study, study_from_text

FOUR = """\
name: four
factors:
  symmetric: [true, false]
  probe: [false, true]
  exclude_bias_and_norm: [true, false]
  encoder_norm: [batch, group]
seeds: 2
design: DESIGN
"""


def four(design: str) -> Study:
    return study_from_text(FOUR.replace("DESIGN", design), "f")


def test_a_study_by_resolution_is_the_one_by_its_generators_and_half_of_the_full_factorial() -> None:
    study = four("{kind: fractional, resolution: 4}")
    by_hand = "{kind: fractional, generators: {encoder_norm: [symmetric, probe, exclude_bias_and_norm]}}"
    assert study == four(by_hand) == study_from_text(study.to_yaml(), "again")
    labels = [tuple(cell.labels.values()) for cell in study.cells()]
    assert labels == [
        (True, False, True, "batch"), (True, False, False, "group"),
        (True, True, True, "group"), (True, True, False, "batch"),
        (False, False, True, "group"), (False, False, False, "batch"),
        (False, True, True, "batch"), (False, True, False, "group"),
    ]  # fmt: skip
    planned = {trial.trial_id for trial in study.trials()}
    assert planned < {trial.trial_id for trial in four("full-factorial").trials()}
    more_seeds = study_from_text(study.to_yaml().replace("- 1\n", "- 1\n- 2\n"), "f")
    assert planned < {trial.trial_id for trial in more_seeds.trials()}


@pytest.mark.parametrize(
    ("design", "message"),
    [
        ("fractional", "must have either a resolution or generators"),
        (
            "{kind: fractional, resolution: 5}",
            "design.resolution: must be at most that of a published fraction of 4",
        ),
        ("{kind: fractional, resolution: 6}", "must be 3, 4 or 5, but got 6"),
        ("{resolution: 4}", "must be left out unless the kind is fractional"),
        (
            "{kind: fractional, resolution: 4, exclude: [{probe: true}]}",
            "design.exclude: must be left out of",
        ),
        ("{kind: fractional, generators: {probe: [symetric]}}", 'did you mean "symmetric"'),
        ("{kind: fractional, generators: {probe: [symmetric]}}", "at least III"),
        ("{kind: fractional, generators: {probe: [probe, symmetric]}}", "have no generator themselves"),
        ("{kind: fractional, generators: {probe: [symmetric, symmetric]}}", "must name each factor once"),
    ],
)
def test_designs_that_are_refused(design: str, message: str) -> None:
    with pytest.raises(StudyError) as error:
        four(design)
    assert message in str(error.value)


def test_three_levels_are_refused_by_name() -> None:
    text = FOUR.replace("[batch, group]", "[batch, group, none]")
    with pytest.raises(StudyError, match="must have two levels, but encoder_norm has 3"):
        study_from_text(text.replace("DESIGN", "{kind: fractional, resolution: 4}"), "f")
