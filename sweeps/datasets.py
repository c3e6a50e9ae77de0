"""The data sets that a study's trials train on, loaded once in the driver."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from byol.errors import ConfigError
from byol.presets import from_settings
from sweeps.errors import RequestError, one_line
from sweeps.node_data import NodeData
from sweeps.record.rows import Baselines, describe_data
from sweeps.study import Study
from sweeps.study.designs import Trial, describe
from sweeps.trainer import DataKey, Images, Trainer, data_key


@dataclass(frozen=True, kw_only=True)
class DataSets:
    """All data sets of a sweep. `Sweep` makes them available to the workers."""

    images: Mapping[DataKey, Images]
    """Key -> data set."""

    @classmethod
    def load(
        cls,
        study: Study,
        trials: Iterable[Trial],
        *,
        trainer: Trainer,
        root: Path | None,
    ) -> "DataSets":
        """Loads the data sets of `trials`.

        Args:
            study: says what to do about images that cannot be read.
            trials: the trials whose data is loaded.
            trainer: loads the data.
            root: folder of downloaded data sets; None means the trainer's default.

        Raises:
            RequestError: a data set cannot be loaded.
        """
        loaded: dict[DataKey, Images] = {}
        for key in dict.fromkeys(data_key(trial.settings) for trial in trials):
            try:
                loaded[key] = trainer.load_data(
                    key[0], root=root, train_images=key[1], image_size=key[2], on_broken=study.on_broken
                )
            except (ValueError, OSError) as error:
                raise RequestError(one_line(error)) from error
        return cls(images=loaded)

    @property
    def digests(self) -> dict[str, str]:
        """Description of a data set -> digest. A single data set is described by its name alone."""
        return {
            key[0] if len(self.images) == 1 else describe_data(*key): images.digest
            for key, images in self.images.items()
        }

    @property
    def facts(self) -> dict[str, str]:
        """The digests as facts for the ledger."""
        return {describe_data(*key): images.digest for key, images in self.images.items()}

    def steps(self, trial: Trial) -> int:
        """Returns the optimiser steps of a trial on its data set.

        Raises:
            RequestError: the batch size or the warm-up does not fit the data.
        """
        config = from_settings(trial.settings)
        image_count = len(self.images[data_key(trial.settings)].train_images)
        try:
            config.warmup_steps(image_count)  # raises if the warm-up is longer than the trial
            return config.total_steps(image_count)
        except ConfigError as error:
            raise RequestError(f"{describe(trial.labels)}: {error}") from None

    def baselines(
        self, trials: Iterable[Trial], trainer: Trainer, known: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, Mapping[str, Any]]:
        """Returns what the trials' kNN accuracies are compared with, by `Baselines.key`.

        Args:
            trials: those whose data sets are looked at.
            trainer: computes what is not known.
            known: what earlier drivers have computed.
        """
        baselines = dict(known)
        for trial in trials:
            key = Baselines.key(trial.settings)
            if key not in baselines:
                data = self.images[data_key(trial.settings)]
                computed = trainer.baselines(data, from_settings(trial.settings))
                baselines[key] = {
                    field.name: getattr(computed, field.name) for field in dataclasses.fields(Baselines)
                }
        return baselines

    def for_nodes(self, study: Study, trainer: Trainer, root: Path | None) -> NodeData:
        """Returns what loads the same data sets on each node."""
        return NodeData(
            load_data=trainer.load_data,
            root=(root or Path("data")).absolute(),
            on_broken=study.on_broken,
            digests={key: images.digest for key, images in self.images.items()},
        )
