"""Draws the pictures of docs/gallery.md and writes what stands beside them: `make gallery`.

    python -m tests.analysis.page.gallery QUICKSTART SEARCH

takes the directories of a `collapse-quickstart` and of an `lr-search` that are complete. The embeddings are
those of docs/measure.md. Needs Chromium.
"""

import contextlib
import io
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image
from playwright.sync_api import sync_playwright

from analysis.cells import cells_of, reference_of
from analysis.load import load_results
from analysis.page.report import render
from run_sweep import main as run_sweep
from tests.analysis.page.conftest import chromium
from tests.analysis.page.opened import ARGUMENTS, Opened

DOCS = Path(__file__).parents[3] / "docs"
PAGE = DOCS / "gallery.md"
COLOURS = 256
"""Colours of a picture, which has to be small enough for a repository."""
TITLE = """# Gallery

What the report shows of real sweeps. `make gallery` runs them, draws these pictures and writes this page; no
figure in it is typed. [A tour of the report](report.md) says what each part is for.
"""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture of a report, and what to look at in it."""

    name: str
    """Its file in docs/, without the suffix."""
    text: str
    """What it shows."""
    part: str = ""
    """Id of the part that the page is scrolled to."""
    address: str = ""
    """What is selected or open, as the page's address says it from `#` on."""
    width: int = 1280
    height: int = 900
    scheme: str = "light"


def draw(browser: Any, report: Path, picture: Picture) -> None:
    """Opens the report at a picture's part and saves it below docs/."""
    opened = Opened(browser, report, width=picture.width, scheme=picture.scheme, hash=picture.address)
    page = opened.page
    page.set_viewport_size({"width": picture.width, "height": picture.height})
    for _ in range(3):  # figures that come into view are drawn, and move what is below them
        opened.settle()
        if picture.part:
            page.locator(f"#{picture.part}").evaluate("one => one.scrollIntoView({behavior: 'instant'})")
        page.wait_for_timeout(700)
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    shot.quantize(COLOURS, kmeans=4, dither=Image.Dither.NONE).save(
        DOCS / f"{picture.name}.png", optimize=True
    )
    assert opened.messages == [], opened.messages
    opened.context.close()


def of_quickstart(directory: Path) -> list[Picture]:
    """The pictures of a collapse-quickstart."""
    cells = cells_of(load_results([directory]).studies[0])
    reference, worst = reference_of(cells), max(cells, key=lambda cell: cell.collapsed)
    assert reference is not None
    assert worst.collapsed > 0
    return [
        Picture(name="report", text="The answer, how sure it is, and the collapse map."),
        Picture(
            name="gallery-when",
            part="s0-when",
            text="When it happens, at both levels: the std of each cell over the steps, and who is left.",
        ),
        Picture(
            name="gallery-compare",
            address=f"#?s0.compare=cells:{reference.cell_id},{worst.cell_id}",
            text="Two cells side by side, the reference and one that collapsed; what differs is marked.",
        ),
        Picture(
            name="gallery-trial",
            address=f"#?s0.open={worst.trials['trial_id'].iloc[0]}",
            scheme="dark",
            text="One trial that collapsed: its curves, thin behind them those of the reference of that "
            "seed, and the commands that run it again.",
        ),
        Picture(
            name="gallery-phone", width=380, height=800, scheme="dark", text="The same page on a telephone."
        ),
    ]


def made(directory: Path) -> str:
    """The verdict of a sweep, and what it ran on."""
    about = json.loads((directory / "manifest.json").read_text())
    trials = pd.read_parquet(directory / "trials.parquet")
    items = json.loads((directory / "findings.json").read_text())["items"]
    headline = next(item["text"] for item in items if item["kind"] in ("verdict", "winner"))
    versions, hardware = about["versions"], about["hardware"]
    precision = ", ".join(trials["precision"].unique())
    return (
        f"> {headline}\n\n{len(trials)} trials, {(trials['state'] == 'COMPLETE').sum()} complete; "
        f"{about['created'][:10]}, {hardware['cores']} cores of {hardware['cpu']}, {precision}, "
        f"torch {versions['torch']}, Ray {versions['ray']}, commit {about['git']['commit'][:7]}."
    )


def shown(pictures: list[Picture]) -> str:
    """The pictures, as Markdown."""
    return "\n\n".join(f"![{each.text}]({each.name}.png)\n\n{each.text}" for each in pictures)


def measure_embeddings(folder: Path) -> Path:
    """Measures the embeddings that docs/measure.md makes, and returns the report's folder."""
    section = (DOCS / "measure.md").read_text().partition("## An example")[2]
    _, code, _, command, *_ = (block.partition("\n")[2] for block in section.split("```"))
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        exec(code, {})
        assert run_sweep(command.split()[2:]) == 0
    return folder / "report"


def main(quickstart: Path, search: Path) -> None:
    """Draws the pictures and writes the page."""
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        folder = Path(scratch)
        shows = {
            quickstart: of_quickstart(quickstart),
            search: [
                Picture(
                    name="gallery-search",
                    part="s0-factors",
                    text="What was searched: each sample, and accuracy by each parameter.",
                )
            ],
            measure_embeddings(folder): [
                Picture(
                    name="gallery-measured",
                    part="s0-when",
                    text="Two runs of embeddings over their steps, of which one shrinks towards a point.",
                )
            ],
        }
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        for directory, pictures in shows.items():
            report = folder / "page.html"
            report.write_text(render(load_results([directory])), encoding="utf-8")
            for picture in pictures:
                draw(browser, report, picture)
        browser.close()
    of_quick, of_search, of_measured = map(shown, shows.values())
    parts = (
        TITLE,
        "## A study\n",
        f"`make sweep` answers:\n\n{made(quickstart)}\n\n{of_quick}\n",
        "## A search\n",
        f"`make sweep STUDY=lr-search` answers:\n\n{made(search)}\n\n{of_search}\n",
        "## Embeddings from elsewhere\n",
        "`python run_sweep.py measure runs --to report`, with the made-up embeddings of "
        f"[their page](measure.md):\n\n{of_measured}\n",
    )
    PAGE.write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
