"""A plan in words, and as plain data."""

from sweeps.planning.plan import make_plan
from sweeps.planning.render import as_json, as_text
from sweeps.study import study_from_text
from tests.sweeps.study.test_design_section import four
from tests.sweeps.study.test_factor_section import CONDITIONAL


def test_the_plan_states_a_condition_beside_its_factor() -> None:
    plan = make_plan(study_from_text(CONDITIONAL, "f"), workers=1)
    lines = [line.strip() for line in as_text(plan).splitlines()]
    assert "predictor_norm: batch, none (where predictor=mlp)" in lines
    assert "slow: quick, still (where predictor_norm=none)" in lines
    assert any(line.startswith("aliases     some factors are conditional") for line in lines)
    assert as_json(plan)["conditions"] == {
        "predictor_norm": {"predictor": ["mlp"]}, "slow": {"predictor_norm": ["none"]},
    }  # fmt: skip
    assert as_json(plan)["cells"][-1].keys() == {"cell_id", "predictor"}


def test_the_plan_says_how_many_trials_share_a_worker() -> None:
    text = CONDITIONAL + "resources: {cpu: 2, pack: 8}\n"
    plan = make_plan(study_from_text(text, "f"), workers=1)
    assert "\nresources   2 CPU and 0 GPU per pack of up to 8 trials\n" in as_text(plan)
    assert as_json(plan)["resources"] == {"cpu": 2.0, "gpu": 0.0, "pack": 8}
    alone = make_plan(study_from_text(CONDITIONAL, "f"), workers=1)
    assert "\nresources   1 CPU and 0 GPU per trial\n" in as_text(alone)


def test_plan_says_what_is_confounded() -> None:
    text = as_text(make_plan(four("{kind: fractional, resolution: 4}"), workers=1))
    assert "resolution IV, defining relation I = encoder_norm x exclude_bias_and_norm x probe x symm" in text
    assert "            symmetric x probe = exclude_bias_and_norm x encoder_norm\n" in text
