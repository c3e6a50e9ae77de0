"""Many cells are put together by what collapse depends on, and those that collapsed come first."""

import re
from pathlib import Path

import pytest

from analysis.cell_groups import by_collapse, grouped, telling_factors
from analysis.cells import cells_of
from analysis.figures import groups
from analysis.figures.collapse_map import collapse_map as heat_map
from analysis.load import load_results
from analysis.naming import cell_words, level_words
from analysis.page.collapse_map import collapse_map
from analysis.results import StudyResults
from tests.analysis.tables import Row, write_sweep

LEVELS: dict[str, list[object]] = {
    "q": list("abcdefghij"), "encoder_norm": ["batch", "group"], "head_norm": ["batch", "none"],
    "r": list("klmno"),
}  # fmt: skip
"""200 cells. The representation collapses where the encoder has group norm and the heads have none."""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    directory = tmp_path_factory.mktemp("many")
    return load_results([write_sweep(directory, factors=LEVELS, seeds=(0,))]).studies[0]


@pytest.mark.parametrize(
    ("name", "level", "words"),
    [
        ("predictor", "none", "no predictor"),
        ("predictor", "linear", "predictor linear"),
        ("tau_base", "0", "tau 0"),
        ("stop_gradient", "false", "no stop gradient"),
        ("symmetric_loss", "true", "symmetric loss"),
        ("target", "online network", "target online network"),
        ("heads", "no heads", "no heads"),
        ("tau_base", "tau 0 with gradient", "tau 0 with gradient"),
    ],
)
def test_levels_in_words(name: str, level: str, words: str) -> None:
    assert level_words(name, level) == words
    assert cell_words([(name, level), ("q", "b")]) == f"{words}, q b"


def test_no_name_is_a_bare_level(many: StudyResults) -> None:
    names = [cell.text for cell in cells_of(many)]
    assert len(set(names)) == 200
    assert names[0] == "the reference"
    assert not any(" = " in name or " · " in name for name in names)


def test_the_groups_are_of_the_factors_that_collapse_depends_on(many: StudyResults) -> None:
    cells = cells_of(many)
    assert set(telling_factors(cells)[:2]) == {1, 2}
    made = grouped(cells, 24)
    assert made is not None
    assert sum(len(group.cells) for group in made) == 200
    assert {group.name: (group.collapsed, group.judged) for group in made} == {
        "encoder norm and head norm as in the reference": (0, 50),
        "no head norm": (0, 50),
        "encoder norm group": (0, 50),
        "encoder norm group, no head norm": (50, 50),
    }
    assert grouped(cells, 200) is not None
    assert [group.name for group in grouped(cells[:3], 3) or []] == [cell.text for cell in cells[:3]]


def test_a_factor_with_too_many_levels_makes_no_groups(many: StudyResults) -> None:
    assert grouped(cells_of(many), 1) is None
    assert [group.name for group in groups.groups(many, 1)] == ["collapsed", "survived"]


def test_a_figure_of_many_cells_names_groups_by_what_they_share(many: StudyResults) -> None:
    shown = groups.groups(many, 8)
    assert {group.name: group.collapsed for group in shown if group.collapsed} == {
        "encoder norm group, no head norm": 50
    }
    assert {group.filter for group in shown if group.collapsed} == {"encoder_norm=group head_norm=none"}
    assert sum(len(group.rows) for group in shown) == 200


def test_the_map_of_many_cells_begins_with_those_that_collapsed(many: StudyResults) -> None:
    html = collapse_map(many, cells_of(many))
    tiles = re.findall(r'<button type="button" class="tile mini[^>]*style="([^"]*)"', html)
    assert len(tiles) == 200
    rates = [float(re.search(r"--r:([\d.]+)", style)[1]) for style in tiles]  # type: ignore[index]
    assert rates == [1.0] * 50 + [0.0] * 150
    assert html.count('<section class="group">') == 4
    assert html.count("data-reference") == 1
    assert len(html) < 200 * 500


def test_cells_without_a_result_come_last(many: StudyResults) -> None:
    ordered = by_collapse(cells_of(many))
    assert [cell.collapsed for cell in ordered] == [1] * 50 + [0] * 150
    first, second = (cell.projection_collapsed for cell in ordered[50:52])
    assert first >= second


def test_the_heat_map_of_a_long_list_is_a_grid(tmp_path: Path) -> None:
    levels = {"q": [f"level {index}" for index in range(70)], "encoder_norm": ["group", "batch"],
              "head_norm": ["none", "batch"]}  # fmt: skip
    directory = write_sweep(tmp_path, factors=levels, seeds=(0,), design="leave-one-out")
    panel = heat_map(load_results([directory]).studies[0])
    assert panel is not None
    (trace,) = panel.drawing.data
    assert [len(row) for row in trace["z"]] == [40, 40]
    assert [value for row in trace["z"] for value in row] == [1.0] * 70 + [0.0] * 2 + [None] * 8
    assert panel.figure.layout.height < 400


def test_a_list_begins_with_the_cells_that_collapsed(tmp_path: Path) -> None:
    def fatal(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            row["collapsed"] = row["f_predictor"] == "none"

    study = load_results([write_sweep(tmp_path, design="leave-one-out", edit=fatal)]).studies[0]
    html = collapse_map(study, cells_of(study))
    names = [part.split("</th>")[0] for part in html.split('<th scope="row">')[1:]]
    assert (names[0], len(names)) == ("no predictor", 5)
