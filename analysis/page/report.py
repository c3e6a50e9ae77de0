"""The report: one HTML file that holds everything it needs and loads nothing from elsewhere.

The same tables give the same bytes: no date of writing, no random id. plotly.js and the data are gzipped and
unpacked in the page; the first screen is plain HTML and needs neither.

plotly.js is its authors' build for Cartesian figures, a third of the one that the Python package
brings. `make plotly` fetches it in the package's version.
"""

import base64
import gzip
import hashlib
import json
from functools import cache
from pathlib import Path

from analysis.figures.theme import dark_map
from analysis.page.about import about, colours
from analysis.page.curves import packed_curves
from analysis.page.live import CLOSED, PLACE
from analysis.page.markup import element, escaped
from analysis.page.overview import overview_part
from analysis.page.sections import StudyPage, study_page
from analysis.page.trial_table import trial_rows
from analysis.results import Results

_PAGE = Path(__file__).parent
_SCRIPTS = (
    "base",
    "terms",
    "study",
    "bar",
    "table",
    "map",
    "figures",
    "curves",
    "trial",
    "compare",
    "address",
    "live",
    "start",
)
"""Files of the page's script, in the order in which they are joined."""
_STYLES = ("report", "views", "readers")
_LIBRARY = _PAGE / "plotly-cartesian.min.js.gz"
_FAILED = """function failed(error) {
  document.documentElement.dataset.ready = "failed";
  document.querySelector(".trouble").hidden = false;
  console.error(error);
}
"""
_PARTS = (
    ("answer", "Answer"),
    ("belief", "Why believe it"),
    ("when", "When"),
    ("how", "How"),
    ("factors", "Factors"),
    ("classes", "Classes"),
    ("trials", "Trials"),
    ("provenance", "Provenance"),
)


def render(results: Results) -> str:
    """The report over one or several studies: a whole HTML page that needs no other file.

    >>> from analysis.load import load_results
    >>> results = load_results([Path("runs/collapse-quickstart")])  # doctest: +SKIP
    >>> Path("report.html").write_text(render(results), encoding="utf-8")  # doctest: +SKIP
    """
    several = len(results.studies) > 1
    pages = {
        f"s{index}": study_page(study, f"s{index}", name if several else "")
        for index, (name, study) in enumerate(zip(results.names, results.studies, strict=True))
    }
    figures = {name: panel for page in pages.values() for name, panel in page.panels.items()}
    data = {
        "figures": {
            name: {"data": panel.drawing.data, "layout": panel.drawing.layout}
            for name, panel in figures.items()
        },
        "views": {name: panel.views for name, panel in figures.items() if len(panel.views) > 1},
        "brush": {
            name: {axis: [column, panel.floors.get(axis)] for axis, column in panel.brush.items()}
            for name, panel in figures.items()
            if panel.brush
        },
        "tables": {f"s{index}": trial_rows(study) for index, study in enumerate(results.studies)},
        "about": {f"s{index}": about(study) for index, study in enumerate(results.studies)},
        "colours": colours(),
        "dark": dark_map(),
    }
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    script, library = page_script(), _LIBRARY.read_bytes()
    policy = _policy(script.encode(), gzip.decompress(library))
    blocks = _packed("data", gzip.compress(text.encode(), 9, mtime=0))
    blocks += "".join(
        _packed(f"s{index}-curves", packed_curves(study)) for index, study in enumerate(results.studies)
    )
    titles = [*results.names] if several else [results.studies[0].title]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{escaped(' · '.join(titles))}</title>"
        f"<style>{_style()}</style>"
    )
    parts = (overview_part(results) if several else "") + "".join(page.html for page in pages.values())
    body = (
        f'{_bar(titles, pages)}<main class="wrap" id="main" tabindex="-1">'
        f"{_trouble()}{parts}{_footer(results)}</main>"
        f"{blocks}{_packed('plotly', library)}<script>{script}</script>"
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{body}</body></html>\n'


def _policy(*scripts: bytes) -> str:
    """Only these scripts may run, and nothing may be fetched from anywhere."""
    digests = (hashlib.sha256(script).digest() for script in scripts)
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"{CLOSED} script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _packed(name: str, gzipped: bytes) -> str:
    """What the script unpacks. A gzip header without a time lets the page's bytes repeat."""
    return f'<script type="application/gzip" id="{name}">{base64.b64encode(gzipped).decode()}</script>'


def _style() -> str:
    return "".join((_PAGE / f"{name}.css").read_text(encoding="utf-8") for name in _STYLES)


@cache
def page_script() -> str:
    """The files of the script as one, which runs by itself and shows it where it fails."""
    parts = [(_PAGE / "script" / f"{name}.js").read_text(encoding="utf-8") for name in _SCRIPTS]
    return f'"use strict";\n(async () => {{\n{"".join(parts)}}})().catch(failed);\n{_FAILED}'


def _bar(titles: list[str], pages: dict[str, StudyPage]) -> str:
    if len(pages) == 1:
        links = [(f"s0-{name}", label) for name, label in _PARTS if f'id="s0-{name}"' in pages["s0"].html]
    else:
        links = [("overview", "Overview")]
        links += [(f"{prefix}-answer", title) for prefix, title in zip(pages, titles, strict=True)]
    inner = "".join(f'<a href="#{name}">{escaped(label)}</a>' for name, label in links)
    nav = element("nav", inner, aria_label="Parts of the report")
    theme = '<button class="theme" type="button" aria-label="Switch between light and dark">Dark</button>'
    skip = '<a class="skip" href="#main">Skip to the answer</a>'
    return f'{skip}<header class="bar"><div class="wrap"><b>BYOL Sweeps</b>{nav}{PLACE}{theme}</div></header>'


def _trouble() -> str:
    text = (
        "The figures and the table of trials could not be drawn; a current browser with JavaScript is needed."
    )
    return f'<noscript><p class="card">{text}</p></noscript><p class="card trouble" hidden>{text}</p>'


def _footer(results: Results) -> str:
    intervals = "Intervals are 95 %: exact (Clopper–Pearson) for rates"
    if not all(study.is_measured for study in results.studies):
        intervals += (
            ", t over seeds for means. "
            "Trials that share a seed are not independent, so claims over several cells count seeds"
        )
    return (
        f"<footer>{intervals}. std is √d times the mean standard deviation of the unit-length embedding: "
        "1 is isotropic, 0 is a point."
        "</footer>"
    )
