"""Study files: what a sweep varies, over which seeds. Imports neither torch nor ray."""

from sweeps.errors import StudyError
from sweeps.study.designs import Cell, Design, Factor, Level, Trial
from sweeps.study.load import list_studies, load_study, study_from_text
from sweeps.study.study import Resources, StatedCost, Study

__all__ = [
    "Cell",
    "Design",
    "Factor",
    "Level",
    "Resources",
    "StatedCost",
    "Study",
    "StudyError",
    "Trial",
    "list_studies",
    "load_study",
    "study_from_text",
]
