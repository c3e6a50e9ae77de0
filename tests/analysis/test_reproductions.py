"""The page of reproductions: a known one, alike for alike tables."""

from pathlib import Path

import pytest

from analysis.load import load_results
from analysis.reproductions import main, reproductions
from tests.analysis.tables import Row, write_sweep

REPRODUCES = {"byol-table-5a": {"tau .99": {}, "tau 0": {"tau_base": 0}}}


def steady(trials: list[Row], metrics: list[Row]) -> None:
    """Accuracies by seed: 70, 72, 71 % and 60, 63, 62 %, from 50 %; each std is that of its cell."""
    for row in trials:
        slow = row["f_tau_base"] == 0.99
        row["knn_accuracy"] = ([0.70, 0.72, 0.71] if slow else [0.60, 0.63, 0.62])[row["seed"]]
        row.update(knn_accuracy_start=0.5, representation_std=0.5 if slow else 0.6)
        row.update(projection_std=0.85 if slow else 0.02, projection_collapsed=not slow)


def sweep_of_two(directory: Path, **study: object) -> Path:
    return write_sweep(directory, factors={"tau_base": [0.99, 0.0]}, edit=steady, study=study)


# Half widths of the t intervals over three seeds are 2.4841 standard deviations: .01 of 70, 72, 71 %, .015275
# of 60, 63, 62 %, and .005774 of their differences. The ratio of the spreads is 1.5275 with a correlation of
# .9820, so K = 1 + 2 (1 - .9643) 161.45 = 12.53 and the ends are 1.5275 / 5.00 and 1.5275 x 5.00.
EXPECTED = """\
## Overview

| study | published table | agree | disagree | cannot tell |
| --- | --- | --- | --- | --- |
| [made-up](#made-up) | BYOL, table 5a | 1 | 0 | 2 |
| all |  | 1 | 0 | 2 |

## Claims
"""
CLAIM = """\
**A target that moves slowly makes training more stable.** Published pairs that test it: 2; 0 agree, 0 disagree, \
2 cannot be told.

| study | published table | published | size there | here (95 % interval) | verdict |
| --- | --- | --- | --- | --- | --- |
| made-up | BYOL, table 5a | fluctuation of kNN accuracy: tau 0 > tau .99 | – | – | cannot tell: there are no \
values of both |
| made-up | BYOL, table 5a | spread over seeds: tau 0 > tau .99 | – | 1.5 times (0.31 to 7.6; 3 seeds) | cannot tell: \
the interval covers 1 |
"""  # noqa: E501
SWEEP = """\
## made-up

What keeps a small BYOL from collapsing.

Question: Which of batch statistics, the predictor and the slow target does a small BYOL need?

Source: Grill et al. 2020; Richemond et al. 2020

Expected: Without batch statistics everything collapses; with them nothing does.

- 6 planned, 6 ran, 0 collapsed, 0 failed (trials); seeds 0, 1, 2; 100 steps; images of size 20; batch by default
- `two`: 2 cores; python 3.11.9, torch 2.15.0; commit 0123456789ab; 2026-11-01; 3 min 0 s in all
- trained in fp32

The reference learned: training changed its kNN accuracy by +21.0 points (95 % interval +18.5 to +23.5, 3 seeds), \
from the 50.0 % of its own untrained encoder. Compared with raw pixels (70.0 %), it is not shown to differ: \
+1.0 points (95 % interval −1.5 to +3.5, 3 seeds); the interval includes zero.

| cell | representation collapsed | projection collapsed | representation std | projection std | \
kNN accuracy | over its own start, points | class information |
| --- | --- | --- | --- | --- | --- | --- | --- |
| the reference (tau_base = 0.99) | 0 of 3 | 0 of 3 | 0.500 | 0.850 | 71.0 % (68.5 to 73.5 %) | +21.0 (+18.5 to +23.5) | kept |
| tau 0 | 0 of 3 | 3 of 3 | 0.600 | 0.0200 | 61.7 % (57.9 to 65.5 %) | +11.7 (+7.9 to +15.5) | kept |

### made-up and BYOL, table 5a

Grill et al. 2020 (arXiv 2006.07733), table 5a: ImageNet, ResNet-50, 300 epochs, linear top-1 accuracy in per cent.

| published | size there | here (95 % interval) | verdict |
| --- | --- | --- | --- |
| tau .99 > tau 0 | +72.2 points | +9.3 points (+7.9 to +10.8; 3 seeds) | agrees |
"""  # noqa: E501


def test_a_known_page(tmp_path: Path) -> None:
    reference = {"preset": "byol", "image_size": 20}
    directory = sweep_of_two(tmp_path / "two", reproduces=REPRODUCES, reference=reference)
    page = tmp_path / "page.md"
    assert main(["--to", str(page), str(directory)]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Reproductions\n\n")
    for part in (EXPECTED, CLAIM, SWEEP):
        assert part in text
    assert text.endswith("\n\nOf 3 published pairs, 1 agrees, 0 disagree, 2 cannot be told.\n")
    assert (
        "**The predictor, which stands in one branch only, keeps the learner from collapsing.** None of"
        in text
    )
    assert str(tmp_path) not in text
    assert text == reproductions(load_results([directory]))


def test_several_sweeps_follow_one_another_and_are_counted_together(tmp_path: Path) -> None:
    first = sweep_of_two(tmp_path / "a", reproduces=REPRODUCES, name="first")
    second = sweep_of_two(tmp_path / "b", reproduces=REPRODUCES, name="second")
    plain = write_sweep(tmp_path / "c", study={"name": "plain", "title": "A | bar"})
    text = reproductions(load_results([first, second, plain]))
    assert "| all |  | 2 | 0 | 4 |" in text
    assert text.index("\n## first\n") < text.index("\n## second\n") < text.index("\n## plain\n")
    assert text.endswith("It reproduces no published table.\n")
    assert "Published pairs that test it: 4; 0 agree, 0 disagree, 4 cannot be told." in text


def test_a_setting_that_varies_is_listed_with_its_levels(tmp_path: Path) -> None:
    levels = [{"label": 0.99, "settings": {"batch_size": 64}}, {"label": 0.0, "settings": {}}]
    factors = [{"name": "tau_base", "levels": levels}]
    directory = sweep_of_two(tmp_path / "a", reference={"batch_size": 256}, factors=factors)
    assert "; images of size by default; batch 64 or 256\n" in reproductions(load_results([directory]))


def test_a_search_has_no_cells_and_an_unfinished_sweep_has_no_values(tmp_path: Path) -> None:
    def waiting(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            row.update(state="WAITING", end_reason=None, knn_accuracy=None, collapsed=None)

    search = write_sweep(tmp_path / "search", design="search", study={"factors": [], "name": "search"})
    factors = {"tau_base": [0.99, 0.0]}
    open_ = write_sweep(tmp_path / "open", factors=factors, edit=waiting, study={"reproduces": REPRODUCES})
    text = reproductions(load_results([search, open_]))
    assert "| the reference (tau_base = 0.99) | 0 of 0 | 0 of 0 | – | – | – | – | – |" in text
    assert "| tau .99 > tau 0 | +72.2 points | – | cannot tell: there are no values of both |" in text


def test_a_directory_without_a_sweep_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--to", str(tmp_path / "page.md"), str(tmp_path)]) == 2
    assert "holds no sweep" in capsys.readouterr().err
    assert not (tmp_path / "page.md").exists()
