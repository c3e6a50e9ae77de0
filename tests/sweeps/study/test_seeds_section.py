"""Seeds that run until the verdict is settled, in a study file."""

import pytest

from sweeps.study import StudyError, study_from_text
from sweeps.study.study import SeedSequence
from tests.sweeps.conftest import SEARCH, SMALL


def with_seeds(text: str, study: str = SMALL) -> str:
    return study.replace("seeds: 2", f"seeds: {text}")


def test_a_sequence_begins_with_its_least_and_may_go_to_its_most() -> None:
    study = study_from_text(with_seeds("{min: 3, max: 10, until: decided}"), "f")
    assert (study.seeds, study.sequence) == ((0, 1, 2), SeedSequence(least=3, most=10))
    assert (study.trial_count, study.at_most().trial_count) == (12, 40)
    assert study.trials_text == "12 to 40 trials"
    assert study.at_most().trials()[:12] == study.trials(), "what is added comes last"


def test_the_resolved_study_says_which_seeds_are_begun() -> None:
    study = study_from_text(with_seeds("{min: 3, max: 10, until: decided}"), "f").with_seeds(5)
    assert "seeds:\n  min: 3\n  max: 10\n  until: decided\n  begun: 5\n" in study.to_yaml()
    assert study_from_text(study.to_yaml(), "f") == study


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{min: 1, max: 10, until: decided}", r"seeds\.min: must be a whole number, at least 2, but got 1"),
        ("{min: 5, max: 5, until: decided}", r"seeds\.max: must be above min, 5, but got 5"),
        ("{min: 3, max: 10, until: bored}", r"seeds\.until: must be one of decided, but got 'bored'"),
        ("{min: 3, max: 10}", "seeds: must have min, max and until, but lacks until"),
        ("{min: 3, max: 10, until: decided, step: 2}", r"seeds\.step: is not a key of seeds"),
        (
            "{min: 3, max: 10, until: decided, begun: 11}",
            r"seeds\.begun: must be at most max, 10, but got 11",
        ),
    ],
)
def test_a_wrong_sequence_is_refused(text: str, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        study_from_text(with_seeds(text), "f")


def test_a_search_has_no_sequence() -> None:
    with pytest.raises(StudyError, match="must be a number or a list in a search, which has no verdict"):
        study_from_text(with_seeds("{min: 3, max: 10, until: decided}", SEARCH), "f")


def test_sequence_is_no_key_of_a_study() -> None:
    with pytest.raises(StudyError, match="sequence: is not a key of a study"):
        study_from_text(SMALL + "sequence: {least: 3, most: 10}", "f")
