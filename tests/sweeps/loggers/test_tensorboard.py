"""The event files, as tensorboardX's messages read them and, where it is installed, as TensorBoard does."""

from pathlib import Path
from typing import Any

import pytest

from sweeps.study import Study
from sweeps.study.designs import Trial
from tests.sweeps.loggers.conftest import LoggedSweep

pytestmark = pytest.mark.timeout(120)  # tensorboardX imports torch


def events(file: Path) -> list[Any]:
    """The events of a file: records of length, checksum, event, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    content, position, found = file.read_bytes(), 0, []
    while position < len(content):
        length = int.from_bytes(content[position : position + 8], "little")
        found.append(Event.FromString(content[position + 12 : position + 12 + length]))
        position += length + 16
    return found


def curve(file: Path, tag: str) -> list[tuple[int, float]]:
    """Step and value of each point of a curve."""
    values = [(event.step, value) for event in events(file) for value in event.summary.value]
    return [(step, value.simple_value) for step, value in values if value.tag == tag]


def hyperparameters(file: Path) -> dict[str, Any]:
    """What the page of hyperparameters shows of a run."""
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    for event in events(file):
        for value in event.summary.value:
            if value.tag == "_hparams_/session_start_info":
                content = HParamsPluginData.FromString(value.metadata.plugin_data.content)
                shown = content.session_start_info.hparams
                return {name: getattr(each, each.WhichOneof("kind")) for name, each in shown.items()}
    return {}


def purged_from(file: Path) -> list[int]:
    """From which steps on the file hides those of the files before it."""
    return [event.step for event in events(file) if event.HasField("session_log")]


@pytest.fixture
def folder(tmp_path: Path, study: Study, healthy: Trial, collapsing: Trial) -> Path:
    sweep = LoggedSweep(tmp_path, study, "tensorboard")
    sweep.run_interrupted(healthy, collapsing)
    sweep.resume(healthy)
    assert "--log" not in sweep.shown.getvalue()
    return tmp_path / "tensorboard"


def test_a_run_is_named_by_levels_and_seed_and_says_how_it_ended(
    folder: Path, healthy: Trial, collapsing: Trial
) -> None:
    names = {str(path.relative_to(folder)) for path in folder.glob("*/*")}
    assert names == {
        f"encoder_norm=batch, data=a_b_c {healthy.cell_id}/seed 7",
        f"encoder_norm=group, data=a_b_c {collapsing.cell_id}/seed 7",
    }
    [file] = folder.glob("encoder_norm=group*/*/events.*")
    steps, values = zip(*curve(file, "representation_std"), strict=True)
    assert steps == (0, 5, 10, 15, 20)
    assert values == pytest.approx([0.001] * 5)
    shown = hyperparameters(file)
    assert {name: shown[name] for name in ("study", "seed", "level.encoder_norm", "collapsed")} == {
        "study": "small",
        "seed": 7,
        "level.encoder_norm": "group",
        "collapsed": True,
    }
    assert shown["end_reason"] == "diverged"
    assert shown["cell_id"] == collapsing.cell_id
    assert shown["report"] == str(folder.parent / "report.html")


def test_a_resumed_trial_goes_on_in_a_second_file(folder: Path) -> None:
    first, second = sorted(folder.glob("encoder_norm=batch*/*/events.*"))
    assert [step for step, _ in curve(first, "loss")] == [0, 5, 10], "a step that is there is not sent again"
    assert [step for step, _ in curve(second, "loss")] == [15, 20]
    assert hyperparameters(first) == {}
    assert hyperparameters(second)["end_reason"] == "finished"
    assert purged_from(second) == [15]


@pytest.mark.parametrize("first", [0, 5, 15])
def test_only_what_is_measured_again_takes_the_place_of_what_was(
    tmp_path: Path, study: Study, healthy: Trial, collapsing: Trial, first: int
) -> None:
    sweep = LoggedSweep(tmp_path, study, "tensorboard")
    sweep.run_interrupted(healthy, collapsing)
    sweep.resume(healthy, first=first)
    before, after = sorted((tmp_path / "tensorboard").glob("encoder_norm=batch*/*/events.*"))
    assert purged_from(before) == []
    assert purged_from(after) == [first]
    kept = [step for step, _ in curve(before, "loss") if step < first]
    assert kept + [step for step, _ in curve(after, "loss")] == [0, 5, 10, 15, 20]


def test_a_trial_that_ends_before_it_measures_again_keeps_its_curves(
    tmp_path: Path, study: Study, healthy: Trial, collapsing: Trial
) -> None:
    """As one whose driver was killed after its last measurement: a worker has nothing more to report."""
    sweep = LoggedSweep(tmp_path, study, "tensorboard")
    sweep.run_interrupted(healthy, collapsing)
    sweep.resume(healthy, first=25)
    before, after = sorted((tmp_path / "tensorboard").glob("encoder_norm=batch*/*/events.*"))
    assert (purged_from(before), purged_from(after)) == ([], [])
    assert "end_reason" in hyperparameters(after)


@pytest.mark.parametrize("first", [0, 5, 15])
def test_tensorboard_shows_each_step_once(
    tmp_path: Path, study: Study, healthy: Trial, collapsing: Trial, first: int
) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    sweep = LoggedSweep(tmp_path, study, "tensorboard")
    sweep.run_interrupted(healthy, collapsing)
    sweep.resume(healthy, first=first)
    [run] = (tmp_path / "tensorboard").glob("encoder_norm=batch*/seed 7")
    shown = reader.EventAccumulator(str(run)).Reload()
    assert [point.step for point in shown.Scalars("loss")] == [0, 5, 10, 15, 20]
