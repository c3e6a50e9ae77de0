"""The report of 1,000 and of 10,000 trials with 100 measurements each: building it, and using it.

    python -m benchmarks.report_scale            both sizes, in a browser, too
    python -m benchmarks.report_scale --no-browser

The tables are made up, with a known truth; no trial trains. Each trial has a spectrum of 64 eigenvalues at
both levels at five steps. Building is timed in CPU seconds (user and system, a fresh process each time,
beyond the imports), so it may run beside other work. What the browser does is timed on the clock: it needs a
quiet machine, Chromium, and playwright's Python package. Printed: the median, and in brackets the range.
"""

import argparse
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

SIZES = {1_000: 3, 10_000: 3}
"""Trials -> rounds."""
MEASUREMENTS, SEEDS, EIGENVALUES, SPECTRA = 100, 5, 64, 5
_LEVELS: dict[str, Sequence[Any]] = {
    "encoder_norm": ("batch", "group"),
    "head_norm": ("batch", "none"),
    "predictor": ("mlp", "none"),
    "tau_base": (0.99, 0.9, 0.5, 0.2, 0.0),
    "batch_size": (64, 128, 256, 512, 1024),
}
_MORE: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Levels of a sixth factor, of the larger size."""

_BUILD = """
import json, os, sys
from pathlib import Path
from analysis.load import load_results
from analysis.page.report import render
def cpu():
    times = os.times()
    return times.user + times.system
start = cpu()
results = load_results([Path(sys.argv[1])])
loaded = cpu()
page = render(results)
rendered = cpu()
Path(sys.argv[2]).write_text(page, encoding="utf-8")
seconds = {"imports": start, "load": loaded - start, "render": rendered - loaded}
print(json.dumps(seconds | {"bytes": len(page.encode())}))
"""


def write_sweep(directory: Path, n_trials: int) -> None:
    """Writes the tables of a made-up sweep of 200 or 2,000 cells and five seeds."""
    levels = {**_LEVELS, **({"lr": _MORE} if n_trials > 1_000 else {})}
    cells = list(itertools.product(*levels.values()))[: n_trials // SEEDS]
    rng = np.random.default_rng(0)
    labels = pd.DataFrame(cells, columns=[f"f_{name}" for name in levels])
    labels["cell_id"] = [f"{index:08x}" for index in range(len(cells))]
    trials = labels.loc[labels.index.repeat(SEEDS)].reset_index(drop=True)
    n = len(trials)
    trials["seed"] = np.tile(np.arange(SEEDS), len(cells))
    trials["trial_id"] = [
        f"{cell}-{seed}" for cell, seed in zip(trials["cell_id"], trials["seed"], strict=True)
    ]
    collapsed = ((trials["f_encoder_norm"] == "group") & (trials["f_head_norm"] == "none")).to_numpy()
    flat = collapsed | ((trials["f_predictor"] == "none") & (trials["f_tau_base"] == 0)).to_numpy()
    steps = np.arange(MEASUREMENTS) * 10
    ends = np.where(collapsed, 0.004, 0.8), np.where(flat, 0.02, 0.85)
    stds = [
        (0.5 + (end[:, None] - 0.5) * (1 - np.exp(-steps / 150)))
        * (1 + 0.02 * rng.standard_normal((n, len(steps))))
        for end in ends
    ]
    accuracy = np.where(collapsed, 0.55, 0.74)[:, None] + 0.01 * rng.standard_normal((n, len(steps)))
    _write_trials(directory, trials, steps, stds, accuracy, collapsed, flat)
    _write_metrics(directory, trials, steps, stds, accuracy)
    _write_spectra(directory, trials, steps, stds)
    _write_documents(directory, levels)


def _write_trials(
    directory: Path, trials: pd.DataFrame, steps: np.ndarray, stds: Sequence[np.ndarray],
    accuracy: np.ndarray, collapsed: np.ndarray, flat: np.ndarray,
) -> None:  # fmt: skip
    below = stds[0] < 0.1
    trials.assign(
        design="full-factorial", state="COMPLETE", end_reason="finished", attempt=1, collapsed=collapsed,
        projection_collapsed=flat, dimensional_collapse=False,
        onset_step=pd.array(np.where(collapsed, steps[below.argmax(axis=1)], 0), dtype="Int64").copy(),
        steps_run=steps[-1], steps_planned=steps[-1], knn_accuracy=accuracy[:, -1], knn_accuracy_start=0.6,
        knn_accuracy_pixels=0.7, chance=0.1, test_images=2000, precision="fp32", loss=stds[1][:, -1],
        representation_std=stds[0][:, -1], projection_std=stds[1][:, -1],
        effective_rank=1 + 12 * stds[0][:, -1], wall_seconds=7.5, device="cpu",
        effective_rank_centred=6.0, alpha_req=1.1, nesum=5.0, participation_ratio=4.0,
    ).to_parquet(directory / "trials.parquet", compression="zstd")  # fmt: skip


def _write_metrics(
    directory: Path, trials: pd.DataFrame, steps: np.ndarray, stds: Sequence[np.ndarray], accuracy: np.ndarray
) -> None:
    n = len(trials)
    pd.DataFrame(
        {
            "trial_id": np.repeat(trials["trial_id"].to_numpy(), len(steps)),
            "step": np.tile(steps, n),
            "epoch": np.tile(steps / 31, n),
            "loss": stds[1].ravel(),
            "representation_std": stds[0].ravel(),
            "projection_std": stds[1].ravel(),
            "effective_rank": 1 + 12 * stds[0].ravel(),
            "projection_effective_rank": 1 + 14 * stds[1].ravel(),
            "alignment": 0.2 * stds[0].ravel(),
            "uniformity": -3 * stds[0].ravel(),
            "positive_cosine": 1 - 0.1 * stds[0].ravel(),
            "negative_cosine": 1 - stds[0].ravel(),
            "knn_accuracy": np.where(np.tile(steps % 500 == 0, n), accuracy.ravel(), np.nan),
            "tau": 0.99,
            "lr": 0.1,
            "samples_per_second": 3000.0,
        }
    ).astype({"loss": "float32", "representation_std": "float32", "projection_std": "float32"}).to_parquet(
        directory / "metrics.parquet", compression="zstd"
    )


def _write_spectra(
    directory: Path, trials: pd.DataFrame, steps: np.ndarray, stds: Sequence[np.ndarray]
) -> None:
    shape = np.exp(-np.arange(EIGENVALUES) / 8) / 8
    tables = []
    for place in np.linspace(0, len(steps) - 1, SPECTRA).round().astype(int):
        for level, std in zip(("representation", "projection"), stds, strict=True):
            values = (std[:, place, None] ** 2 * shape).astype(np.float32)
            rows = {
                "trial_id": trials["trial_id"],
                "step": steps[place],
                "level": level,
                "eigenvalues": list(values),
            }
            tables.append(pd.DataFrame(rows))
    pd.concat(tables).to_parquet(directory / "spectra.parquet", compression="zstd")


def _write_documents(directory: Path, levels: dict[str, Sequence[Any]]) -> None:
    factors = [
        {"name": name, "levels": [{"label": label, "settings": {name: label}} for label in labels]}
        for name, labels in levels.items()
    ]
    study = {
        "name": "scale", "title": "A made-up sweep", "factors": factors, "seeds": list(range(SEEDS)),
        "design": {"kind": "full-factorial"},
        "collapse": {"representation_threshold": 0.1, "projection_threshold": 0.1},
    }  # fmt: skip
    (directory / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    (directory / "manifest.json").write_text(json.dumps({"created": "2026-11-01T10:00:00+00:00"}))


def build(directory: Path, page: Path) -> dict[str, float]:
    """Builds the report in a process of its own: CPU seconds of its parts, and its size in bytes."""
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, str(directory), str(page)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # threads that wait for work would count, too
    )
    return dict(json.loads(done.stdout))


_WATCH = """
window.firstFigure = null;
new MutationObserver((_, observer) => {
  if (!document.querySelector(".plot .main-svg")) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => { window.firstFigure = performance.now(); }));
}).observe(document, { childList: true, subtree: true });
"""
_ACT = """async (act) => {
  const count = () => document.querySelector(".trials-box .count").textContent;
  const before = count(), start = performance.now();
  if (act === "theme") document.querySelector(".theme").click();
  else {
    const filter = document.querySelector(".trials-box input[type=search]");
    filter.value = act;
    filter.dispatchEvent(new Event("input", { bubbles: true }));
  }
  const rest = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  const isReady = () => document.documentElement.dataset.ready === "yes";
  do { await rest(); } while (!isReady() || (act !== "theme" && count() === before));
  return (performance.now() - start) / 1000;
}"""
_ARGUMENTS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")


def browse(page: Path, browser: Any) -> dict[str, float]:
    """Seconds on the clock until the first figure is painted and until all that are drawn at once are, of a
    filter by accuracy and of the switch to the other theme."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_init_script(_WATCH)
    opened = context.new_page()
    opened.goto(page.as_uri())
    opened.wait_for_selector('html[data-ready="yes"]', state="attached", timeout=120_000)
    ready = opened.evaluate("performance.now() / 1000")
    opened.wait_for_timeout(500)
    seconds = {
        "first figure": opened.evaluate("window.firstFigure / 1000"),
        "ready": ready,
        "filter": opened.evaluate(_ACT, "knn_accuracy>0.7"),
        "theme": opened.evaluate(_ACT, "theme"),
    }
    context.close()
    return seconds


def chromium() -> str | None:
    """Where Chromium is."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def shown(values: Sequence[float], unit: str = " s") -> str:
    """`1.2 (1.1 to 1.4) s`."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f}){unit}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the times of both sizes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report_scale")
    parser.add_argument("--no-browser", action="store_true", help="only build the pages")
    in_browser = not parser.parse_args(arguments).no_browser
    with tempfile.TemporaryDirectory() as folder:
        for n_trials, rounds in SIZES.items():
            directory, page = Path(folder) / str(n_trials), Path(folder) / f"{n_trials}.html"
            directory.mkdir()
            write_sweep(directory, n_trials)
            built = [build(directory, page) for _ in range(rounds)]
            print(f"{n_trials:,} trials x {MEASUREMENTS}, {rounds} rounds:")
            parts = {
                "load": [one["load"] for one in built],
                "render": [one["render"] for one in built],
                "together": [one["load"] + one["render"] for one in built],
                "imports, not counted": [one["imports"] for one in built],
            }
            print("  CPU: " + ", ".join(f"{name} {shown(values)}" for name, values in parts.items()))
            print(f"  {built[0]['bytes'] / 1e6:.2f} MB")
            if in_browser:
                _print_browsed(page, rounds)


def _print_browsed(page: Path, rounds: int) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(_ARGUMENTS))
        browsed = [browse(page, browser) for _ in range(rounds)]
        times = ", ".join(f"{name} {shown([one[name] for one in browsed])}" for name in browsed[0])
        print(f"  Chromium {browser.version}: {times}")
        browser.close()


if __name__ == "__main__":
    main()
