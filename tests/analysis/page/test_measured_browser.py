"""The report of embeddings from elsewhere in headless Chromium: quiet, and without what does not exist."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from run_sweep import main
from tests.analysis.page.opened import Opened

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that collapses, one file that is healthy, a constant one, and one that is not finite."""
    folder = tmp_path_factory.mktemp("embeddings")
    noise = np.random.default_rng(0).normal(size=(200, 16))
    (folder / "run").mkdir()
    for step, share in ((0, 1.0), (100, 0.01)):
        np.save(folder / "run" / f"step-{step}.npy", 1 + share * noise)
    for name, array in (("healthy", noise), ("constant", np.ones((200, 16))), ("broken", noise * np.nan)):
        np.save(folder / f"{name}.npy", array)
    np.save(folder / "healthy.labels.npy", np.arange(200) % 2)
    names = ("run", "healthy.npy", "constant.npy", "broken.npy")
    assert main(["measure", *(str(folder / name) for name in names), "--to", str(folder / "out")]) == 0
    return folder / "out" / "report.html"


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (380, "dark")])
def test_embeddings_from_elsewhere(browser: Any, measured: Path, width: int, scheme: str) -> None:
    opened = Opened(browser, measured, width=width, scheme=scheme)
    painted = opened.painted()
    assert sorted(painted) == ["s0-knn", "s0-rank-std", "s0-sensitivity", "s0-spectrum", "s0-trajectories"]
    assert min(painted.values()) > 0, painted
    page = opened.page
    assert page.evaluate("document.documentElement.scrollWidth") == width
    text = page.locator("main").inner_text().lower()
    for absent in ("seed=", "one seed", "reference", "factor", "training loss", "manifest"):
        assert absent not in text, absent
    page.locator(".open").nth(2).click()
    page.wait_for_selector("dialog[open] .curves .point, dialog[open] .curves .js-line", state="attached")
    dialog = page.locator("dialog[open]").inner_text()
    assert "all rows are equal" in dialog
    assert "run_sweep.py" not in dialog
    assert "reference" not in dialog
    titles = page.locator("dialog[open] .curves .annotation-text").all_text_contents()
    assert titles == ["std", "effective rank"]  # a constant has neither kNN nor eigenvalues to draw
    assert opened.messages == []
    opened.context.close()
