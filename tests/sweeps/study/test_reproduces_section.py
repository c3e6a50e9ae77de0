"""The section `reproduces`: which cell stands for which condition of a published table."""

import pytest

from analysis.published import published
from sweeps.study import StudyError, list_studies, study_from_text

TEXT = """\
name: small
factors:
  tau_base: [0.99, 1, 0]
  predictor: [mlp, none]
  predictor_lr_scale: {levels: [1, 2], when: {predictor: mlp}}
design: {exclude: [{predictor: none, tau_base: 1}]}
reproduces:
  byol-table-5a:
    tau .99: {}
    tau 0: {tau_base: 0}
"""


def test_a_factor_that_is_not_named_is_at_its_first_level() -> None:
    study = study_from_text(TEXT, "f")
    assert study.reproduces == {"byol-table-5a": {"tau .99": {}, "tau 0": {"tau_base": 0.0}}}
    assert study_from_text(study.to_yaml(), "again") == study
    assert study_from_text(TEXT.partition("reproduces")[0], "f").reproduces == {}


def test_it_describes_and_changes_no_trial() -> None:
    without = study_from_text(TEXT.partition("reproduces")[0], "f")
    assert study_from_text(TEXT, "f").trials() == without.trials()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("table-5a", "table-5", 'f:8: reproduces.byol-table-5: is not a published table (did you'),
        ("tau 0:", "tau O:", 'f:10: reproduces.byol-table-5a.tau O: is not a condition of byol-table-5a'),
        ("{tau_base: 0}", "{tau_bse: 0}", 'is not a factor of the study (did you mean "tau_base"?)'),
        ("{tau_base: 0}", "{tau_base: 2}", "byol-table-5a.tau 0.tau_base: must be one of 0.99, 1"),
        ("{tau_base: 0}", "tau_base", "f:10: reproduces.byol-table-5a.tau 0: must be a mapping"),
        ("{tau_base: 0}", "{tau_base: 1, predictor: none}", "f:10: reproduces.byol-table-5a.tau 0: must"),
        ("{tau_base: 0}", "{predictor: none, predictor_lr_scale: 2}", "must be left out of this cell"),
    ],
)  # fmt: skip
def test_what_does_not_resolve_is_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(StudyError) as caught:
        study_from_text(TEXT.replace(old, new), "f")
    assert message in str(caught.value)


def test_a_search_has_no_cells_to_compare() -> None:
    search = "name: s\nsearch: {trials: 2, space: {lr: {low: 0.1, high: 1}}}\nreproduces: {}\n"
    with pytest.raises(StudyError, match="reproduces: must be left out of a search"):
        study_from_text(search, "f")


def test_what_ships_names_enough_conditions_to_compare_something() -> None:
    """That the names resolve, loading has checked."""
    tables = published().tables
    for study in list_studies():
        for name, conditions in study.reproduces.items():
            pairs = [pair for pair in tables[name].pairs if set(pair.conditions) <= set(conditions)]
            assert pairs, (study.name, name)
