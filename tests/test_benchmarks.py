"""The benchmarks run, at toy size, and say what they have measured. None of their times is tested."""

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks import growth, imports, ledger, small_batches
from benchmarks.__main__ import BY_NAME, PARTS, main
from benchmarks.report import Report, Table, write
from benchmarks.side_by_side import Figures, take_turns
from benchmarks.sweep import Run
from benchmarks.timed_trainer import Spent


@pytest.fixture
def _threads() -> Iterator[None]:
    """Leaves torch with as many threads as it had."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_figures_are_medians_with_their_range() -> None:
    figures = Figures((1010.0, 1364.0, 1040.0))
    assert figures.text() == "1,040 (1,010 to 1,364)"
    assert figures.text(1, 1e-3) == "1.0 (1.0 to 1.4)"
    assert Figures((2.0,)).text() == "2"


def test_a_ratio_is_of_medians_and_its_range_of_each_rounds_own_ratio() -> None:
    assert Figures((4.0, 6.0, 5.0)).over(Figures((2.0, 2.0, 1.0))) == "2.50 (2.00 to 5.00)"


def test_sides_take_turns_and_each_second_round_is_reversed() -> None:
    called: list[str] = []

    def side(name: str) -> float:
        called.append(name)
        return float(len(called))

    figures = take_turns({"a": lambda: side("a"), "b": lambda: side("b")}, 3)
    assert "".join(called) == "abbaab"
    assert (figures["a"].values, figures["b"].values) == ((1.0, 4.0, 5.0), (2.0, 3.0, 6.0))


def test_a_page_says_what_where_and_when(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(
        columns=("side", "rate"), rows=[("ours", "3"), ("theirs", "1")], title="Rates", note="n = 2"
    )
    write(Report(title="A part", setup="How it ran.", tables=[table]), "part", tmp_path / "new")
    page = (tmp_path / "new" / "part.md").read_text()
    assert capsys.readouterr().out == page + "\n"
    assert "| side | rate |\n| --- | --- |\n| ours | 3 |\n| theirs | 1 |\n\nn = 2\n" in page
    for part in ("# A part", "## Rates", "cores of", "load", "Python 3", "torch 2", "commit", "UTC"):
        assert part in page, part


def test_the_wall_time_of_a_sweep_is_split_without_a_rest() -> None:
    """Two cores; each trial 10 s: 6 steps, 1 measurements, 1 other training, 2 reporting."""
    trials = [
        Spent(begin=begin, end=begin + 10, steps=6, measurements=1, training=8) for begin in (5, 5, 15, 17)
    ]
    split = Run(30.0, 5.0, 27.0, trials).split(2)
    assert list(split.values()) == [12, 2, 5, 2, 4, 2, 3]
    assert sum(split.values()) == 30


@pytest.mark.parametrize("part", [*PARTS, *BY_NAME])
def test_every_part_can_be_run_short_and_long(part: str) -> None:
    measure = importlib.import_module(f"benchmarks.{part}").measure
    parameters = inspect.signature(measure).parameters.values()
    assert "long" in {parameter.name for parameter in parameters}
    assert all(parameter.default is not parameter.empty for parameter in parameters)


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["trail"])
    assert refused.value.code == 2
    assert "but got 'trail' (did you mean \"trial\"?)" in capsys.readouterr().err


@pytest.mark.timeout(60)
@pytest.mark.usefixtures("_threads")
def test_parts_at_toy_size() -> None:
    axis = growth.measure(rounds=1, axes={"batch size": ("batch_size", (4, 8), 1)})
    assert [row[0] for row in axis.tables[0].rows] == ["4", "8"]
    recorded = ledger.measure(trials=1, measurements=2)
    assert [row[2] for row in recorded.tables[0].rows] == ["1,024", "3,072"], "bytes of the spectra"
    probed = imports.measure(rounds=1, sides={"scipy": "import scipy", "nothing": "pass"})
    assert [(row[0], row[3]) for row in probed.tables[0].rows] == [("scipy", "scipy"), ("nothing", "none")]


def test_few_rows_of_healthy_clouds_are_judged_by_the_rule(capsys: pytest.CaptureFixture[str]) -> None:
    small_batches.main(["--draws", "5"])
    lines = capsys.readouterr().out.splitlines()
    rows = {cells[0]: cells[1:] for cells in (line.strip("| ").split(" | ") for line in lines) if cells[1:]}
    assert rows["cloud"] == ["std", "effective rank", "2 rows", "4", "8", "16", "32", "64"]
    assert rows["isotropic"] == ["1.00", "127.8", "100", "0", "0", "0", "0", "0"]
    std, rank, *shares = rows["ten classes, equally often"]
    assert (0.9 < float(std) < 0.95, 9.8 < float(rank) <= 10) == (True, True)
    assert shares[0] == "100", "two rows have an effective rank of at most 2"
    assert shares[-1] == "0"
