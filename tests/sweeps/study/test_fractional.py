"""Fractional factorials against the published designs and alias sets worked out by hand."""

import itertools

import pytest

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
    for first, second in itertools.combinations(columns, 2):
        assert sum(a * b for a, b in zip(first, second, strict=True)) == 0


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
