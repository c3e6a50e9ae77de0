"""Study files: what is read, and what is refused with which words."""

from pathlib import Path

import pytest
import yaml

from byol.measure.collapse import CollapseRule
from sweeps.errors import NO_VALUE
from sweeps.study import Resources, StudyError, list_studies, load_study, study_from_text

FULL = """\
name: full-example
title: A title
question: Why?
source: somebody, some year
expected: something
reference:
  preset: byol
  steps: 40
factors:
  tau_base: [0.99, 0]
  heads:
    batch: {projector_norm: batch, predictor_norm: batch}
    none: {projector_norm: none, predictor_norm: none}
design: full-factorial
seeds: [3, 1]
resources: {cpu: 2, gpu: 0.5, pack: 4}
collapse: {representation_threshold: 0.2, patience: 5, stop: true}
estimate: {seconds_per_trial: 8, hardware: two cores}
"""


def test_a_whole_file() -> None:
    study = study_from_text(FULL, "f")
    assert (study.name, study.title, study.question) == ("full-example", "A title", "Why?")
    assert study.seeds == (3, 1)
    assert study.resources == Resources(cpu=2.0, gpu=0.5, pack=4)
    assert study.collapse == CollapseRule(representation_threshold=0.2, patience=5, stop=True)
    assert [factor.name for factor in study.factors] == ["tau_base", "heads"]
    assert [level.label for level in study.factors[0].levels] == [0.99, 0.0]
    assert type(study.factors[0].levels[1].label) is float
    configs = [cell.config for cell in study.cells()]
    assert [(c.tau_base, c.projector_norm, c.predictor_norm) for c in configs] == [
        (0.99, "batch", "batch"), (0.99, "none", "none"), (0.0, "batch", "batch"), (0.0, "none", "none"),
    ]  # fmt: skip
    assert {(c.projector_width, c.steps) for c in configs} == {(4096, 40)}
    assert len(study.trials()) == 8


def test_what_is_left_out_has_defaults() -> None:
    study = study_from_text("name: tiny\nfactors:\n  lr: [0.1]\n", "f")
    assert (study.title, study.question, study.seeds) == ("tiny", "", (0, 1, 2))
    assert (study.resources, study.collapse, study.estimate) == (Resources(), CollapseRule(), None)


@pytest.mark.parametrize(
    "text",
    [
        FULL,
        "name: tiny\nfactors:\n  lr: [1e-3]\n",
        FULL.replace("design: full-factorial", "design: {kind: listed, listed: [{tau_base: 0}]}"),
        FULL.replace("design: full-factorial", "design: {exclude: [{tau_base: 0, heads: none}]}"),
        FULL.replace("  heads:\n", "  lr: {levels: [0.1, 0.2], when: {tau_base: 0}}\n  heads:\n"),
    ],
)
def test_the_resolved_study_is_the_same_study(text: str) -> None:
    study = study_from_text(text, "f")
    resolved = study.to_yaml()
    assert study_from_text(resolved, "study.yaml") == study
    assert study_from_text(resolved, "study.yaml").to_yaml() == resolved
    document = yaml.safe_load(resolved)
    assert document["seeds"] == list(study.seeds)
    assert set(document["factors"][0]) == {"name", "levels"}
    assert set(document["factors"][0]["levels"][0]) == {"label", "settings"}


BAD = [
    ("seeds: [3, 1]", "sedes: 3", 'f:15: sedes: is not a key of a study (did you mean "seeds"?)'),
    ("seeds: [3, 1]", "seeds: 0", "f:15: seeds: must be a whole number, at least 1, but got 0"),
    ("seeds: [3, 1]", "seeds: [1, 1]", "f:15: seeds: must be a number of seeds, or a list of distinct ones"),
    ("seeds: [3, 1]", "seeds: true", "f:15: seeds: must be a whole number, at least 1, but got True"),
    ("seeds: [3, 1]", "seeds: [-1]", "f:15: seeds[0]: must be a whole number, at least 0, but got -1"),
    ("name: full-example", "name: Full Example", "f:1: name: must be lower-case letters and digits, joined"),
    ("name: full-example", "", "f:1: name: is missing"),
    ("  steps: 40", "  stesp: 40", 'f:8: reference.stesp: is not a setting (did you mean "steps"?)'),
    ("  steps: 40", "  steps: forty", "f:8: reference.steps: must be a whole number, but got 'forty'"),
    ("  steps: 40", "  steps: -1", "f:8: reference.steps: must be at least 0, but got -1"),
    ("  steps: 40", "  seed: 4", "f:8: reference.seed: is set by the study's seeds"),
    ("  steps: 40", "  steps: [40]", "f:8: reference.steps: must be a single value"),
    ("preset: byol", "preset: boyl", 'f:7: reference.preset: must be one of byol, '),
    ("[0.99, 0]", "[0.99, 1.5]", "f:10: factors.tau_base: must be between 0 and 1, but got 1.5"),
    ("[0.99, 0]", "[0.99, high]", "f:10: factors.tau_base: must have levels of one type, not float and str"),
    ("[0.99, 0]", "[1" + 400 * "0" + "]", "f:10: factors.tau_base[0]: must be at least -2**63"),
    ("[0.99, 0]", "[]", "f:10: factors.tau_base: must have at least one level, but is empty"),
    ("[0.99, 0]", "", "f:10: factors.tau_base: must be a list, but got nothing"),
    ("[0.99, 0]", "0.99", "f:10: factors.tau_base: must be a list, but got 0.99"),
    ("[0.99, 0]", "[0, 0.0]", "f:10: factors.tau_base: duplicate level 0.0"),
    ("tau_base: [", "tau_bse: [", 'f:10: factors.tau_bse: is not a setting (did you mean "tau_base"?)'),
    ("none: {projector_norm: none", "none: {tau_base: 0.5", "factors.heads: sets tau_base, which the"),
    ("none: {projector", "none: {projectr", 'is not a setting (did you mean "projector_norm"?)'),
    ("predictor_norm: none", "predictor_norm: no", 'layer, group, none (did you mean "none"'),
    ("    none: {", "    batch: {", "f:13: factors.heads.batch: duplicate key"),
    ("design: full-", "design: ful-", 'design: must be one of full-factorial, leave-one-out'),
    ("full-factorial", "{kind: listed}", "f:14: design: must have cells under `listed`"),
    ("full-factorial", "{kind: listed, listed: [{heads: nne}]}", "must be one of batch, none, but got 'nne'"),
    ("full-factorial", "{exclude: [{}]}", "f:14: design: must leave at least one cell"),
    ("[0.99, 0]", "[0.99, !!int x]", "f:10: factors.tau_base[1]: cannot be read as int, but got 'x'"),
    ("[0.99, 0]", "[!!timestamp 2020-01-01]", "factors.tau_base[0]: must be plain data, but got a date"),
    ("[0.99, 0]", "[" * 2000, "f:1: is nested too deeply"),
    ("cpu: 2", "cpu: 1.5", "f:16: resources.cpu: must be whole, or a fraction below 1, but got 1.5"),
    ("cpu: 2", "cpus: 2", 'f:16: resources.cpus: is not a key of resources (did you mean "cpu"?)'),
    ("pack: 4", "pack: 0", "f:16: resources.pack: must be a whole number, at least 1, but got 0"),
    ("pack: 4", "pack: 1.5", "f:16: resources.pack: must be a whole number, at least 1, but got 1.5"),
    ("stop: true", "stop: yes", "f:17: collapse.stop: must be true or false, but got 'yes'"),
    ("patience: 5", "patience: 0", "f:17: collapse.patience: must be a whole number, at least 1, but got 0"),
    ("seconds_per_trial: 8", "seconds_per_trial: .nan", "must be a number, at least 0"),
    ("seconds_per_trial: 8", "seconds_per_trial: 1" + 400 * "0", "000... (401 characters)"),
    ("estimate:", "on_broken: no\nestimate:", "f:18: on_broken: must be one of fail, skip, but got 'no'"),
    ("factors:", "factors: 3\nother:", "f:10: other: is not a key of a study"),
    ("title: A title", "title: [a", "is not YAML"),
]  # fmt: skip


@pytest.mark.parametrize(("good", "bad", "message"), BAD, ids=[message for *_, message in BAD])
def test_one_line_names_file_line_key_rule_and_value(good: str, bad: str, message: str) -> None:
    assert good in FULL
    with pytest.raises(StudyError) as error:
        study_from_text(FULL.replace(good, bad, 1), "f")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_cell_that_is_wrong_only_in_combination_is_found() -> None:
    text = "name: x\nfactors:\n  stop_gradient: [true, false]\n  tau_base: [0, 0.5]\n  tau_final: [0]\n"
    with pytest.raises(StudyError) as error:
        study_from_text(text, "f")
    assert str(error.value).startswith("f:3: factors.stop_gradient: false requires the online network")
    assert "in the cell stop_gradient=False, tau_base=0.5" in str(error.value)


def test_a_view_setting_that_the_reference_gets_wrong_is_named_once() -> None:
    with pytest.raises(StudyError) as error:
        study_from_text("name: x\nreference: {view2.solarize_p: 3}\nfactors: {lr: [0.1]}\n", "f")
    assert str(error.value) == (
        "f:2: reference.view2.solarize_p: must be between 0 and 1, but got 3 (in the cell lr=0.1)"
    )


def test_an_error_carries_its_parts() -> None:
    with pytest.raises(StudyError) as raised:
        study_from_text("name: x\nfactors:\n  tau_base: [0.99, 1.5]\n", "f.yaml")
    error = raised.value
    assert (error.file, error.line, error.key) == ("f.yaml", 3, "factors.tau_base")
    assert (error.rule, error.value) == ("must be between 0 and 1", 1.5)
    assert error.hint == " (in the cell tau_base=1.5)"
    with pytest.raises(StudyError) as raised:
        study_from_text("name: x\n", "f.yaml")
    assert raised.value.value is NO_VALUE


def test_a_data_set_that_does_not_exist_is_refused_with_its_line() -> None:
    text = "name: x\nreference:\n  steps: 40\n  dataset: mnist\nfactors: {lr: [0.1]}\n"
    with pytest.raises(StudyError, match=r"^f:4: reference\.dataset: must be .* but got 'mnist'"):
        study_from_text(text, "f")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"missing\.yaml: cannot be read: No such file"):
        load_study(tmp_path / "missing.yaml")
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(StudyError, match="cannot be read: Is a directory"):
        load_study(tmp_path / "folder.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StudyError, match="is not UTF-8"):
        load_study(tmp_path / "binary.yaml")
    (tmp_path / "empty.yaml").write_text("")
    with pytest.raises(StudyError, match="must be a mapping"):
        load_study(tmp_path / "empty.yaml")


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(StudyError, match='did you mean "collapse-quickstart"'):
        load_study("colapse-quickstart")
    with pytest.raises(StudyError, match=r"those that ship: .*collapse-quickstart"):
        load_study("zzz")


def test_the_studies_that_ship_are_valid_and_named_after_their_files() -> None:
    studies = list_studies()
    assert "collapse-quickstart" in {study.name for study in studies}
    assert all(load_study(study.name) == study for study in studies)


# Settings of the command line


def test_settings_of_the_command_line_override_the_reference() -> None:
    text = "name: a\nreference: {steps: 5, lr: 0.1}\nfactors: {predictor: [mlp, none]}"
    study = study_from_text(text, "a.yaml", ["lr=1e-3", "dataset=folder:/data/x", "view2.hue=0"])
    assert study.reference == {"steps": 5, "lr": 0.001, "dataset": "folder:/data/x", "view2.hue": 0}
    assert study == study_from_text(study.to_yaml(), "study.yaml")
    without_reference = study_from_text("name: a\nfactors: {predictor: [mlp, none]}", "a.yaml", ["steps=7"])
    assert without_reference.cells()[0].config.steps == 7


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("steps", "--set steps: must be KEY=VALUE"),
        ("stesp=1", '--set stesp=1: reference.stesp: is not a setting (did you mean "steps"?)'),
        ("steps=two", "--set steps=two: reference.steps: must be a whole number, but got 'two' (in the cell"),
        ("steps=", "--set steps=: reference.steps: must be a single value"),
        ("seed=1", "--set seed=1: reference.seed: is set by the study's seeds"),
        ("predictor=none", "--set predictor=none: reference.predictor: is set by the factor predictor"),
    ],
)
def test_a_wrong_setting_of_the_command_line_is_named(setting: str, message: str) -> None:
    with pytest.raises(StudyError) as caught:
        study_from_text("name: a\nfactors: {predictor: [mlp, none]}", "a.yaml", [setting])
    assert str(caught.value).startswith(message)


SEARCH = """
name: a
search:
  trials: 3
  space:
    lr: {low: 0.1, high: 1}
    predictor: {choices: [mlp, none]}
    predictor_width: {low: 8, high: 64, when: {predictor: [mlp]}}
"""


def test_a_setting_of_the_command_line_that_a_search_draws_is_refused_unless_some_samples_leave_it() -> None:
    with pytest.raises(
        StudyError, match=r"--set lr=1: reference\.lr: is drawn by the search, in every sample"
    ):
        study_from_text(SEARCH, "a.yaml", ["lr=1"])
    study = study_from_text(SEARCH, "a.yaml", ["predictor_width=16", "steps=3"])
    assert study.reference == {"predictor_width": 16, "steps": 3}
    assert study == study_from_text(study.to_yaml(), "study.yaml")


def test_a_setting_of_the_command_line_holds_in_the_cells_from_which_its_factor_is_absent() -> None:
    text = """
name: a
factors:
  predictor: [none, mlp]
  depth: {levels: {two: {predictor_depth: 2}, one: {predictor_depth: 1}}, when: {predictor: [mlp]}}
"""
    cells = study_from_text(text, "a.yaml", ["predictor_depth=5"]).cells()
    depths = {(cell.config.predictor, cell.config.predictor_depth) for cell in cells}
    assert depths == {("none", 5), ("mlp", 2), ("mlp", 1)}


def test_the_last_value_of_a_key_of_the_command_line_counts() -> None:
    study = study_from_text("name: a\nfactors: {predictor: [mlp, none]}", "a.yaml", ["steps=1", "steps=2"])
    assert study.reference == {"steps": 2}
