"""The options of the commands that have many, each with its rule from `sweeps.arguments`."""

import os
from argparse import ArgumentParser
from pathlib import Path

from sweeps.arguments import add_watch, count, count_or_zero, cpus, duration, gpus, name, path, positive


def add_settings(settings: ArgumentParser) -> None:
    """Adds the argument of `settings`."""
    settings.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="one setting in full, named as for --set; `preset` and `views` list the bundles",
    )


def add_init(init: ArgumentParser) -> None:
    """Adds the argument of `init`."""
    file = Path("study.yaml")
    init.add_argument("file", nargs="?", type=path, default=file, metavar="FILE", help=f"default: {file}")


def add_export(export: ArgumentParser) -> None:
    """Adds the arguments of `export`."""
    export.add_argument("out", type=path, metavar="DIR", help="the sweep's directory")
    export.add_argument(
        "trial_id",
        type=name,
        metavar="TRIAL_ID",
        help="as in trials.parquet and in the report; its first characters do, if no other trial has them",
    )
    export.add_argument(
        "--to",
        type=path,
        required=True,
        metavar="FILE",
        help="the file to write: ONNX if it ends in .onnx, else safetensors; its card goes to FILE.md",
    )
    export.add_argument("--force", action="store_true", help="replace FILE and FILE.md if they are there")


def add_plan(plan: ArgumentParser) -> None:
    """Adds the options of `plan`."""
    _add_study(plan)
    plan.add_argument(
        "--workers", type=count, metavar="N", help="maximum concurrent trials, or packs of them"
    )
    plan.add_argument(
        "--price", type=positive, metavar="P", help="price of one worker for an hour; adds the cost"
    )
    source = plan.add_mutually_exclusive_group()
    source.add_argument(
        "--calibrate", action="store_true", help="time a few steps of each shape of trial on this machine"
    )
    source.add_argument(
        "--from",
        type=path,
        dest="earlier",
        metavar="DIR",
        help="take the times from an earlier sweep, and show what n seeds could tell",
    )
    plan.add_argument("--out", type=path, metavar="DIR", help="keep the calibration there, for `run`")
    plan.add_argument("--json", action="store_true", help="as JSON, for scripts")


def add_run(run: ArgumentParser) -> None:
    """Adds the options of `run`."""
    _add_study(run)
    run.add_argument("--out", type=path, required=True, metavar="DIR", help="the sweep's directory")
    add_address(run)
    _add_workers(run)
    run.add_argument(
        "--checkpoint-every",
        type=count_or_zero,
        metavar="N",
        help="steps between checkpoints, from which interrupted trials resume (default: one every 5 minutes, "
        "and when the sweep is stopped; 0: none)",
    )
    run.add_argument(
        "--time-budget", type=duration, metavar="T", help="stop after this time (90s, 45m, 2h30m), resumable"
    )
    run.add_argument(
        "--hung-after",
        type=duration,
        default=1800.0,
        metavar="T",
        help="time without a sign of life after which a trial's process is killed, and the trial tried again "
        "(default: 30m)",
    )
    run.add_argument(
        "--storage",
        type=name,
        metavar="URI",
        help="keep checkpoints and a copy of the ledger there (s3://BUCKET/PREFIX, gs://..., a folder), and "
        "resume from there if DIR is empty",
    )
    run.add_argument(
        "--mirror-every",
        type=duration,
        default=60.0,
        metavar="T",
        help="time between copies of the ledger (default: 60s)",
    )
    run.add_argument(
        "--data-via",
        choices=("object-store", "node"),
        default="object-store",
        help="how data reaches the nodes: sent by the driver (default), or loaded by each node",
    )
    run.add_argument(
        "--log", action="append", default=[], metavar="WHERE", help="also log to tensorboard, mlflow or wandb"
    )
    run.add_argument("--retry-failed", action="store_true", help="run trials again that ended with an error")
    run.add_argument(
        "--accept-changes",
        action="store_true",
        help="go on although code, versions or data have changed; each trial says what it ran under",
    )
    add_watch(run)


def _add_workers(run: ArgumentParser) -> None:
    run.add_argument("--workers", type=count, metavar="N", help="maximum concurrent trials, or packs of them")
    run.add_argument("--cpus-per-trial", type=cpus, metavar="N", help="overrides the study's value")
    run.add_argument(
        "--gpus-per-trial", type=gpus, metavar="N", help="likewise; with 0.5, two trials share a GPU"
    )
    run.add_argument(
        "--pack",
        type=count,
        metavar="N",
        help="likewise: up to N trials share a worker, its CPUs and its GPU, and take their steps in turn",
    )


def add_measure(measure: ArgumentParser) -> None:
    """Adds the options of `measure`."""
    measure.add_argument(
        "files",
        type=path,
        nargs="+",
        metavar="FILE",
        help="embeddings as .npy, .parquet or .safetensors; a folder of them, one a step; or a folder of "
        "such folders",
    )
    measure.add_argument(
        "--labels", type=path, metavar="FILE", help="labels of the rows of every file, as .npy (for kNN)"
    )
    measure.add_argument(
        "--k", type=count, default=20, metavar="N", help="neighbours that vote in kNN (default: 20)"
    )
    measure.add_argument(
        "--different-inputs",
        action="store_true",
        help="you know that the rows of a file are of different inputs, so equal rows are collapse",
    )
    measure.add_argument("--to", type=path, metavar="DIR", help="write result tables and a report there")
    measure.add_argument("--json", action="store_true", help="as JSON, for scripts")


def _add_study(command: ArgumentParser) -> None:
    command.add_argument("study", metavar="STUDY", help="a study file, or the name of a study that ships")
    command.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="KEY=VALUE",
        help="override a setting of the study's reference",
    )
    command.add_argument("--data-root", type=path, metavar="DIR", help="where downloaded data sets are kept")


def add_replay(replay: ArgumentParser) -> None:
    """Adds the options of `replay`."""
    replay.add_argument("out", type=path, metavar="DIR", help="the sweep's directory")
    replay.add_argument("--threshold", type=positive, metavar="T", help="overrides the study's value")
    replay.add_argument("--patience", type=count, metavar="P", help="overrides the study's value")


def add_doctor(doctor: ArgumentParser) -> None:
    """Adds the options of `doctor`."""
    add_address(doctor)
    doctor.add_argument(
        "--out", type=path, default=Path(), metavar="DIR", help="where sweeps would be written"
    )
    doctor.add_argument("--storage", type=name, metavar="URI", help="a store to check, as of `run`")
    doctor.add_argument("--json", action="store_true", help="as JSON, for scripts")


def add_address(command: ArgumentParser) -> None:
    """Adds the option that names a cluster."""
    command.add_argument(
        "--address",
        type=name,
        default=os.environ.get("RAY_ADDRESS") or None,
        metavar="HOST:PORT",
        help='the Ray cluster to join, "auto" to search for one (default: RAY_ADDRESS)',
    )
