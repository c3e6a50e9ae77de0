"""A ledger with any bit flipped tells what it told before, or is refused by name."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeps import files
from sweeps.errors import RequestError
from sweeps.record.directory import open_ledger
from sweeps.study import study_from_text
from tests.faults import ALL
from tests.faults.injected import REFUSED as TOLD
from tests.faults.injected import REPAIRED
from tests.faults.simulated_sweep import run_simulated
from tests.sweeps.conftest import SMALL

REFUSED = "refused"
STUDY = study_from_text(SMALL, "small.yaml")
FLIPS = 20_000 if ALL else 400


def told(out: Path) -> str:
    """All that a ledger says; REFUSED if it is refused in one line that names it."""
    try:
        with open_ledger(out) as ledger:
            return repr([ledger.trials(), [*ledger.metrics()], [*ledger.spectra()], ledger.facts()])
    except RequestError as error:
        return REFUSED if files.LEDGER in str(error) and "\n" not in str(error) else str(error)


@pytest.mark.timeout(900)
def test_a_flipped_bit_is_found_or_changes_nothing(tmp_path: Path, injected: Callable[..., None]) -> None:
    out, broken = tmp_path / "whole", tmp_path / "broken"
    run_simulated(STUDY, out)
    broken.mkdir()
    content, sound = (out / files.LEDGER).read_bytes(), told(out)
    refused, draws = 0, random.Random(0)
    for _ in range(FLIPS):
        bit = draws.randrange(8 * len(content))
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        (broken / files.LEDGER).write_bytes(flipped)
        found = told(broken)
        assert found in (sound, REFUSED), bit
        refused += found == REFUSED
        for left in broken.glob("*-*"):  # SQLite's own files
            left.unlink()
    assert refused > FLIPS / 8, "much of the file is in use"
    injected("ledger", TOLD, refused)
    injected("ledger", REPAIRED, FLIPS - refused)


@pytest.mark.timeout(300)
def test_a_cut_ledger_is_refused(tmp_path: Path, injected: Callable[..., None]) -> None:
    out = tmp_path / "whole"
    run_simulated(STUDY, out)
    content, sound = (out / files.LEDGER).read_bytes(), told(out)
    draws, unchanged = random.Random(0), 0
    lengths = [0, 1, 100, *(draws.randrange(len(content)) for _ in range(FLIPS // 10))]
    for length in lengths:
        (out / files.LEDGER).write_bytes(content[:length])
        found = told(out)
        assert found in (sound, REFUSED), length
        unchanged += found == sound
    assert unchanged <= FLIPS // 100, "no more than the unused end of the last page"
    injected("ledger", REPAIRED, unchanged)
    injected("ledger", TOLD, len(lengths) - unchanged)
