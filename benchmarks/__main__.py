"""Runs parts of the benchmarks: `python -m benchmarks [PART ...] [--long] [--to FOLDER]`.

A part is a module of this folder with a function `measure`, which returns a `Report`. Each is imported when
it is its turn: `gpu` has to run where Ray is not installed. The simulations print their tables themselves.
"""

import importlib
import runpy
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import write
from byol.errors import nearest

PARTS = {
    "trial": "one trial on the CPU, beside the tutorial loop and lightly",
    "imports": "what driver and workers import, and how long it takes",
    "sweep": "where the wall time of a sweep goes; trials an hour beside plain Ray Tune",
    "engine": "simulated trials through Ray",
    "growth": "time of a step against batch size, image size, width and views",
    "ledger": "bytes a measurement",
    "measurements": "measurements beside training steps",
}
"""Parts that run unless others are named."""
BY_NAME = {
    "gpu": "one trial on a GPU: a step in all its ways, and what feeds it",
    "gpu_packs": "several trials on one GPU",
}
"""Parts that run only if they are named."""
PRINTED = {
    "sweep_scale": "10,000 trials through planner, ledger, tracker and tables, without Ray",
    "report_scale": "a report of many trials: time, memory, size",
    "verdict_simulation": "how often the verdict is right",
    "sequential_simulation": "likewise, for a sequence of seeds",
    "effects_simulation": "how often intervals and tests are right",
    "small_batches": "how often few rows of healthy embeddings look collapsed",
}
"""Likewise; they print their tables, and know no options but their own."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the named parts, one after the other."""
    known = PARTS | BY_NAME | PRINTED
    parser = ArgumentParser(
        prog="python -m benchmarks",
        formatter_class=RawDescriptionHelpFormatter,
        epilog="parts:\n" + "\n".join(f"  {name:22} {what}" for name, what in known.items()),
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"by default {', '.join(PARTS)}, about three minutes in all"
    )
    parser.add_argument("--long", action="store_true", help="more rounds, whole studies, up to 10,000 trials")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="also write each part's page there")
    options = parser.parse_args(arguments)
    for part in options.parts:
        if part not in known:
            parser.error(f"PART must be one of {', '.join(known)}, but got {part!r}{nearest(part, known)}")
    for part in options.parts or PARTS:
        print(f"benchmarks: {part}", file=sys.stderr, flush=True)
        if part in PRINTED:
            sys.argv[1:] = ["--no-browser"] if part == "report_scale" else []  # they read it
            runpy.run_module(f"benchmarks.{part}", run_name="__main__")
        else:
            report = importlib.import_module(f"benchmarks.{part}").measure(long=options.long)
            write(report, part, options.to)


if __name__ == "__main__":
    main()
