"""Factors: conditions, and what is refused."""

import pytest
import yaml

from sweeps.study import StudyError, study_from_text

CONDITIONAL = """\
name: conditional
factors:
  predictor: [mlp, linear, none]
  predictor_norm:
    levels: [batch, none]
    when: {predictor: [mlp]}
  slow:
    levels:
      quick: {tau_base: 0.9}
      still: {tau_base: 1}
    when: {predictor_norm: none}
design: full-factorial
"""


def test_conditional_factors_are_read_and_written() -> None:
    study = study_from_text(CONDITIONAL, "f")
    assert [dict(factor.when) for factor in study.factors] == [
        {}, {"predictor": ("mlp",)}, {"predictor_norm": ("none",)},
    ]  # fmt: skip
    assert [tuple(cell.labels.values()) for cell in study.cells()] == [
        ("mlp", "batch"), ("mlp", "none", "quick"), ("mlp", "none", "still"), ("linear",), ("none",),
    ]  # fmt: skip
    documents = yaml.safe_load(study.to_yaml())["factors"]
    assert [document.get("when") for document in documents] == [
        None, {"predictor": ["mlp"]}, {"predictor_norm": ["none"]},
    ]  # fmt: skip


BAD_CONDITIONS = [
    ("{predictor: [mlp]}", "{predctor: [mlp]}",
     'f:6: factors.predictor_norm.when.predctor: is not an earlier factor (did you me'),
    ("{predictor: [mlp]}", "{slow: [quick]}", "when.slow: is not an earlier factor (earlier factors: pre"),
    ("{predictor: [mlp]}", "{predictor_norm: [batch]}", "when.predictor_norm: is not an earlier factor"),
    ("{predictor: [mlp]}", "{predictor: [mpl]}",
     'f:6: factors.predictor_norm.when.predictor[0]: must be one of mlp, linear, none, but got'),
    ("{predictor: [mlp]}", "{predictor: []}", "when.predictor: must name one or more distinct levels"),
    ("{predictor: [mlp]}", "{predictor: [mlp, mlp]}", "must name one or more distinct levels"),
    ("{predictor: [mlp]}", "{predictor: {mlp: 1}}", "when.predictor: must be a single value"),
    ("{predictor: [mlp]}", "{}", "f:6: factors.predictor_norm.when: must name at least one earlier factor"),
    ("{predictor: [mlp]}", "mlp", "f:6: factors.predictor_norm.when: must be a mapping"),
    ("    levels: [batch, none]\n", "", "f:4: factors.predictor_norm: must have levels as well as when"),
    ("    levels: [batch", "    level: [batch", 'factors.predictor_norm.level: is not a key of'),
    ("  predictor_norm:\n", "  predictor_nrm:\n", 'predictor_nrm: is not a setting (did you mean'),
    ("[batch, none]", "[batch, none, nne]", "f:4: factors.predictor_norm: must be one of batch"),
    ("full-factorial", "{kind: listed, listed: [{predictor: none, predictor_norm: none}]}",
     "f:12: design.listed[0].predictor_norm: must be left out of this cell, where its condition "
     "(predictor=mlp) does not hold"),
    ("full-factorial", "{kind: fractional, resolution: 3}",
     "f:12: design: a fractional design must have no conditional factor, because its runs balance every"),
    ("full-factorial", "{exclude: [{predictor_norm: none}]}",
     "f:7: factors.slow: its condition (predictor_norm=none) holds in no cell of the design"),
]  # fmt: skip


@pytest.mark.parametrize(("good", "bad", "message"), BAD_CONDITIONS, ids=[m for *_, m in BAD_CONDITIONS])
def test_a_wrong_condition_is_named_in_one_line(good: str, bad: str, message: str) -> None:
    assert good in CONDITIONAL
    text = CONDITIONAL.replace(good, bad, 1)
    if "fractional" in bad:
        text = text.replace("[mlp, linear, none]", "[mlp, none]")
    with pytest.raises(StudyError) as error:
        study_from_text(text, "f")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_two_factors_of_one_name_are_refused() -> None:
    levels = "levels: [{{label: 1, settings: {{{0}: 1}}}}]"
    factors = f"{{name: a, {levels.format('lr')}}}, {{name: a, {levels.format('tau_base')}}}"
    with pytest.raises(StudyError, match=r"^f:2: factors\.a: duplicate factor$"):
        study_from_text(f"name: x\nfactors: [{factors}]\n", "f")


SHARED = """
name: shared
reference: {tau_base: 0.9}
factors:
  target:
    moving average: {%s}
    online network: {tau_base: 0, tau_schedule: constant}
  stop_gradient:
    "on": {}
    "off": {stop_gradient: false, tau_base: 0, tau_schedule: constant}
design: %s
"""


def test_factors_of_a_leave_one_out_design_may_share_a_setting() -> None:
    cells = study_from_text(SHARED % ("", "leave-one-out"), "f").cells()
    assert [(cell.config.tau_base, cell.config.stop_gradient) for cell in cells] == [
        (0.9, True), (0.0, True), (0.0, False),
    ]  # fmt: skip


@pytest.mark.parametrize(("first", "design"), [("", "full-factorial"), ("tau_base: 0.9", "leave-one-out")])
def test_a_setting_that_two_factors_set_in_one_cell_is_refused(first: str, design: str) -> None:
    rule = "factors.stop_gradient: sets tau_base, which the factor target sets too"
    with pytest.raises(StudyError, match=rule):
        study_from_text(SHARED % (first, design), "f")
