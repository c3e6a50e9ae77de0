"""The study that `init` writes."""

from pathlib import Path

import pytest

from sweeps.errors import RequestError
from sweeps.study import load_study
from sweeps.study.start import write_start


def test_it_is_a_small_study_on_images_that_ship(tmp_path: Path) -> None:
    path = tmp_path / "my-first-study.yaml"
    write_start(path)
    study = load_study(path)
    assert study.name == "my-first-study"
    assert [cell.labels for cell in study.cells()] == [
        {"predictor": "mlp", "stop_gradient": "kept"},
        {"predictor": "none", "stop_gradient": "kept"},
        {"predictor": "mlp", "stop_gradient": "removed"},
    ]
    assert study.reference["dataset"] == "fashion-mnist-8k"
    assert study.trial_count * study.cells()[0].config.steps < 6000  # the quickstart has 15,000
    assert all(cell.config.predictor_lr_scale == 1 for cell in study.cells())


def test_each_section_has_a_comment(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    write_start(path)
    lines = path.read_text().splitlines()
    keys = [index for index, line in enumerate(lines) if line[:1].isalpha()]
    explained = [index for index in keys if lines[index - 1].startswith("# ")]
    assert [lines[index].split(":")[0] for index in keys if index not in explained] == ["question"]
    assert {lines[index].split(":")[0] for index in keys} == {
        *("name", "title", "question", "reference", "factors", "design", "seeds", "resources", "collapse")
    }


@pytest.mark.parametrize("stem", ["My Study", "a_b", "-", "x" * 201, "ä"])
def test_a_file_whose_name_is_no_name_of_a_study_gets_another(stem: str, tmp_path: Path) -> None:
    path = tmp_path / f"{stem}.yml"
    write_start(path)
    assert load_study(path).name == "my-study"


def test_what_exists_is_not_overwritten(tmp_path: Path) -> None:
    file, folder, link = (tmp_path / f"{name}.yaml" for name in ("file", "folder", "link"))
    file.write_text("mine")
    folder.mkdir()
    link.symlink_to(tmp_path / "nowhere")
    for path in (file, folder, link):
        with pytest.raises(RequestError, match="exists already, and is not overwritten"):
            write_start(path)
    assert file.read_text() == "mine"
    assert link.is_symlink()
    assert len(list(tmp_path.iterdir())) == 3
