"""The search section of a study file: what it means, and what is refused, and where."""

import pytest
import yaml

from byol.presets import from_settings
from sweeps.study import StudyError, load_study, study_from_text
from sweeps.study.spaces import Scheduler

SEARCH = """name: found
reference:
  dataset: fashion-mnist-8k
  steps: 20
  eval_every: 5
  knn_every: 5
search:
  sampler: tpe
  trials: 12
  trial_seed: 7
  objectives: {knn_accuracy: maximize}
  space:
    lr: {low: 0.001, high: 10, log: true}
    predictor: {choices: [mlp, linear, none]}
    predictor_depth: {low: 1, high: 3, when: {predictor: [mlp]}}
    tau_base: {choices: [0, 0.99]}
  scheduler: {kind: asha, grace_steps: 5}
seeds: 2
"""


def test_what_is_left_out() -> None:
    study = study_from_text("name: x\nsearch: {trials: 3, space: {lr: {low: 1, high: 2}}}", "f")
    search = study.search
    assert search is not None
    assert (search.sampler, search.sampler_seed, search.trial_seed) == ("tpe", 0, 1000)
    assert search.objectives == {"knn_accuracy": "maximize"}
    assert search.scheduler == Scheduler()
    assert (study.seeds, study.trial_count, study.trials(), study.kind) == ((0, 1, 2), 6, (), "search")


@pytest.mark.parametrize("text", [SEARCH, SEARCH.replace("{kind: asha, grace_steps: 5}", "none")])
def test_the_resolved_study_is_the_same_study(text: str) -> None:
    study = study_from_text(text, "f")
    resolved = study.to_yaml()
    assert study_from_text(resolved, "study.yaml") == study
    assert {"factors", "design"}.isdisjoint(yaml.safe_load(resolved))


def test_a_search_has_no_packs() -> None:
    study_from_text(SEARCH + "resources: {pack: 1}\n", "f")
    message = (
        r"^f:19: resources\.pack: must be 1 in a search, which draws one sample after another, but got 8$"
    )
    with pytest.raises(StudyError, match=message):
        study_from_text(SEARCH + "resources: {pack: 8}\n", "f")


def test_types_are_those_of_the_settings() -> None:
    search = study_from_text(SEARCH, "f").search
    assert search is not None
    lr, _, depth, tau = search.space
    assert [type(end) for end in (*lr.ends, *depth.ends, *tau.ends)] == [float] * 2 + [int] * 2 + [float] * 2


def test_corners_hold_every_end_where_it_applies() -> None:
    search = study_from_text(SEARCH, "f").search
    assert search is not None
    corners = list(search.corners())
    for parameter in search.space:
        seen = {corner[parameter.name] for corner in corners if parameter.name in corner}
        assert seen == set(parameter.ends)
        assert all((parameter.name in corner) == parameter.applies(corner) for corner in corners)
    together = {tuple(corner.items()) for corner in corners}
    assert len(together) == 2 * (2 + 1 + 1) * 2  # lr x (predictor with its depths) x tau


BAD = [
    ("name: found", "name: found\nfactors: {lr: [1]}", "f:2: factors: must be left out of a search"),
    ("name: found", "name: found\ndesign: listed", "f:2: design: must be left out of a search"),
    ("  trials: 12\n", "", "f:7: search.trials: is missing"),
    ("trials: 12", "trials: 0", "f:9: search.trials: must be a whole number, at least 1, but got 0"),
    ("sampler: tpe", "sampler: tep", 'f:8: search.sampler: must be one of tpe, random, but got'),
    ("sampler: tpe", "samplr: tpe", 'search.samplr: is not a key of search (did you mean "sampler"?)'),
    ("trial_seed: 7", "trial_seed: 1", "f:10: search.trial_seed: must not be among the study's"),
    ("knn_accuracy:", "loss:", "f:11: search.objectives.loss: must not be the loss: a collapsed trial has"),
    ("knn_accuracy:", "knn_accurcy:", 'is not an objective (did you mean "knn_accuracy"?)'),
    ("maximize", "maximise", "f:11: search.objectives.knn_accuracy: must be one of maximize"),
    ("knn_accuracy: maximize", "", "f:11: search.objectives: must name at least one objective"),
    ("knn_accuracy: maximize", "probe_accuracy: maximize", "is only measured with probe: true"),
    ("lr: {", "lrr: {", 'f:13: search.space.lrr: is not a setting'),
    ("lr: {low: 0.001, high: 10, log: true}", "seed: {low: 0, high: 9}", "must be the same in all samples"),
    ("lr: {low: 0.001", "lr: {low: 0", "f:13: search.space.lr.low: must be above 0 for a logarithmic range"),
    ("lr: {low: 0.001", "lr: {low: 20", "f:13: search.space.lr.high: must be above low = 20, but got 10"),
    ("lr: {low: 0.001", "lr: {low: -1", "must be above 0 for a logarithmic range, but got -1"),
    ("high: 10, log: true", "high: .inf", "f:13: search.space.lr.high: must be a finite number"),
    ("high: 10, log: true", "log: true", "f:13: search.space.lr: must have low and high, or choices"),
    ("high: 10, log: true", "choices: [1]", "f:13: search.space.lr: must have either choices or low and"),
    ("lr: {low: 0.001, high: 10, log: true}", "lr: {low: -1, high: 10}",
     "f:13: search.space.lr: must be at least 0, but got -1.0 (in the sample lr=-1, predictor=mlp"),
    ("[mlp, linear, none]", "[mlp, linaer]", "f:14: search.space.predictor: must be one of mlp, linear"),
    ("[mlp, linear, none]", "[mlp, 3]", "must be a list of distinct values of one type"),
    ("[mlp, linear, none]", "[mlp, mlp]", "must be a list of distinct values of one type"),
    ("{choices: [mlp, linear, none]}", "{low: 1, high: 2}", "must have choices, because it is not a number"),
    ("high: 3, when", "high: 2.5, when", "f:15: search.space.predictor_depth.high: must be a whole number"),
    ("high: 3, when", "high: 9, when", "predictor_depth: must be between 1 and 5, but got 9"),
    ("when: {predictor", "when: {predicter", 'is not an earlier parameter with choices (did you mean "predi'),
    ("when: {predictor: [mlp]", "when: {tau_base: [0]", "is not an earlier parameter with choices"),
    ("when: {predictor: [mlp]", "when: {predictor: [mpl]", "must list choices of predictor (mlp, linear, no"),
    ("kind: asha", "kind: hyperband", "f:17: search.scheduler.kind: must be one of none, asha, median"),
    ("{kind: asha, grace_steps: 5}", "asha", "f:17: search.scheduler: must state grace_steps"),
    ("kind: asha, grace_steps: 5", "kind: median, grace_steps: 5, reduction: 3",
     "must be left out unless the kind is asha"),
    ("  knn_every: 5\n", "", "f:16: search.scheduler: ranks by knn_accuracy at each measurement, so knn_ev"),
    ("{knn_accuracy: maximize}", "{knn_accuracy: maximize, wall_seconds: minimize}",
     "f:17: search.scheduler: must be none with several objectives, because it ranks by one"),
    ("{knn_accuracy: maximize}", "{wall_seconds: minimize}", "must be none for wall_seconds"),
    ("tau_base: {choices: [0, 0.99]}", "steps: {choices: [20, 40]}", "all must have the same length"),
]  # fmt: skip


@pytest.mark.parametrize(("good", "bad", "message"), BAD, ids=[message for *_, message in BAD])
def test_one_line_names_file_line_key_rule_and_value(good: str, bad: str, message: str) -> None:
    assert good in SEARCH
    with pytest.raises(StudyError) as error:
        study_from_text(SEARCH.replace(good, bad, 1), "f")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_sample_that_is_wrong_only_in_combination_is_found() -> None:
    text = SEARCH.replace(
        "predictor: {choices: [mlp, linear, none]}", "stop_gradient: {choices: [true, false]}"
    )
    text = text.replace("    predictor_depth: {low: 1, high: 3, when: {predictor: [mlp]}}\n", "")
    with pytest.raises(StudyError) as error:
        study_from_text(text, "f")
    assert str(error.value).startswith("f:14: search.space.stop_gradient: false requires the online network")
    assert "(in the sample lr=0.001, stop_gradient=False, tau_base=0)" in str(error.value)


def test_a_stopper_needs_the_accuracy_of_what_it_stops() -> None:
    stopped = SEARCH.replace("{kind: asha, grace_steps: 5}", "none") + "collapse: {stop: true}\n"
    assert study_from_text(stopped, "f").collapse.stop
    with pytest.raises(StudyError, match="must be measured each time"):
        study_from_text(stopped.replace("  knn_every: 5\n", ""), "f")


@pytest.mark.parametrize(
    "text",
    [
        "name: x\nfactors: {lr: [1]}\nscheduler: asha\n",
        "name: x\nfactors: {lr: [1]}\ndesign: {kind: full-factorial, scheduler: median}\n",
    ],
)
def test_a_design_is_never_stopped_early(text: str) -> None:
    with pytest.raises(StudyError, match=r"f:3: .*scheduler: must be under search: .* truncates cells"):
        study_from_text(text, "f")


def test_the_search_that_ships_is_one_that_its_reference_allows() -> None:
    study = load_study("lr-search")
    assert study.search is not None
    assert from_settings(study.reference).steps == 500
