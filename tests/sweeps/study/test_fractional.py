"""Fractional factorials against the published designs and alias sets worked out by hand."""

import itertools

import pytest

from sweeps.errors import StudyError
from sweeps.planning.plan import make_plan
from sweeps.planning.render import as_text
from sweeps.study import Study, study_from_text
from sweeps.study.fractional import alias_sets, defining_words, published, resolution, runs

SIZES = {
    # NIST/SEMATECH section 5.3.3.4.7: factors -> runs of the smallest design of resolution III, IV and V.
    3: (4, None, None),
    4: (8, 8, None),
    5: (8, 16, 16),
    6: (8, 16, 32),
    7: (8, 16, 64),
    8: (16, 16, 64),
    9: (16, 32, 128),
    10: (16, 32, 128),
    11: (16, 32, 128),
}


@pytest.mark.parametrize("k", SIZES)
@pytest.mark.parametrize("least", [3, 4, 5])
def test_sizes_are_those_of_the_published_table(k: int, least: int) -> None:
    names = "ABCDEFGHJKL"[:k]
    generators = published(names, least)
    expected = SIZES[k][least - 3]
    if expected is None:
        assert generators is None
        return
    assert generators is not None
    design = runs(names, generators)
    assert len(design) == len(set(design)) == expected
    assert design[0] == (1,) * k, "the reference comes first"
    assert resolution(generators) >= least


@pytest.mark.parametrize("k", SIZES)
@pytest.mark.parametrize("least", [3, 4, 5])
def test_columns_are_balanced_and_orthogonal(k: int, least: int) -> None:
    generators = published("ABCDEFGHJKL"[:k], least)
    if generators is None:
        return
    columns = list(zip(*runs("ABCDEFGHJKL"[:k], generators), strict=True))
    assert all(sum(column) == 0 for column in columns)
    for one, other in itertools.combinations(columns, 2):
        assert sum(a * b for a, b in zip(one, other, strict=True)) == 0


def test_defining_relation_of_the_quarter_fraction_of_six_factors() -> None:
    # Montgomery, section 8.3: I = ABCE = BCDF = ADEF.
    words = defining_words({"E": ("A", "B", "C"), "F": ("B", "C", "D")})
    assert {"".join(sorted(word)) for word in words} == {"ABCE", "BCDF", "ADEF"}


def test_aliases_of_a_resolution_three_design() -> None:
    # I = ABC: A = BC, B = AC, C = AB.
    assert alias_sets("ABC", {"C": ("A", "B")}) == (
        (("A",), ("B", "C")),
        (("B",), ("A", "C")),
        (("C",), ("A", "B")),
    )


def test_aliases_of_a_resolution_four_design() -> None:
    # I = ABCD: main effects are clear of two-way interactions, AB = CD, AC = BD, AD = BC.
    assert alias_sets("ABCD", {"D": ("A", "B", "C")}) == (
        (("A", "B"), ("C", "D")),
        (("A", "C"), ("B", "D")),
        (("A", "D"), ("B", "C")),
    )


def test_resolution_five_tells_all_of_them_apart() -> None:
    assert alias_sets("ABCDE", {"E": ("A", "B", "C", "D")}) == ()


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
    found = [tuple(cell.labels.values()) for cell in study.cells()]
    assert found == [
        (True, False, True, "batch"), (True, False, False, "group"),
        (True, True, True, "group"), (True, True, False, "batch"),
        (False, False, True, "group"), (False, False, False, "batch"),
        (False, True, True, "batch"), (False, True, False, "group"),
    ]  # fmt: skip
    planned = {trial.trial_id for trial in study.trials()}
    assert planned < {trial.trial_id for trial in four("full-factorial").trials()}
    more_seeds = study_from_text(study.to_yaml().replace("- 1\n", "- 1\n- 2\n"), "f")
    assert planned < {trial.trial_id for trial in more_seeds.trials()}


def test_plan_says_what_is_confounded() -> None:
    text = as_text(make_plan(four("{kind: fractional, resolution: 4}"), workers=1))
    assert "resolution IV, defining relation I = encoder_norm x exclude_bias_and_norm x probe x symm" in text
    assert "            symmetric x probe = exclude_bias_and_norm x encoder_norm\n" in text


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
