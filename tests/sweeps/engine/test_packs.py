"""Trials of a pack have the numbers that they have alone, and the fate of one is not that of the others."""

import contextlib
import dataclasses
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ray import tune
from safetensors.torch import load_file

from byol.config import TrialConfig
from byol.data import ImageData, load_data
from byol.files import ENCODER, STATE
from byol.learner import Learner
from byol.measure.measurer import Measurer
from byol.presets import from_settings
from byol.pulse import tell_to_end
from byol.train import train, train_in_turns
from sweeps import simulated
from sweeps.engine import heartbeat, worker
from sweeps.engine.driver import Bookkeeper, packs
from sweeps.engine.heartbeat import Heartbeat
from sweeps.errors import StorageError
from sweeps.record.rows import METRICS, Measurement
from sweeps.simulated import TRAINER
from sweeps.storage.checkpoints import Checkpoints
from sweeps.storage.store import Store
from sweeps.study import Study, study_from_text
from sweeps.trainer import byol_trainer, on_own_stream
from tests.sweeps.engine.real_sweeps import run_study, table
from tests.sweeps.engine.test_driver import FATES
from tests.sweeps.engine.test_worker import a_job

SMALL: dict[str, Any] = {
    "train_images": 64, "batch_size": 16, "eval_images": 64, "precision": "fp32",
    "projector_width": 32, "projector_size": 16, "predictor_width": 32,
}  # fmt: skip
DIFFERENT: Mapping[str, dict[str, Any]] = {
    "a": {"steps": 6, "eval_every": 2, "seed": 0},
    "b": {"steps": 4, "eval_every": 3, "seed": 1, "encoder_norm": "group"},
    "c": {"steps": 6, "eval_every": 2, "seed": 0, "momentum": 0.5, "accumulate": 2},
}
"""Trials that differ in what they compute, how long they are and when they are measured."""


class Ran:
    """What a worker has reported of the trials of a pack, and told through Ray's control service."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.results: list[dict[str, Any]] = []
        self.table: dict[str, Any] = {}
        monkeypatch.setattr(tune, "report", self.results.append)
        monkeypatch.setattr(heartbeat, "_read", self.table.get)
        monkeypatch.setattr(heartbeat, "_write", self.table.__setitem__)
        monkeypatch.setattr(Heartbeat, "wait_for_end", lambda _: self.table.update(idle=True))

    def of(self, trial_id: str) -> list[Measurement]:
        return [
            Measurement.from_report(result)
            for result in self.results
            if result["of"] == trial_id and "step" in result
        ]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ran]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Ran(monkeypatch)
    torch.set_num_threads(threads)
    tell_to_end(False)


@pytest.fixture(scope="module")
def images() -> ImageData:
    data = load_data("fashion-mnist-8k", train_images=64)
    assert isinstance(data, ImageData)
    return data


def a_pack(trials: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    settings = {trial_id: from_settings({**SMALL, **own}) for trial_id, own in trials.items()}
    return {"pack": [{"id": each, "settings": config.to_settings()} for each, config in settings.items()]}


def learning(folder: Path, images: ImageData, **changes: Any) -> worker.Job:
    data = SimpleNamespace(get=lambda _: images)
    return a_job(folder, trainer=byol_trainer(), node_data=data, checkpoint_every=1, **changes)


def assert_as_alone(ran: Ran, folder: Path, images: ImageData, trials: Mapping[str, Any]) -> None:
    """To the last bit: measurements, spectra and the encoder's file."""
    for trial_id, own in trials.items():
        alone = folder / "alone" / trial_id
        expected = [*train(from_settings({**SMALL, **own}), images, checkpoint_folder=alone)]
        measured = ran.of(trial_id)
        assert [row.step for row in measured] == [row.step for row in expected]
        for row, other in zip(measured, expected, strict=True):
            for name in {*METRICS} - {"samples_per_second"}:
                assert getattr(row, name) == getattr(other, name), (trial_id, row.step, name)
            for level in ("representation", "projection"):
                assert row.spectra[level] == getattr(other, f"{level}_spectrum").tobytes()
        encoder, alone_encoder = load_file(folder / trial_id / ENCODER), load_file(alone / ENCODER)
        assert encoder.keys() == alone_encoder.keys()
        assert all(torch.equal(encoder[name], alone_encoder[name]) for name in encoder)


def test_trials_of_a_pack_train_as_they_do_alone(ran: Ran, tmp_path: Path, images: ImageData) -> None:
    worker.run_pack(a_pack(DIFFERENT), job=learning(tmp_path, images))
    assert_as_alone(ran, tmp_path, images, DIFFERENT)
    order = [(result["of"], result.get("step", "over")) for result in ran.results]
    assert order[:3] == [("a", 0), ("b", 0), ("c", 0)], "a step of each in turn"
    assert order.index(("b", 4)) < order.index(("a", 6)), "not one trial after the other"
    assert [name for name, step in order if step == "over"] == ["b", "a", "c"]


def test_a_pack_that_is_stopped_saves_every_trial_and_resumes_each_where_it_was(
    ran: Ran, tmp_path: Path, images: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = learning(tmp_path, images)

    def report(result: dict[str, Any]) -> None:
        ran.results.append(result)
        if (result["of"], result.get("step")) == ("c", 2):
            tell_to_end()

    monkeypatch.setattr(tune, "report", report)
    worker.run_pack(a_pack(DIFFERENT), job=job)
    assert ran.table["idle"], "Ray would start another pack here"
    assert all(ran.table[f"a token/{trial_id}/saved"] == "" for trial_id in DIFFERENT)
    assert all((tmp_path / trial_id / STATE).exists() for trial_id in DIFFERENT)
    assert {result["of"] for result in ran.results if "step" not in result} == set()
    tell_to_end(False)
    worker.run_pack(a_pack(DIFFERENT), job=job)
    assert_as_alone(ran, tmp_path, images, DIFFERENT)


def test_an_error_in_one_trial_is_its_own(ran: Ran, tmp_path: Path) -> None:
    trials: dict[str, dict[str, Any]] = {
        "fails": {"momentum": 0.123, "steps": 4, "eval_every": 2},
        "diverges": {"lr": 1000, "steps": 4, "eval_every": 2},
        "fine": {"steps": 4, "eval_every": 2},
    }
    data = SimpleNamespace(get=lambda _: simulated.load_data("made-up"))
    worker.run_pack(a_pack(trials), job=a_job(tmp_path, node_data=data))
    assert {trial_id: [row.step for row in ran.of(trial_id)] for trial_id in trials} == {
        "fails": [0],
        "diverges": [0, 2],
        "fine": [0, 2, 4],
    }
    [failure] = [result for result in ran.results if "error" in result]
    assert (failure["of"], failure["error"]) == ("fails", "RuntimeError: simulated failure\nof two lines")
    assert {result["of"] for result in ran.results if "returned" in result} == {"diverges", "fine"}


def test_what_has_ended_does_not_run_again_when_the_pack_does(ran: Ran, tmp_path: Path) -> None:
    """Its process died after the first of two trials had ended."""
    trials = {name: {"steps": 4, "eval_every": 2} for name in "ab"}
    data = SimpleNamespace(get=lambda _: simulated.load_data("made-up"))
    job = a_job(tmp_path, node_data=data)
    Heartbeat(job.run, ["a", "b"], limit=60).recorded("a")
    worker.run_pack(a_pack(trials), job=job)
    assert (len(ran.of("a")), len(ran.of("b"))) == (0, 3)
    assert ran.table["a token/b/recorded"] == ""


def test_seconds_and_speed_are_those_of_a_trials_own_turns(
    ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that they add up to those of the worker, and a plan for trials alone can be made from them."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("time.perf_counter", lambda: clock.now)

    def trained(config: TrialConfig, data: Any, **_: Any) -> Iterator[Any]:
        for metrics in simulated.train(config, data):
            clock.now += config.lr
            yield metrics
            clock.now += config.lr
            yield None

    trials = {name: {"steps": 4, "eval_every": 2, "lr": lr} for name, lr in (("a", 1.0), ("b", 10.0))}
    data = SimpleNamespace(get=lambda _: simulated.load_data("made-up"))
    trainer = dataclasses.replace(TRAINER, train=trained)
    worker.run_pack(a_pack(trials), job=a_job(tmp_path, node_data=data, trainer=trainer))
    assert [row.wall_seconds for row in ran.of("a")] == [1.0, 3.0, 5.0]
    assert [row.wall_seconds for row in ran.of("b")] == [10.0, 30.0, 50.0]


def test_the_speed_is_that_of_a_trials_own_turns(images: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("time.perf_counter", lambda: clock.now)
    step, measure = Learner.step, Measurer.measure

    def slow_step(learner: Learner, *views: torch.Tensor) -> None:
        clock.now += learner.config.lr
        step(learner, *views)

    def slow_measure(measurer: Measurer, **about: Any) -> Any:
        clock.now += 1000
        return measure(measurer, **about)

    monkeypatch.setattr(Learner, "step", slow_step)
    monkeypatch.setattr(Measurer, "measure", slow_measure)
    configs = [from_settings({**SMALL, **DIFFERENT["a"], "lr": lr}) for lr in (0.1, 0.2)]
    both: Iterator[Any] = zip_longest(*(train_in_turns(config, images) for config in configs))
    speeds = [[turn.samples_per_second for turn in turns] for turns in both if turns[0] is not None]
    assert speeds == [[None, None], *[[pytest.approx(160), pytest.approx(80)]] * 3]


def trials_of(cells: int, seeds: int) -> list[Any]:
    """In the order of a plan: seed by seed."""
    return [SimpleNamespace(cell_id=f"{cell}", seed=seed) for seed in range(seeds) for cell in range(cells)]


def test_trials_are_dealt_out_to_as_many_packs_as_all_workers_can_share() -> None:
    trials = trials_of(1, 48)
    sizes = [[len(pack) for pack in packs(trials[:n], most=8, workers=4)] for n in (1, 3, 15, 33, 48)]
    assert sizes == [[1], [1, 1, 1], [4, 4, 4, 3], [5, *[4] * 7], [6] * 8]
    assert packs([], most=8, workers=4) == []
    assert packs(trials_of(3, 2), most=1, workers=4) == [[trial] for trial in trials_of(3, 2)]


@pytest.mark.parametrize(
    ("cells", "seeds", "workers"), [(4, 8, 4), (4, 8, 2), (6, 2, 2), (5, 3, 2), (4, 1, 2)]
)
def test_the_trials_of_a_cell_go_to_different_packs(cells: int, seeds: int, workers: int) -> None:
    """They take equally long, and the packs are to end at the same time."""
    dealt = packs(trials_of(cells, seeds), most=8, workers=workers)
    everything = [(trial.cell_id, trial.seed) for pack in dealt for trial in pack]
    assert sorted(everything) == [(f"{cell}", seed) for cell in range(cells) for seed in range(seeds)]
    for cell in range(cells):
        of_cell = [sum(trial.cell_id == f"{cell}" for trial in pack) for pack in dealt]
        assert max(of_cell) - min(of_cell) <= 1


class Recorded:
    """A stand-in for the tracker."""

    def __init__(self) -> None:
        self.events: list[tuple[str, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda trial_id, *_, **__: self.events.append((name, trial_id))


class Packed:
    """A pack of three trials that a driver's bookkeeper hears of."""

    def __init__(self) -> None:
        self.tracker = Recorded()
        interruption: Any = SimpleNamespace(at_once=False, request=lambda: None)
        self.bookkeeper = Bookkeeper(self.tracker, interruption, set())  # type: ignore[arg-type]
        self.trial = SimpleNamespace(config={"pack": [{"id": name} for name in "abc"]})

    def starts(self) -> None:
        self.bookkeeper.on_trial_start(0, [], self.trial)

    def tells(self, trial_id: str, **result: Any) -> None:
        self.bookkeeper.on_trial_result(0, [], self.trial, {**result, "of": trial_id})


@pytest.fixture
def packed() -> Packed:
    return Packed()


def a_measurement() -> dict[str, Any]:
    simulation = simulated.train(from_settings({"steps": 2}), simulated.load_data("x"))
    about: dict[str, Any] = {"device": "cpu", "versions": "", "code": "", "data_digest": "", "commit": ""}
    return Measurement.of(next(simulation), wall_seconds=1.0, clean=True, **about).to_report()


STARTED = [("started", "a"), ("started", "b"), ("started", "c")]


def test_a_pack_whose_processes_die_loses_what_is_left_of_it(packed: Packed) -> None:
    """Its other trials are tried once more, alone: one of them may be what kills the process."""
    packed.starts()
    packed.tells("b", **a_measurement())
    packed.tells("b", returned=True)
    packed.starts()
    packed.tells("b", **a_measurement())
    packed.bookkeeper.on_trial_error(0, [], packed.trial)
    assert packed.tracker.events == [
        *STARTED,
        ("measured", "b"), ("returned", "b"),
        ("started", "a"), ("started", "c"),
        ("lost", "a"), ("lost", "c"),
    ]  # fmt: skip


def test_what_runs_out_of_memory_in_a_pack_is_tried_alone_before_it_has_a_whole_gpu(packed: Packed) -> None:
    packed.starts()
    failure = {"error": "OutOfMemoryError: no", "traceback": "", "ends_sweep": False}
    packed.tells("a", **failure, out_of_memory=True)
    packed.tells("b", **failure, out_of_memory=False)
    packed.tells("c", returned=True)
    packed.bookkeeper.on_trial_complete(0, [], packed.trial)
    assert packed.tracker.events == [*STARTED, ("lost", "a"), ("failed", "b"), ("returned", "c")]


def test_a_pack_that_ends_without_a_word_on_a_trial_has_not_run_it(packed: Packed) -> None:
    packed.starts()
    for trial_id in "ab":
        packed.tells(trial_id, returned=True)
    packed.bookkeeper.on_trial_complete(0, [], packed.trial)
    assert packed.tracker.events == [*STARTED, ("returned", "a"), ("returned", "b"), ("lost", "c")]


class Ended(BaseException):
    """The end of a process."""


def test_a_process_that_can_train_no_more_ends_and_fails_no_trial(
    ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a failed assertion on a GPU, which all trials of the process would report as their own."""

    def end(status: int) -> None:
        raise Ended

    monkeypatch.setattr(os, "_exit", end)
    broken = False

    def train_and_break(config: TrialConfig, data: Any, **_: Any) -> Iterator[Any]:
        nonlocal broken
        for metrics in simulated.train(config, data):
            yield metrics
            if config.momentum == 0.123:
                broken = True
                raise RuntimeError("device-side assert triggered")

    trials: dict[str, dict[str, Any]] = {"breaks": {"momentum": 0.123, "steps": 4}, "fine": {"steps": 4}}
    trainer = dataclasses.replace(TRAINER, train=train_and_break, is_broken=lambda: broken)
    data = SimpleNamespace(get=lambda _: simulated.load_data("made-up"))
    job = a_job(tmp_path, node_data=data, trainer=trainer)
    with pytest.raises(Ended):
        worker.run_pack(a_pack(trials), job=job)
    assert not [result for result in ran.results if "error" in result]
    broken = False
    worker.run_pack(a_pack({"breaks": trials["breaks"]}), job=job)
    [failure] = [result for result in ran.results if "error" in result]
    assert failure["error"] == "RuntimeError: device-side assert triggered", "alone, it is its own"
    with pytest.raises(Ended):
        worker.run_pack(a_pack({"fine": trials["fine"]}), job=job)


def test_a_pack_that_is_told_to_end_while_it_loads_does_not_begin(
    ran: Ran, tmp_path: Path, images: ImageData
) -> None:
    def load(_: Any) -> ImageData:
        tell_to_end()
        return images

    job = a_job(tmp_path, trainer=byol_trainer(), node_data=SimpleNamespace(get=load))
    worker.run_pack(a_pack(DIFFERENT), job=job)
    assert ran.results == []
    assert ran.table["idle"]


@pytest.mark.parametrize("fails", [False, True])
def test_trials_of_a_pack_resume_from_a_store(
    ran: Ran, tmp_path: Path, images: ImageData, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """Also if it fails at first, so that what it lacks is sent from here when the pack begins again."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "local"))
    store = Store.at(str(tmp_path / "store"))
    job = learning(tmp_path, images, checkpoints=Checkpoints(folder=tmp_path, store=store))

    def report(result: dict[str, Any]) -> None:
        ran.results.append(result)
        if (result["of"], result.get("step")) == ("c", 2):
            tell_to_end()

    monkeypatch.setattr(tune, "report", report)
    with monkeypatch.context() as patch:
        if fails:
            patch.setattr(type(store), "upload", refuse)
        worker.run_pack(a_pack(DIFFERENT), job=job)
    monkeypatch.setattr(tune, "report", ran.results.append)
    tell_to_end(False)
    if not fails:
        shutil.rmtree(tmp_path / "local")  # another machine
    worker.run_pack(a_pack(DIFFERENT), job=job)
    last = {trial_id: list({row.step: row for row in ran.of(trial_id)}.values()) for trial_id in DIFFERENT}
    for trial_id, own in DIFFERENT.items():
        expected = [*train(from_settings({**SMALL, **own}), images)]
        assert [row.loss for row in last[trial_id]] == [row.loss for row in expected]
        assert job.checkpoints.encoder(trial_id)
    assert not [*(tmp_path / "local").rglob("*.unsent")]


def test_what_a_trial_could_not_send_stays_while_it_runs_beside_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store answers again when the next trial of the pack begins, which sends what others have left."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "local"))
    checkpoints = Checkpoints(folder=tmp_path, store=Store.at(str(tmp_path / "store")))
    with monkeypatch.context() as patch:
        patch.setattr(Store, "upload", refuse)
        with checkpoints.workspace("a") as first:
            (first.folder / STATE).write_bytes(b"of an earlier attempt")
        assert [*(tmp_path / "local").rglob("a.unsent")]
        opened = contextlib.ExitStack()
        first = opened.enter_context(checkpoints.workspace("a"))
    with opened, checkpoints.workspace("b"):
        assert (first.folder / STATE).exists()


def refuse(*_: Any) -> None:
    raise StorageError("the store does not answer")


def test_on_a_gpu_each_trial_launches_its_turns_on_a_stream_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    streams: list[object] = []
    current: list[object] = []

    @contextmanager
    def on(stream: object) -> Iterator[None]:
        current.append(stream)
        yield
        current.pop()

    def new_stream() -> object:
        streams.append(object())
        return streams[-1]

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "Stream", new_stream)
    monkeypatch.setattr(torch.cuda, "stream", on)

    def turns() -> Iterator[object]:
        for _ in range(2):
            yield current[-1]

    first, second = on_own_stream(turns()), on_own_stream(turns())
    seen = [next(each) for each in (first, second, first, second)]
    assert (len(streams), current) == (2, [])
    assert seen == streams * 2
    assert [*first, *second] == []


PACKED = FATES.replace("seeds: 1", "seeds: 2") + "resources: {pack: 8}\n"
"""Twelve trials of all ends; on two workers in two packs."""


@pytest.mark.ray
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("one_ray")
def test_a_sweep_in_packs_has_the_tables_of_one_without(tmp_path: Path) -> None:
    """Also when a process dies, which takes a whole pack with it."""
    mortal = dataclasses.replace(TRAINER, train=train_and_die_once)
    study = study_from_text(PACKED, "f")
    (tmp_path / "packs").mkdir()
    outcome, _ = run_study(tmp_path / "packs", study, trainer=mortal, workers=2)
    run_study(tmp_path / "alone", study, pack=1, workers=2)
    assert (outcome.counts["complete"], outcome.counts["failed"], outcome.counts["diverged"]) == (8, 4, 4)
    tables = {folder: comparable(tmp_path / folder, study) for folder in ("packs", "alone")}
    assert tables["packs"] == tables["alone"]
    attempts = {row["trial_id"]: row["attempt"] for row in table(tmp_path / "packs", "trials")}
    begun = Counter((tmp_path / "packs" / "starts").read_text().split())
    assert begun == attempts, "what had ended was not trained again"
    assert sorted(attempts.values()) == [*[1] * 8, *[2] * 4], "of six in a pack, two had failed at once"


def comparable(out: Path, study: Study) -> dict[str, Any]:
    """What must not depend on packs: all but times and attempts, by trial and step."""
    trials = {
        row["trial_id"]: [row[name] for name in ("state", "end_reason", "collapsed", "steps_run", "error")]
        for row in table(out, "trials")
    }
    metrics = {
        (row["trial_id"], row["step"]): [row[name] for name in sorted({*METRICS} - {"samples_per_second"})]
        for row in table(out, "metrics")
    }
    assert len(trials) == study.trial_count
    return {"trials": trials, "metrics": {key: repr(values) for key, values in sorted(metrics.items())}}


def train_and_die_once(
    config: TrialConfig, data: Any, *, checkpoint_folder: Path | None, checkpoint_every: int | None
) -> Iterator[Any]:
    assert checkpoint_folder is not None
    out = checkpoint_folder.parent.parent
    marker = out / "died"
    with (out / "starts").open("a") as file:
        file.write(f"{checkpoint_folder.name}\n")
    for metrics in simulated.train(config, data):
        yield metrics
        if config.lr < 1 and metrics.step == 5 and not marker.exists():
            marker.touch()
            os._exit(1)
