"""The command line: `byol-sweeps COMMAND`, in a checkout `python run_sweep.py COMMAND`.

Parses the arguments, calls what does the work, and prints what comes back. What a command needs is imported
when it runs, so that `plan` and `--help` answer at once.

Exit status: 0 done; 1 ran, and some trials failed, or the disk or all workers did; 2 the request is wrong
(one line on standard error), and nothing was started or changed; 130 interrupted; the same command resumes.
"""

import json
import os
import shlex
import shutil
import sqlite3
import sys
from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from byol.errors import ConfigError, shortened
from sweeps import __version__, files
from sweeps.arguments import add_watch, path
from sweeps.beside import is_at_work
from sweeps.command_line import (
    add_doctor,
    add_export,
    add_init,
    add_measure,
    add_plan,
    add_replay,
    add_run,
    add_settings,
)
from sweeps.errors import RequestError, WorkersError, one_line
from sweeps.study import Study, list_studies, load_study
from sweeps.trainer import Trainer, byol_trainer

if TYPE_CHECKING:
    from analysis.findings.power import Outlooks


_LONGEST_MESSAGE = 1_500
"""Characters of a message, which may quote what it is about."""


class _Parser(ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {shortened(message, _LONGEST_MESSAGE)} (see --help)\n")


def main(arguments: Sequence[str] | None = None, *, trainer: Trainer | None = None) -> int:
    """Runs one command; returns the exit status.

    Args:
        arguments: the command line without the program's name; None is the process's own.
        trainer: what trains the trials of `run` and `plan --calibrate`; None is the learner of byol/.
    """
    options = _parser().parse_args(arguments, Namespace(trainer=trainer))
    try:
        status: int = options.command_function(options)
    except WorkersError as error:
        return _refuse(str(error), 1)
    except (RequestError, ConfigError) as error:
        return _refuse(str(error), 2)
    except BrokenPipeError:  # `... | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except sqlite3.Error as error:  # a full disk, a ledger that may not be written
        return _failed(f"{_ledger(options)}: {one_line(error)}", options)
    except OSError as error:
        return _failed(one_line(error), options)
    except ModuleNotFoundError as error:
        python = "in a checkout, `make sweep` installs it into .venv: use .venv/bin/python"
        return _refuse(f"the package {error.name} is not installed here ({python})", 2)
    except KeyboardInterrupt:
        return _refuse("interrupted. Run the same command again to resume.", 130)
    return status


def command() -> NoReturn:
    """Runs the command of this process, and ends it."""
    status = main()
    if is_at_work():  # a sweep that could not start
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _failed(problem: str, options: Namespace) -> int:
    """What the disk or the store did not do. What was recorded before stays."""
    if options.command != "run":
        return _refuse(problem, 2)
    resume = "" if "same command" in problem else "; run the same command again to resume"
    return _refuse(f"{problem}{resume}", 1)


def _ledger(options: Namespace) -> Path:
    """The ledger that a command works on."""
    out = options.earlier or options.out or Path() if options.command == "plan" else options.out
    return Path(out[0] if isinstance(out, list) else out) / files.LEDGER


def _refuse(message: str, status: int) -> int:
    print(f"{_program()}: {shortened(message, _LONGEST_MESSAGE)}", file=sys.stderr)
    return status


def _program() -> str:
    """What the user typed: the installed command, or this file."""
    return "byol-sweeps" if Path(sys.argv[0]).stem == "byol-sweeps" else "run_sweep.py"


def _parser() -> ArgumentParser:
    parser = _Parser(
        prog=_program(), description="Finds out what keeps self-supervised learners from collapsing."
    )
    parser.add_argument("--version", action="version", version=f"byol-sweeps {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(word: str, function: Callable[[Namespace], int], summary: str) -> ArgumentParser:
        added: ArgumentParser = commands.add_parser(
            word, help=summary, description=f"{summary.capitalize()}."
        )
        added.set_defaults(command_function=function)
        return added

    command("studies", _studies, "list the studies that ship with this tool")
    add_settings(command("settings", _settings, "show every setting with its range, default and source"))
    add_init(command("init", _init, "write a small study to start from, with a comment on each section"))
    add_plan(command("plan", _plan, "check a study and show what it would run; start nothing"))
    add_run(command("run", _run, "run or resume a study"))
    add_measure(command("measure", _measure, "judge embeddings that were trained elsewhere"))

    status = command("status", _status, "count the trials of a sweep")
    status.add_argument("out", type=path, metavar="DIR", help="the sweep's directory")
    form = status.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON, for scripts")
    form.add_argument(
        "--watch", action="store_true", help="show it, and how long it will take, until no driver is at work"
    )

    report = command("report", _report, "build the report again, or one report over several sweeps")
    report.add_argument("out", type=path, nargs="+", metavar="DIR", help="a sweep's directory")
    report.add_argument(
        "--to",
        type=path,
        metavar="FILE",
        help="default: report.html in DIR, or for several sweeps in the current directory; the findings are "
        "written beside it, as findings.txt",
    )
    report.add_argument("--json", action="store_true", help="print the findings as JSON, for scripts")
    add_watch(report)
    report.add_argument("--of-run", action="store_true", help=SUPPRESS)  # a process of `run --watch`

    add_replay(command("replay", _replay, "show what stopping collapsed trials early would have saved"))
    add_export(
        command("export", _export, "write a trained encoder as safetensors or ONNX, with a model card")
    )

    verify = command(
        "verify", _verify, "check every file of a sweep; say what is damaged and what restores it"
    )
    verify.add_argument("out", type=path, metavar="DIR", help="the sweep's directory")
    verify.add_argument("--json", action="store_true", help="as JSON, for scripts")

    add_doctor(command("doctor", _doctor, "check this machine, or a cluster, and say what is wrong"))
    return parser


def _studies(options: Namespace) -> int:
    for study in list_studies():
        print(f"{study.name:<32} {study.trials_text:>11}  {study.title}")
    return 0


def _settings(options: Namespace) -> int:
    from byol.settings import described

    print(described(options.name))
    return 0


def _init(options: Namespace) -> int:
    from sweeps.study.start import write_start

    write_start(options.file)
    print(f"Written: {options.file}")
    print(f"To see what it would run: {_program()} plan {shlex.quote(str(options.file))}")
    return 0


def _plan(options: Namespace) -> int:
    from sweeps.planning import estimates
    from sweeps.planning.plan import make_plan
    from sweeps.planning.render import as_json, as_text

    study = load_study(options.study, options.settings)
    cells = study.cells()
    estimate: estimates.Estimate | None
    if options.calibrate:
        from sweeps.planning.calibrate import calibrated

        trainer = options.trainer or byol_trainer()
        estimate = calibrated(study, trainer, data_root=options.data_root, out=options.out, show=_show)
    elif options.earlier:
        estimate = estimates.of_sweep(cells, options.earlier)
    else:
        estimate = estimates.of_study(study, cells, options.out)
    plan = make_plan(study, workers=options.workers, estimate=estimate, price=options.price)
    power = _power(study, options.earlier) if options.earlier else None
    if options.json:
        print(json.dumps({**as_json(plan), **({"power": power.values} if power else {})}, indent=2))
    else:
        print("\n".join((as_text(plan), *(("", f"from {options.earlier}", *power.lines) if power else ()))))
    return 0


def _power(study: Study, earlier: Path) -> "Outlooks":
    """What the sweep in `earlier` says about how many seeds `study` needs."""
    from analysis.findings.power import Outlooks, outlooks
    from analysis.load import load_results

    try:
        [results] = load_results([earlier]).studies
    except ValueError as error:  # its ledger tells the times even so
        return Outlooks(lines=(f"What n seeds could show is unknown: {one_line(error)}",), values={})
    planned = [len(study.seeds), len(study.at_most().seeds)]
    return outlooks(results, [] if study.search else planned)


def _show(line: str) -> None:
    """Progress; standard output is the answer's alone."""
    print(line, file=sys.stderr, flush=True)


def _run(options: Namespace) -> int:
    study = load_study(options.study, options.settings)

    from sweeps.options import RunOptions
    from sweeps.record.result_digests import changed
    from sweeps.run import run
    from sweeps.watch import watcher

    run_options = RunOptions(
        address=options.address,
        cpus_per_trial=options.cpus_per_trial,
        gpus_per_trial=options.gpus_per_trial,
        pack=options.pack,
        data_root=options.data_root,
        workers=options.workers,
        retry_failed=options.retry_failed,
        accept_changes=options.accept_changes,
        checkpoint_every=options.checkpoint_every,
        time_budget=options.time_budget,
        hung_after=options.hung_after,
        storage=options.storage,
        mirror_every=options.mirror_every,
        data_via=options.data_via,
        log=tuple(options.log),
    )
    with watcher(Path(__file__), options.out, options.port) if options.watch else nullcontext():
        outcome = run(study, options.out, options=run_options, trainer=options.trainer, stream=sys.stdout)
    counts = outcome.counts
    closing = [", ".join(f"{counts[key]} {key}" for key in ("planned", "complete", "collapsed", "failed"))]
    if counts["failed"]:
        closing.append("Some trials failed. The report shows why; --retry-failed runs them again.")
    if outcome.interrupted:
        reason = "The time budget is used up." if outcome.out_of_time else "Interrupted."
        closing.append(f"{reason} Run the same command again to resume.")
    if outcome.ran or changed(options.out):
        text, _ = _write_results([options.out], options.out / files.REPORT)
        print("\n".join((text, *closing, f"Report: {options.out / files.REPORT}")))
    else:
        print((options.out / files.FINDINGS).read_text(encoding="utf-8"))
        print("\n".join((*closing, f"Report: {options.out / files.REPORT}")))
    return 130 if outcome.interrupted else 1 if counts["failed"] else 0


def _status(options: Namespace) -> int:
    from sweeps.inspect import against_plan, planned_and_measured, status

    if options.watch:
        try:
            _follow(options.out)
        except KeyboardInterrupt:  # who watches has seen enough; the sweep goes on
            return 0
    counts, plan = status(options.out), against_plan(options.out)
    if options.json:
        print(json.dumps({**counts, "plan": plan}))
        return 0
    print("\n".join(f"{count:>6} {name.replace('_', ' ')}" for name, count in counts.items()))
    if plan:
        print(planned_and_measured(plan))
    return 0


def _follow(out: Path) -> None:
    """Shows how far a sweep is, until no driver is at work."""
    from sweeps.progress import Display
    from sweeps.watch import follow, has_begun

    os.nice(10)  # the trials come first
    if has_begun([out], _show):
        follow(out, Display(sys.stdout, columns=shutil.get_terminal_size().columns))
    else:
        _show("No driver is at work there.")


def _report(options: Namespace) -> int:
    from sweeps.inspect import refresh_tables

    folder = options.out[0] if len(options.out) == 1 else Path()
    path = options.to or folder / files.REPORT

    def write() -> tuple[str, str]:
        for line in (line for out in options.out for line in refresh_tables(out)):
            _show(line)
        return _write_results(options.out, path)

    if options.watch:
        _watch(options, lambda: write() and path.read_text(encoding="utf-8"))
    text, data = write()
    print(data.rstrip() if options.json else f"{text}\nReport: {path}")
    if len(options.out) > 1 and not options.json:
        written = (path.name, files.FINDINGS, files.FINDINGS_DATA, files.EFFECTS)
        print(f"Written to {path.resolve().parent}: {', '.join(written)}")
    return 0


def _watch(options: Namespace, build: Callable[[], str]) -> None:
    """Serves the report until no driver is at work."""
    from analysis.page.live import watch
    from sweeps.watch import has_begun, parent_has_ended, progress

    os.nice(10)  # the trials come first
    if has_begun(options.out, _show, ended=parent_has_ended if options.of_run else None):
        watch(lambda: progress(options.out), build, port=options.port, show=_show)
    else:
        _show("No driver is at work there, so there is nothing to watch.")


def _measure(options: Namespace) -> int:
    from sweeps.measured.sources import find_sources
    from sweeps.measured.tables import check_target, write_tables
    from sweeps.measured.trials import measure
    from sweeps.measured.words import as_data, as_lines

    sources = find_sources(options.files)
    if options.to:
        check_target(options.to)
    trials = measure(
        sources, labels=options.labels, k=options.k, inputs_differ=options.different_inputs, show=_show
    )
    print(json.dumps(as_data(trials), indent=2) if options.json else "\n".join(as_lines(trials)))
    if options.to:
        write_tables(trials, options.to, neighbours=options.k)
        _write_results([options.to], options.to / files.REPORT)
        _show(f"Report: {options.to / files.REPORT}")
    return 0


def _replay(options: Namespace) -> int:
    from sweeps.record.replay import replay_directory

    print(replay_directory(options.out, threshold=options.threshold, patience=options.patience))
    return 0


def _write_results(folders: list[Path], path: Path) -> tuple[str, str]:
    """Writes the report to `path`, findings and effects beside it; returns the findings, also as JSON."""
    from analysis import api
    from analysis.document import document_text
    from byol.files import replacing, write_text
    from sweeps.record.result_digests import write_digests

    try:
        results = api.load_results(folders)
    except ValueError as error:
        raise RequestError(one_line(error)) from None
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(("", *api.findings(results).sentences, ""))
    data = document_text(api.findings_document(results))
    effects = path.with_name(files.EFFECTS)
    with replacing(effects) as partial:
        api.effects(results).to_parquet(partial, compression="zstd", index=False)
    texts = {path: api.report(results)}
    texts |= {path.with_name(files.FINDINGS): text, path.with_name(files.FINDINGS_DATA): data}
    for place, content in texts.items():
        write_text(place, content)
    if [path] == [folder / files.REPORT for folder in folders]:
        write_digests(folders[0])
    return text, data


def _export(options: Namespace) -> int:
    from sweeps.export import export_encoder

    card = export_encoder(options.out, options.trial_id, options.to, force=options.force)
    print(f"Encoder: {options.to}\nCard: {card}")
    return 0


def _verify(options: Namespace) -> int:
    from sweeps.verify import verify

    checks = []
    for check in verify(options.out):
        checks.append(check)
        if not options.json and check.problem:
            word = "OLDER  " if check.outdated else "DAMAGED"
            print(f"{word} {check.problem}\n        {check.remedy}", flush=True)
    older = sum(check.outdated for check in checks)
    damaged = sum(bool(check.problem) for check in checks) - older
    if options.json:
        print(json.dumps({"sound": not damaged, "checks": [vars(check) for check in checks]}, indent=2))
    else:
        print(
            f"{len(checks)} checked, {damaged} damaged"
            + (f", {older} older than the ledger" if older else "")
        )
    return 1 if damaged else 0


def _doctor(options: Namespace) -> int:
    from sweeps.doctor import examine

    checks = []
    for check in examine(options.out, options.address, options.storage):
        checks.append(check)
        if not options.json:
            remedy = "" if check.fine else f"\n{'':20}{check.remedy}"
            print(f"{'ok   ' if check.fine else 'WRONG'} {check.name:<14}{check.detail}{remedy}", flush=True)
    sound = all(check.fine for check in checks)
    if options.json:
        print(json.dumps({"sound": sound, "checks": [vars(check) for check in checks]}, indent=2))
    return 0 if sound else 1


if __name__ == "__main__":
    command()
