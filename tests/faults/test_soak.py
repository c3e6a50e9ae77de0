"""The soak's own arithmetic: slopes of memory, and that it finds what is lost or wrong."""

import json
from pathlib import Path

import pytest

from sweeps import simulated
from sweeps.study import study_from_text
from tests.faults import page, soak
from tests.faults.simulated_sweep import run_simulated

SHORT = soak.STUDY.replace("weight_decay: 20", "weight_decay: 0.5").replace("seeds: 1000", "seeds: 1")


def test_slopes_leave_out_the_youth_of_a_process() -> None:
    growing = [(float(seconds), 100.0 if seconds < 120 else seconds / 60) for seconds in range(0, 700, 15)]
    assert soak.slope(growing) == pytest.approx(60.0)
    assert soak.slope(growing[:20]) is None, "too short"


@pytest.mark.timeout(60)
def test_what_is_wrong_or_lost_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "STUDY", SHORT)
    run = soak.Soak(tmp_path)
    run_simulated(study_from_text(SHORT, "soak.yaml"), run.out, trials=3)
    soak.check(run)
    figures = json.loads((tmp_path / "soak.json").read_text())
    assert [figures[key] for key in ("complete", "failed", "wrong", "lost", "vanished")] == [3, 0, 0, 0, 0]
    assert soak.Soak(tmp_path).figures == figures, "the next part goes on"

    expected = simulated.train
    monkeypatch.setattr(
        simulated,
        "train",
        lambda config, data: list(expected(config, data))[: 4 if config.predictor == "none" else 99],
    )
    run.figures["complete before"] = 5
    soak.check(run)
    assert run.figures["wrong"] in (1, 2)
    assert run.figures["vanished"] == 2
    assert f"{run.figures['wrong']} of the complete ones differ" in page.soak_text(run.figures)
