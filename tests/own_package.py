"""The package and the study that docs/extending.md shows."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from byol import own_parts
from byol.part_source import forget

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"


def distance(predictions: list[Tensor], targets: list[Tensor], projections: list[Tensor]) -> Tensor:
    """An objective that can be named without writing a file."""
    return (predictions[0] - targets[1]).square().mean() + projections[1].square().mean()


def write_example(folder: Path) -> Path:
    """Writes the files of the page to `folder`; returns the study's."""
    for block in re.findall(r"```(?:python|yaml)\n(.*?)```\n", PAGE.read_text(), re.DOTALL):
        first, _, text = block.partition("\n")
        path = folder / first.removeprefix("# ")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "mypkg" / "__init__.py").touch()
    return folder / "my-study.yaml"


def fresh_imports(*modules: str) -> Iterator[None]:
    """Before and after, this process has imported none of the modules; sys.path is put back."""
    path = list(sys.path)
    _forget(modules)
    yield
    sys.path[:] = path
    _forget(modules)


def _forget(modules: tuple[str, ...]) -> None:
    forget()
    for name in [name for name in sys.modules if name.partition(".")[0] in modules]:
        del sys.modules[name]
    for name in modules:
        own_parts._imported.pop(name, None)
