"""Every file of a sweep is damaged in turn; every command works as before, repairs, or refuses in one line.

FAULTS=all tries every kind of damage with many seeds; otherwise a few are tried.
"""

import contextlib
import io
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import run_sweep
from sweeps import files
from sweeps.errors import DirectoryError, RequestError
from sweeps.record import result_digests
from sweeps.record.ledger import Ledger
from sweeps.record.rows import Ending, EndReason, Fact, TrialState
from sweeps.record.texts import check_rule
from sweeps.simulated import TRAINER
from sweeps.study import study_from_text
from tests.faults import ALL
from tests.faults.damage import HOWS, damage
from tests.faults.injected import REFUSED, REPAIRED, SAME
from tests.faults.simulated_sweep import entered, run_simulated
from tests.sweeps.conftest import SMALL
from tests.sweeps.tensor_files import tensor_file

FAILED = Ending(state=TrialState.FAIL, end_reason=EndReason.ERROR, error="boom")
TABLES = (files.TRIALS, files.METRICS, files.SPECTRA)
STUDY = study_from_text(SMALL + "estimate: {seconds_per_trial: 10, hardware: here}\n", "small.yaml")
TRIAL = STUDY.trials()[0].trial_id
ENCODER = f"{files.CHECKPOINTS}/{TRIAL}/encoder.safetensors"
FILES = (
    files.LEDGER, files.STUDY, files.MANIFEST, *TABLES, files.REPORT, files.FINDINGS, files.FINDINGS_DATA,
    files.EFFECTS, files.RESULT_DIGESTS, files.LOCK, ENCODER,
)  # fmt: skip
SEEDS = range(5 if ALL else 1)
COMMANDS = {
    "run": ("run", "STUDY", "--out", "OUT"),
    "status": ("status", "OUT"),
    "report": ("report", "OUT"),
    "replay": ("replay", "OUT"),
    "export": ("export", "OUT", TRIAL, "--to", "OUT/exported"),
    "plan": ("plan", "STUDY", "--from", "OUT"),
    "status as JSON": ("status", "OUT", "--json"),
    "report as JSON": ("report", "OUT", "--json"),
    "plan as JSON": ("plan", "STUDY", "--from", "OUT", "--json"),
}
Told = tuple[int, str, str]
"""Exit status, standard output and standard error of a command, with the directory's name left out."""


def run_command(name: str, study: Path, out: Path) -> Told:
    """Runs one of COMMANDS on a sweep."""
    words = [word.replace("STUDY", str(study)).replace("OUT", str(out)) for word in COMMANDS[name]]
    printed, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
        status = run_sweep.main(words, trainer=TRAINER)
    return status, printed.getvalue().replace(str(out), "OUT"), said.getvalue()


def tables(out: Path) -> list[bytes]:
    return [(out / name).read_bytes() for name in TABLES]


@pytest.fixture(scope="module")
def _short_report() -> Iterator[None]:
    """The page takes seconds to draw, and reads nothing that findings do not read."""
    patch = pytest.MonkeyPatch()
    patch.setattr("analysis.api.report", lambda results: "<html>the report</html>")
    yield
    patch.undo()


@pytest.fixture(scope="module")
def study_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "small.yaml"
    path.write_text(SMALL + "estimate: {seconds_per_trial: 10, hardware: here}\n")
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, _short_report: None, study_file: Path) -> Path:
    """A complete sweep with its report and one encoder."""
    out = tmp_path_factory.mktemp("whole") / "sweep"
    run_simulated(STUDY, out)
    (out / ENCODER).parent.mkdir(parents=True)
    (out / ENCODER).write_bytes(tensor_file(b"weights", TRIAL))
    assert run_sweep.main(["report", str(out)]) == 0
    assert {name for name in FILES if not (out / name).exists()} == set()
    return out


@pytest.fixture(scope="module")
def sound(whole: Path, study_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """What each command says of the whole sweep."""
    told, out = {}, tmp_path_factory.mktemp("sound") / "sweep"
    for command in COMMANDS:
        shutil.copytree(whole, out)
        told[command] = run_command(command, study_file, out)
        assert told[command][0] == 0, told[command]
        shutil.rmtree(out)
    return told


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of which five trials are complete."""
    out = tmp_path_factory.mktemp("half") / "sweep"
    run_simulated(STUDY, out, trials=5)
    return out


@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", FILES)
def test_every_command_on_a_sweep_with_a_damaged_file(
    tmp_path: Path, whole: Path, study_file: Path, name: str, how: str,
    sound: dict[str, Told], injected: Callable[..., None],
) -> None:  # fmt: skip
    for seed in SEEDS if how in ("flipped", "cut") else range(1):
        for command in COMMANDS:
            out = tmp_path / "sweep"
            shutil.copytree(whole, out)
            damage(out / name, how, seed)
            status, printed, error = run_command(command, study_file, out)
            told = f"{command}, {name} {how} ({seed}): {status}\n{printed}\n{error}"
            assert "Traceback" not in printed + error, told
            assert not re.search(r"byol-sweeps-\d|\.partial", printed + error), told
            if status == 2:
                writes = False
                assert error.count("\n") == 1, told
                assert (TRIAL if how == "deleted" and name == ENCODER else Path(name).name) in error, told
            else:
                assert status == 0, told
                kept = "".join(
                    line for line in printed.splitlines(keepends=True) if "written again" not in line
                )
                unknown = "is unknown: " in printed or '"power": {}' in printed
                assert kept == sound[command][1] or unknown, told
                writes = command == "run" or command.startswith("report")
                if writes:
                    assert tables(out) == tables(whole), told
                    assert (out / files.FINDINGS).read_bytes() == (whole / files.FINDINGS).read_bytes(), told
                if command == "export":
                    assert (out / "exported").read_bytes() == (whole / ENCODER).read_bytes(), told
            injected("files", REFUSED if status else SAME if writes else REPAIRED)
            shutil.rmtree(out)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", [files.LEDGER, files.STUDY, files.MANIFEST, *TABLES, files.LOCK])
def test_a_sweep_with_a_damaged_file_resumes_with_the_same_tables_or_is_refused(
    tmp_path: Path, whole: Path, half: Path, name: str, how: str, capsys: pytest.CaptureFixture[str],
    injected: Callable[..., None],
) -> None:  # fmt: skip
    for seed in SEEDS if how in ("flipped", "cut") else range(1):
        out = tmp_path / str(seed)
        shutil.copytree(half, out)
        damage(out / name, how, seed)
        outcome = REFUSED
        with contextlib.suppress(RequestError) if name == files.LEDGER else contextlib.nullcontext():
            run_simulated(STUDY, out)
            outcome = SAME
            assert tables(out) == tables(whole), (name, how, seed)
            assert ("written again" in capsys.readouterr().out) == (name in (files.STUDY, files.MANIFEST))
        injected("resumed", outcome)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", [name for name in FILES if name != files.LOCK])
def test_verify_names_what_is_damaged_and_what_restores_it(
    tmp_path: Path, whole: Path, study_file: Path, name: str, how: str, capsys: pytest.CaptureFixture[str],
    injected: Callable[..., None],
) -> None:  # fmt: skip
    for seed in SEEDS if how in ("flipped", "cut") else range(1):
        out = tmp_path / str(seed)
        shutil.copytree(whole, out)
        capsys.readouterr()
        assert run_sweep.main(["verify", str(out)]) == 0
        assert "0 damaged" in capsys.readouterr().out
        damage(out / name, how, seed)
        status = run_sweep.main(["verify", str(out)])
        printed = capsys.readouterr()
        if name == ENCODER and how == "deleted":
            continue  # not every trial has one
        if status == 0:  # a bit that no file format uses
            assert how == "flipped", name
            assert name == files.LEDGER, (name, seed)
            injected("verified", REPAIRED)
            continue
        assert status == 1, printed
        assert Path(name).name in printed.out
        assert "Traceback" not in printed.out + printed.err
        injected("verified", REFUSED)
        if "`report " in printed.out:
            assert run_sweep.main(["report", str(out)]) == 0
            assert run_sweep.main(["verify", str(out)]) == 0


def test_what_is_only_older_than_the_ledger_is_not_called_damaged(
    tmp_path: Path, whole: Path, half: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(out: Path) -> tuple[int, list[str], list[str]]:
        status = run_sweep.main(["verify", str(out)])
        lines = capsys.readouterr().out.splitlines()
        names = [line.partition(":")[0] for line in lines]
        return (
            status,
            [name for name in names if "DAMAGED" in name],
            [name for name in names if "OLDER" in name],
        )

    killed, reported, other, busy = (tmp_path / name for name in ("killed", "reported", "other", "busy"))
    for out, source in ((killed, half), (reported, half), (other, whole), (busy, half)):
        shutil.copytree(source, out)
    older = {name: (half / name).read_bytes() for name in TABLES}
    assert run_sweep.main(["report", str(reported)]) == 0
    for out in (killed, reported, busy):
        with entered(STUDY, out) as sweep:  # goes on, and is killed before it writes the tables again
            trial_id = sweep.ledger.pending(retry_failed=False)[0]
            sweep.ledger.end(trial_id, sweep.ledger.start(trial_id), FAILED)
            if out == busy:
                manifest = (out / files.MANIFEST).read_bytes()
                (out / files.MANIFEST).write_text("as a driver at work may have left it")
                assert told(out)[:2] == (0, [])
                (out / files.MANIFEST).write_bytes(manifest)
        assert {name: (out / name).read_bytes() for name in TABLES} == older
        status, damaged, found = told(out)
        assert (status, damaged) == (0, []), out
        assert f"OLDER   {out / files.TRIALS}" in found, out
    table = pq.read_table(other / files.TRIALS)
    pq.write_table(table.drop_columns(["code"]), other / files.TRIALS)  # as another version wrote it
    assert told(other)[0] == 1, "nothing says that it was written so"
    result_digests.write_digests(other)
    assert told(other) == (0, [], [f"OLDER   {other / files.TRIALS}"])
    assert run_sweep.main(["report", str(other)]) == 0
    assert told(other) == (0, [], [])


def test_a_study_that_this_version_cannot_load_is_not_called_damaged(tmp_path: Path, whole: Path) -> None:
    out = tmp_path / "sweep"
    shutil.copytree(whole, out)
    later = (out / files.STUDY).read_text() + "a_later_key: 1\n"
    (out / files.STUDY).write_text(later)
    with Ledger(out / files.LEDGER) as ledger:
        ledger.set_fact(Fact.STUDY_FILE, later)
    assert run_sweep.main(["report", str(out)]) == 0
    with Ledger(out / files.LEDGER) as ledger:  # as of an earlier version
        ledger._db.execute("DELETE FROM facts WHERE key = ?", (Fact.STUDY_FILE,))
        check_rule(ledger, out)
        (out / files.STUDY).write_text(later.replace("patience: 3", "patience: 4"))
        with pytest.raises(
            DirectoryError, match=r"study\.yaml: is damaged: its collapse rule is not that of"
        ):
            check_rule(ledger, out)


def test_partial_files_of_killed_processes_are_removed_at_the_next_entry(tmp_path: Path) -> None:
    with entered(STUDY, tmp_path):
        pass
    folder = tmp_path / files.CHECKPOINTS / TRIAL
    folder.mkdir(parents=True)
    dead, alive = 2**22 + 1, os.getpid()
    left = [tmp_path / f".trials.parquet.{dead}.partial", folder / f".state.safetensors.{dead}.partial"]
    others = [tmp_path / f".report.html.{alive}.partial", tmp_path / "mine.partial"]
    for path in (*left, *others):
        path.touch()
    with entered(STUDY, tmp_path):
        pass
    assert [path.exists() for path in (*left, *others)] == [False, False, True, True]
