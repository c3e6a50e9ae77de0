"""Where --log can log to: checks it before a sweep starts, and feeds the loggers."""

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

from byol.config import Scalar
from byol.errors import nearest, shortened
from sweeps import files
from sweeps.errors import RequestError, one_line
from sweeps.loggers import mlflow, tensorboard, wandb
from sweeps.loggers.feed import Feed
from sweeps.loggers.run import Logger
from sweeps.record.manifest import git_state

PACKAGES = {"tensorboard": "tensorboardX", "mlflow": "mlflow", "wandb": "wandb"}
"""Value of --log -> the package that it needs."""
_CHECKS = {"mlflow": mlflow.check, "wandb": wandb.check}


def check(names: Sequence[str]) -> None:
    """Checks that the loggers exist, that their packages are installed, and that they can be reached.

    Raises:
        RequestError: one does not, is not, or cannot.
    """
    for name in names:
        if name not in PACKAGES:
            hint = nearest(name, PACKAGES)
            raise RequestError(f"--log: must be one of {', '.join(PACKAGES)}, but got {name!r}{hint}")
        if importlib.util.find_spec(PACKAGES[name]) is None:
            raise RequestError(f"--log {name}: the package {PACKAGES[name]} is not installed here")
        if name in _CHECKS:
            try:
                _CHECKS[name]()
            except Exception as error:
                raise RequestError(f"--log {name}: {shortened(one_line(error), 300)}") from error


def feeds(
    names: Sequence[str], out: Path, *, study: str, sweep: str, warn: Callable[[str], None]
) -> list[Feed]:
    """Starts to feed the loggers `names`, each of which `check` has accepted.

    Args:
        names: keys of PACKAGES.
        out: the sweep's directory, for all files but those of a server.
        study: the study's name, which becomes the name of the experiment or project.
        sweep: the sweep's id, which tells its runs from those of another sweep of the study.
        warn: shows a line, from any thread.
    """
    code = git_state()
    facts: dict[str, Scalar | None] = {
        "study": study,
        "sweep": sweep,
        "report": str((out / files.REPORT).absolute()),
        "commit": code["commit"],
        "clean": code["clean"],
    }
    known = {name: value for name, value in facts.items() if value is not None}
    return [Feed(name, _logger(name, out, study), known, warn) for name in dict.fromkeys(names)]


def _logger(name: str, out: Path, study: str) -> Logger:
    if name == "tensorboard":
        return tensorboard.TensorBoard(out / "tensorboard")
    return mlflow.MLflow(out, study) if name == "mlflow" else wandb.WeightsAndBiases(out, study)
