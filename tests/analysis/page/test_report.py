"""The report as a file: whole, alike for alike tables, closed to the outside, and safe to open."""

import base64
import gzip
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from plotly.offline import get_plotlyjs_version

from analysis.load import load_results
from analysis.page.live import live_page
from analysis.page.report import render
from analysis.page.trial_table import trial_table_shell
from tests.analysis.tables import Row, unfinished, write_sweep


def packed(page: str, name: str) -> str:
    match = re.search(rf'<script type="application/gzip" id="{name}">([^<]*)</script>', page)
    assert match is not None
    return gzip.decompress(base64.b64decode(match[1])).decode()


def static(page: str) -> str:
    """The page without its packed blocks and its script."""
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


@pytest.fixture(scope="module")
def page(sweep: Path) -> str:
    return render(load_results([sweep]))


def test_the_same_tables_give_the_same_bytes(sweep: Path, page: str) -> None:
    assert render(load_results([sweep])) == page
    assert len(page.encode()) <= 1.2e6


def test_the_page_draws_with_the_plotly_of_the_python_package(page: str) -> None:
    """`make plotly` fetches it again after the package has changed."""
    library = packed(page, "plotly")
    header = library[:200].splitlines()
    assert header[1] == f"* plotly.js (cartesian - minified) v{get_plotlyjs_version()}"
    assert header[4] == "* Licensed under the MIT license"


def test_the_first_screen_needs_no_script(page: str) -> None:
    text = static(page)
    assert (
        "encoder_norm = batch, or head_norm = batch: the representation collapsed in 0 of 36 trials" in text
    )
    card = re.findall(r'<div class="smallest">.*?</div>', text)[0]
    pills = re.findall(r'<span class="pill">(.*?)</span>', card)
    assert pills[:2] == ["encoder_norm = batch", "head_norm = batch"]
    assert pills[2:] == ["head_norm = batch and predictor = mlp", "head_norm = batch and tau_base = 0.99"]
    assert text.count('class="tile"') == 16
    assert text.count("<strong>3/3</strong><small>29–100 %</small>") == 4 + 10  # representation; projection
    assert "<b>48</b> planned" in text


def test_nothing_outside_is_named(page: str) -> None:
    text = static(page)
    assert "default-src 'none'" in text
    assert not re.search(r'(?:src|href)="(?!#)', text)
    assert "http:" not in text
    assert "https:" not in text
    assert "connect-src" not in text  # only a page that is served may ask its server
    assert live_page(page, "v").count("connect-src 'self'") == 1


def test_every_trial_is_in_the_table(sweep: Path, page: str) -> None:
    table = json.loads(packed(page, "data"))["tables"]["s0"]
    names = [column["name"] for column in table["columns"]]
    assert names[:6] == ["encoder_norm", "head_norm", "predictor", "tau_base", "seed", "outcome"]
    assert len(table["rows"]) == 48
    assert {row[names.index("outcome")] for row in table["rows"]} == {"survived", "collapsed"}


def test_the_start_stands_beside_the_accuracy(sweep: Path, page: str, tmp_path: Path) -> None:
    table = json.loads(packed(page, "data"))["tables"]["s0"]
    names = [column["name"] for column in table["columns"]]
    place = names.index("knn_accuracy")
    assert names[place + 1] == "knn_accuracy_start"
    trials = pd.read_parquet(sweep / "trials.parquet")
    starts = [row[place + 1] for row in table["rows"]]
    assert starts == pytest.approx(trials["knn_accuracy_start"].tolist(), rel=1e-5)

    reference = trials[trials["cell_id"] == trials["cell_id"][0]]
    trained, start = (
        f"{100 * reference[name].mean():.1f} %" for name in ("knn_accuracy", "knn_accuracy_start")
    )
    face = (
        f"<strong>{trained}</strong><small>n = 3</small><small>start {start.replace(' ', '&nbsp;')}</small>"
    )
    assert face in static(page)
    assert "start: of the same encoders, untrained" in static(page)
    older = static(render(load_results([write_sweep(tmp_path, controls=False)])))
    assert "start" not in re.findall(r'<div class="map".*?</div></section>', older, re.DOTALL)[0]
    assert "knn_accuracy_start" not in older


HOSTILE = "</script><img src=x onerror=alert(1)>"


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    def edit(trials: list[Row], metrics: list[Row]) -> None:
        trials[0].update(state="FAIL", end_reason="error", error=HOSTILE, collapsed=None)

    levels = {"encoder_norm": ["batch", HOSTILE], "q": ["<u>1</u>", "2"]}
    texts = dict.fromkeys(("title", "question", "expected", "source"), HOSTILE)
    page = render(load_results([write_sweep(tmp_path, factors=levels, edit=edit, study=texts)]))
    assert "<img" not in page
    assert "<u>1</u>" not in static(page)
    assert page.count("</script>") == 4


def _none(trials: list[Row], metrics: list[Row]) -> None:
    unfinished(after=0)(trials, metrics)


def _nan_losses(trials: list[Row], metrics: list[Row]) -> None:
    for row in trials[::3]:
        row.update(loss=float("nan"), representation_std=float("inf"), end_reason="diverged")


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        ({"edit": _none}, "No verdict yet"),
        ({"edit": unfinished(after=20)}, "28 of 48 trials still to come"),
        ({"edit": _nan_losses}, "16 diverged"),
        ({"labels": False}, "No trial has a kNN accuracy"),
        ({"seeds": (0,)}, "One seed only"),
        ({"design": "leave-one-out"}, "head_norm = batch: the projection collapsed in 0 of 12 trials with"),
        ({"design": "search", "study": {"factors": []}}, "samples of a search are not a design"),
        ({"factors": {"tau_base": [0.99, 0.9, 0.0]}}, "Nothing collapsed"),
        (
            {"factors": {"symmetric": [True, False], "batch_size": [256, 64], "q": ["a", "b"]}},
            "no symmetric, batch size 64, q b: select its trials",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_unusual_sweeps_have_reports(tmp_path: Path, arguments: dict[str, Any], phrase: str) -> None:
    page = render(load_results([write_sweep(tmp_path, **arguments)]))
    assert phrase in static(page)


def test_several_studies_in_one_report(sweep: Path, tmp_path: Path) -> None:
    other = write_sweep(tmp_path, seeds=(0,), study={"title": "Another question"})
    third = write_sweep(tmp_path / "more", seeds=(5,), study={"name": "more", "title": "A third"})
    page = static(render(load_results([sweep, other, third])))
    assert page.index("2 sweeps compared") < page.index("<article")
    # The second is the first study again, seed 0 of it, so there are two.
    assert page.count("<article") == 2
    assert re.findall("<h1[^>]*>(.*?)</h1>", page) == [
        "2 sweeps compared",
        "What keeps a small BYOL from collapsing",
        "A third",
    ]
    assert "16 trials, read once" in page


def test_a_large_sweep_is_drawn_in_bands(tmp_path: Path) -> None:
    levels = {"encoder_norm": ["batch", "group"], "head_norm": ["batch", "none"], "q": list("abcdefghijk")}
    page = render(load_results([write_sweep(tmp_path, factors=levels, seeds=range(12))]))
    data = json.loads(packed(page, "data"))
    assert len(data["tables"]["s0"]["rows"]) == 528
    assert "There are too many cells for a plot each" in static(page)
    assert len(page) < 2.6e6


def test_every_measure_in_the_table_of_trials_is_explained_in_one_line(sweep: Path) -> None:
    study = load_results([sweep]).studies[0]
    study = replace(
        study, trials=study.trials.assign(rankme=9.0, stable_rank=2.0, lidar=8.0, probe_accuracy=0.8)
    )
    html = trial_table_shell(study, "s0")
    _, _, meanings = html.partition("<summary>What the columns mean</summary>")
    explained = re.findall(r"<dt>(\w+)</dt><dd>([^<]+)</dd>", meanings)
    shown = set(re.findall(r'<button type="button">(\w+)</button>', html))
    facts = {"seed", "outcome", "steps_run", "steps_planned", "wall_seconds", "end_reason", "error", "device"}
    assert {name for name, _ in explained} == shown - facts - {"trial_id", "projection_collapsed"} - {
        factor.name for factor in study.factors
    }
    assert {"rankme", "stable_rank", "lidar", "effective_rank_centred", "alpha_req", "nesum"} <= shown
    assert "projection_lidar" not in shown  # measured nowhere here
    assert max(len(text) for _, text in explained) <= 90
