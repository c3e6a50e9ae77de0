"""A study to start from, with a comment on each section."""

import os
import re
from pathlib import Path

from byol.files import write_text
from sweeps.errors import RequestError
from sweeps.study import limits

_NAME = "my-study"
_TEXT = """\
# A study to start from. Change what you like, see what it would run with `plan FILE`, and run it with
# `run FILE --out DIR`. docs/study-format.md has the whole format.

# A directory holds one study, by this name: lower-case words joined by dashes.
name: my-study
# Texts for the plan and the report; `source` and `expected` may be added.
title: What does a small BYOL need?
question: Do the predictor and the stop-gradient keep a small BYOL from collapsing?

# The full method. What is left out has its default: `settings` lists all, `settings NAME` explains one.
reference:
  preset: byol
  dataset: fashion-mnist-8k # comes with the tool; or cifar10, folder:PATH, parquet:PATH, ...
  image_size: 20
  view1.crop_scale_min: 0.6 # crops of 8 % of so small an image show nothing
  view2.crop_scale_min: 0.6
  projector_width: 512
  projector_size: 128
  predictor_width: 512
  batch_size: 64
  steps: 600 # or `epochs: 100`
  lr: 0.6
  tau_base: 0.95
  eval_every: 100
  eval_images: 500

# What is varied: a setting with its levels, or a name of your own with levels that set several settings.
# The first level is the reference's.
factors:
  predictor: [mlp, none]
  stop_gradient:
    kept: {}
    removed: {stop_gradient: false, tau_base: 0, tau_schedule: constant}

# Which combinations run: leave-one-out is the reference and one change at a time; or full-factorial, ...
design: leave-one-out

# Each cell runs with so many seeds. Three show what is large; a small difference needs more.
seeds: 3

# What one trial occupies; `gpu: 0.5` lets two trials share a GPU.
resources: {cpu: 1, gpu: 0}

# When a trial counts as collapsed: below these stds, from so many measurements in a row.
collapse: {representation_threshold: 0.05, projection_threshold: 0.1, patience: 3, stop: false}
"""


def start_text(file: Path) -> str:
    """The study for `file`, named after it where that makes a valid name."""
    is_name = re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", file.stem) and len(file.stem) <= limits.LONGEST_NAME
    return _TEXT.replace(_NAME, file.stem) if is_name else _TEXT


def write_start(file: Path) -> None:
    """Writes the study to `file`, which must not exist.

    Raises:
        RequestError: it exists, would not be read as a study, or cannot be written.
    """
    if file.suffix not in (".yaml", ".yml"):
        raise RequestError(f"{file}: must end in .yaml or .yml, as a study file does")
    if os.path.lexists(file):
        raise RequestError(f"{file}: exists already, and is not overwritten")
    try:
        write_text(file, start_text(file))
    except OSError as error:
        raise RequestError(f"{file}: cannot be written: {error.strerror}") from None
