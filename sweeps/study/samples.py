"""A search's samples as configurations and trials. Imports neither ray nor optuna, and knows no ledger."""

import itertools
from collections.abc import Mapping, Sequence

from byol.config import Scalar, TrialConfig
from byol.encoder_names import check_installed
from byol.errors import ConfigError
from byol.presets import from_settings
from sweeps.errors import RequestError
from sweeps.study import designs, limits
from sweeps.study.designs import CellError, Trial
from sweeps.study.spaces import Search, Values
from sweeps.study.study import Study

_CORNERS = 1000
"""How many samples from the corners of a space are tried when a study is loaded."""


def sample_config(
    reference: Mapping[str, Scalar], search: Search, values: Mapping[str, Scalar]
) -> TrialConfig:
    """The configuration of the sample with these values.

    Raises:
        CellError: TrialConfig refuses it.
    """
    try:
        config = from_settings({**reference, **values, "seed": search.trial_seed})
        limits.check_size(config)
        check_installed(config.encoder)
    except ConfigError as error:
        raise CellError(dict(values), error) from None
    return config


def corner_configs(reference: Mapping[str, Scalar], search: Search) -> list[tuple[Values, TrialConfig]]:
    """The first corners of the space with their configurations.

    Raises:
        CellError: TrialConfig refuses one.
    """
    corners = itertools.islice(search.corners(), _CORNERS)
    return [(values, sample_config(reference, search, values)) for values in corners]


def sample(reference: Mapping[str, Scalar], search: Search, values: Mapping[str, Scalar]) -> Trial:
    """The trial of the sample with these values.

    Raises:
        CellError: TrialConfig refuses it.
    """
    return _trial(sample_config(reference, search, values), search, values)


def corner_samples(reference: Mapping[str, Scalar], search: Search) -> list[Trial]:
    """Trials of samples from the corners of the space.

    Raises:
        CellError: TrialConfig refuses one.
    """
    return [_trial(config, search, values) for values, config in corner_configs(reference, search)]


def _trial(config: TrialConfig, search: Search, values: Mapping[str, Scalar]) -> Trial:
    return next(designs.trials([designs.cell_of(config, dict(values))], [search.trial_seed]))


def fresh_trials(best: Trial, seeds: Sequence[int]) -> list[Trial]:
    """Trials of a sample's configuration with other seeds."""
    config = from_settings(best.settings)
    return list(designs.trials([designs.cell_of(config, best.labels)], seeds))


def check_length(study: Study, steps: int) -> None:
    """Checks that samples have enough steps for a scheduler to stop one.

    Raises:
        RequestError: they have not.
    """
    grace = study.search.scheduler.grace_steps if study.search else 0
    if grace >= steps:
        raise RequestError(
            f"{study.name}: search.scheduler.grace_steps: must be below the {steps} steps of a sample, "
            f"but got {grace}"
        )
