"""The command line: `python run_sweep.py COMMAND`. Parses arguments and calls what does the work.

Exit status: 0 done; 1 ran, and some trials failed, or the disk did; 2 the request is wrong (one line on
standard error), and nothing was started or changed; 130 interrupted, and resumable.
"""

import argparse
import json
import os
import re
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from byol.errors import ConfigError
from sweeps.errors import RequestError
from sweeps.planning.estimates import Estimate
from sweeps.progress import clock
from sweeps.study import Study, list_studies, load_study
from sweeps.trainer import Trainer, byol_trainer

REPORT = "report.html"
FINDINGS = "findings.txt"


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (--help explains)\n")


def main(arguments: Sequence[str] | None = None, *, trainer: Trainer | None = None) -> int:
    """Runs one command; returns the exit status.

    Args:
        arguments: the command line without the program's name; None is the process's own.
        trainer: what trains the trials of `run` and `plan --calibrate`; None is the learner of byol/.
    """
    options = _parser().parse_args(arguments)
    try:
        if options.command in ("plan", "run"):
            return {"plan": _plan, "run": _run}[options.command](options, trainer)
        return {
            "studies": _studies,
            "status": _status,
            "report": _report,
            "replay": _replay,
            "export": _export,
            "doctor": _doctor,
        }[options.command](options)
    except (RequestError, ConfigError) as error:
        print(f"run_sweep.py: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `... | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (OSError, sqlite3.Error) as error:  # a full disk, a folder that may not be written
        print(f"run_sweep.py: {' '.join(str(error).split())}", file=sys.stderr)
        return 2 if options.command != "run" else 1
    except ModuleNotFoundError as error:
        venv = "`make sweep` installs it; then use .venv/bin/python"
        print(f"run_sweep.py: the package {error.name} is not installed here ({venv})", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("run_sweep.py: interrupted; the same command goes on from here", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="run_sweep.py", description="Collapse ablations of self-supervised learners.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("studies", help="list the studies that ship")

    plan = commands.add_parser("plan", help="check a study and say what it would run; starts nothing")
    plan.add_argument("study", metavar="STUDY", help="a study file, or the name of a study that ships")
    plan.add_argument("--workers", type=_count, metavar="N", help="trials at a time")
    plan.add_argument("--price", type=_positive, metavar="P", help="of one worker's hour: prints the cost")
    source = plan.add_mutually_exclusive_group()
    source.add_argument(
        "--calibrate", action="store_true", help="measure each shape of trial by a few steps on this machine"
    )
    source.add_argument(
        "--from", type=Path, dest="earlier", metavar="DIR", help="take times from a sweep that has run"
    )
    plan.add_argument("--out", type=Path, metavar="DIR", help="where the calibration is kept, for `run`")
    plan.add_argument("--data-root", type=Path, metavar="DIR", help="where downloaded data sets are kept")
    plan.add_argument("--json", action="store_true", help="for scripts")

    run = commands.add_parser("run", help="run a study, or go on with it")
    run.add_argument("study", metavar="STUDY", help="a study file, or the name of a study that ships")
    run.add_argument("--out", type=Path, required=True, metavar="DIR", help="the sweep's directory")
    _add_address(run)
    run.add_argument("--workers", type=_count, metavar="N", help="most trials at a time")
    run.add_argument("--cpus-per-trial", type=_amount, metavar="N", help="instead of the study's")
    run.add_argument(
        "--gpus-per-trial", type=_amount, metavar="N", help="instead of the study's; 0.5 shares one"
    )
    run.add_argument("--data-root", type=Path, metavar="DIR", help="where downloaded data sets are kept")
    run.add_argument(
        "--checkpoint-every", type=_count_or_none, default=1000, metavar="N",
        help="steps between saved states, from which an interrupted trial goes on (0: none; default 1000)",
    )  # fmt: skip
    run.add_argument(
        "--time-budget", type=_duration, metavar="T", help="end after that long (90s, 45m, 2h30m), resumable"
    )
    run.add_argument(
        "--storage", metavar="URI",
        help="keep checkpoints and a copy of the ledger there (s3://BUCKET/PREFIX, gs://, a folder, ...), "
        "and go on from there if DIR is empty",
    )  # fmt: skip
    run.add_argument(
        "--mirror-every",
        type=_duration,
        default=60.0,
        metavar="T",
        help="how often the ledger is copied (60s)",
    )
    run.add_argument(
        "--data-via", choices=("object-store", "node"), default="object-store",
        help="how nodes come by the data: from the driver (default), or each loads it",
    )  # fmt: skip
    run.add_argument(
        "--log", action="append", default=[], metavar="WHERE", help="also to tensorboard, mlflow or wandb"
    )
    run.add_argument("--retry-failed", action="store_true", help="run trials again that ended with an error")

    status = commands.add_parser("status", help="count the trials of a sweep")
    status.add_argument("out", type=Path, metavar="DIR")
    status.add_argument("--json", action="store_true", help="for scripts")

    report = commands.add_parser("report", help="build the report again, or one over several sweeps")
    report.add_argument("out", type=Path, nargs="+", metavar="DIR")
    report.add_argument(
        "--to", type=Path, metavar="FILE", help="default: report.html in DIR, or here for several"
    )

    replay = commands.add_parser("replay", help="say what stopping collapsed trials early would have saved")
    replay.add_argument("out", type=Path, metavar="DIR")
    replay.add_argument("--threshold", type=_positive, metavar="T", help="instead of the study's")
    replay.add_argument("--patience", type=_count, metavar="P", help="instead of the study's")

    export = commands.add_parser("export", help="write a trained encoder as safetensors")
    export.add_argument("out", type=Path, metavar="DIR")
    export.add_argument("trial_id", metavar="TRIAL_ID")
    export.add_argument("--to", type=Path, required=True, metavar="FILE")

    doctor = commands.add_parser("doctor", help="check this machine or a cluster")
    _add_address(doctor)
    doctor.add_argument(
        "--out", type=Path, default=Path(), metavar="DIR", help="where sweeps would be written"
    )
    return parser


def _add_address(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--address",
        default=os.environ.get("RAY_ADDRESS") or None,
        metavar="HOST:PORT",
        help='a Ray cluster to join ("auto" finds it); default: RAY_ADDRESS',
    )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number, at least 1, but got {text!r}")
    return int(text)


def _count_or_none(text: str) -> int:
    return 0 if text == "0" else _count(text)


def _duration(text: str) -> float:
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    if not hours + minutes + seconds:
        raise argparse.ArgumentTypeError(f"must be a duration such as 90s, 45m or 2h30m, but got {text!r}")
    return 3600.0 * hours + 60.0 * minutes + seconds


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, but got {text!r}")
    return value


def _amount(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (0 <= value <= 1 or (value.is_integer() and value > 0)):
        raise argparse.ArgumentTypeError(f"must be whole, or a fraction below 1, but got {text!r}")
    return value


def _studies(options: argparse.Namespace) -> int:
    for study in list_studies():
        print(f"{study.name:<32} {study.trial_count:>4} trials  {study.title}")
    return 0


def _plan(options: argparse.Namespace, trainer: Trainer | None) -> int:
    from sweeps.planning import estimates
    from sweeps.planning.plan import as_json, as_text, make_plan

    study, workers, out = load_study(options.study), options.workers, options.out
    cells = study.cells()
    if options.calibrate:
        make_plan(study)  # what is wrong is said before anything is measured
        estimate: Estimate | None = _calibrated(options, study, trainer)
    elif options.earlier:
        estimate = estimates.of_sweep(cells, options.earlier)
    else:
        estimate = estimates.of_study(study, cells, out)
    plan = make_plan(study, workers=workers, estimate=estimate, price=options.price)
    print(json.dumps(as_json(plan), indent=2) if options.json else as_text(plan))
    return 0


def _calibrated(options: argparse.Namespace, study: Study, trainer: Trainer | None) -> Estimate:
    from byol.files import write_text
    from sweeps.planning.calibrate import calibrate, document, line
    from sweeps.planning.estimates import CALIBRATION, of_calibration

    costs = {}
    try:
        for key, cost in calibrate(study, trainer or byol_trainer(), data_root=options.data_root):
            costs[key] = cost
            print(line(cost), file=sys.stderr, flush=True)
    except ValueError as error:
        raise RequestError(" ".join(str(error).split())) from None
    found = document(costs)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        write_text(options.out / CALIBRATION, json.dumps(found, indent=2) + "\n")
    return of_calibration(study.cells(), found)


def _run(options: argparse.Namespace, trainer: Trainer | None) -> int:
    study = load_study(options.study)

    from sweeps.options import RunOptions
    from sweeps.run import run

    outcome = run(
        study,
        options.out,
        options=RunOptions(
            address=options.address,
            cpus_per_trial=options.cpus_per_trial,
            gpus_per_trial=options.gpus_per_trial,
            data_root=options.data_root,
            workers=options.workers,
            retry_failed=options.retry_failed,
            checkpoint_every=options.checkpoint_every,
            time_budget=options.time_budget,
            storage=options.storage,
            mirror_every=options.mirror_every,
            data_via=options.data_via,
            log=tuple(options.log),
        ),
        trainer=trainer,
    )
    counts = outcome.counts
    closing = [", ".join(f"{counts[key]} {key}" for key in ("planned", "complete", "collapsed", "failed"))]
    if counts["failed"]:
        closing.append("Some trials failed: the report says why; --retry-failed runs them again.")
    if outcome.interrupted:
        why = "The time budget is used up." if outcome.out_of_time else "Interrupted."
        closing.append(f"{why} The same command goes on from here.")
    if outcome.ran or not _is_current(options.out):
        _finish([options.out], options.out / REPORT, closing)
    else:
        print((options.out / FINDINGS).read_text(encoding="utf-8"))
        print("\n".join((*closing, f"Report: {options.out / REPORT}")))
    return 130 if outcome.interrupted else 1 if counts["failed"] else 0


def _status(options: argparse.Namespace) -> int:
    from sweeps.inspect import against_plan, status

    counts, plan = status(options.out), against_plan(options.out)
    if options.json:
        print(json.dumps({**counts, "plan": plan}))
        return 0
    print("\n".join(f"{count:>6} {name.replace('_', ' ')}" for name, count in counts.items()))
    if plan:
        print(
            f"planned {plan['trial_seconds'] / 3600:.2f} trial-hours, {clock(plan['wall_seconds'])} with "
            f"{plan['workers']} at a time ({plan['source']})\n"
            f"the {plan['finished_trials']} finished trials took {plan['finished_seconds'] / 3600:.2f} "
            f"trial-hours, where {plan['finished_planned_seconds'] / 3600:.2f} were planned"
            + (f"; its drivers ran for {clock(driven)}" if (driven := plan["driven_wall_seconds"]) else "")
        )
    return 0


def _report(options: argparse.Namespace) -> int:
    from sweeps.inspect import refresh_tables

    for out in options.out:
        refresh_tables(out)
    default = options.out[0] / REPORT if len(options.out) == 1 else Path(REPORT)
    _finish(options.out, options.to or default, [])
    return 0


def _replay(options: argparse.Namespace) -> int:
    from sweeps.record.replay import replay_directory

    print(replay_directory(options.out, threshold=options.threshold, patience=options.patience))
    return 0


def _is_current(out: Path) -> bool:
    """Whether report and findings were written after the tables that they are made from."""
    made, tables = [out / REPORT, out / FINDINGS], [out / "trials.parquet", out / "metrics.parquet"]
    if not all(path.exists() for path in made):
        return False
    return min(path.stat().st_mtime for path in made) >= max(path.stat().st_mtime for path in tables)


def _finish(folders: list[Path], path: Path, closing: list[str]) -> None:
    """Writes the report and says in words what it found, here and beside it; `closing` goes between."""
    from analysis.findings import findings
    from analysis.load import load_results
    from analysis.page.report import render
    from byol.files import write_text

    try:
        results = load_results(folders)
    except ValueError as error:
        raise RequestError(" ".join(str(error).split())) from None
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, render(results))
    text = "\n".join(("", *findings(results).sentences, ""))
    path.with_name(FINDINGS).write_text(text, encoding="utf-8")
    print("\n".join((text, *closing, f"Report: {path}")))


def _export(options: argparse.Namespace) -> int:
    from sweeps.inspect import export_encoder

    export_encoder(options.out, options.trial_id, options.to)
    print(f"Encoder: {options.to}")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from sweeps.doctor import examine

    sound = True
    for finding in examine(options.out, options.address):
        print(f"{'ok   ' if finding.fine else 'WRONG'} {finding.name:<9} {finding.detail}", flush=True)
        sound = sound and finding.fine
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
