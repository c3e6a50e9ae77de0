"""The data sets of a study's trials: loaded once in the driver, the same as when the sweep was started."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from byol.errors import ConfigError
from byol.presets import from_settings
from sweeps.errors import DirectoryError, RequestError
from sweeps.node_data import NodeData
from sweeps.study import Study
from sweeps.study.designs import Trial, describe
from sweeps.trainer import DataKey, Images, Trainer, data_key


@dataclass(frozen=True, kw_only=True)
class DataSets:
    """All data sets of a sweep, by what tells them apart."""

    images: Mapping[DataKey, Images]
    """Data set, number of training images and image size -> the data set."""

    @classmethod
    def load(
        cls,
        study: Study,
        trials: Iterable[Trial],
        *,
        trainer: Trainer,
        root: Path | None,
        known: Mapping[str, str],
        place: Path,
    ) -> "DataSets":
        """Loads what the trials train on.

        Args:
            study: says what to do about images that cannot be read.
            trials: those whose data is loaded.
            trainer: loads it.
            root: where downloaded data sets are kept; None leaves it to the trainer.
            known: the ledger's facts, the digests of data that the sweep was started with among them.
            place: the sweep's directory, for the message.

        Raises:
            RequestError: a data set cannot be loaded.
            DirectoryError: the sweep was started with other data.
        """
        loaded: dict[DataKey, Images] = {}
        for key in dict.fromkeys(data_key(trial.settings) for trial in trials):
            try:
                images: Images = trainer.load_data(
                    key[0], root=root, train_images=key[1], image_size=key[2], on_broken=study.on_broken
                )
            except (ValueError, OSError) as error:
                raise RequestError(" ".join(str(error).split())) from error
            before = known.get(describe_data(key), images.digest)
            if images.digest != before:
                raise DirectoryError(
                    f"{place}: was started with other data: the digest of {key[0]} must be {before}, "
                    f"but got {images.digest}"
                )
            loaded[key] = images
        return cls(images=loaded)

    @property
    def digests(self) -> dict[str, str]:
        """Data set in words -> digest; its name alone where there is one data set only."""
        return {
            key[0] if len(self.images) == 1 else describe_data(key): images.digest
            for key, images in self.images.items()
        }

    @property
    def facts(self) -> dict[str, str]:
        """The digests as the ledger keeps them."""
        return {describe_data(key): images.digest for key, images in self.images.items()}

    def steps(self, trial: Trial) -> int:
        """Optimiser steps of a trial on its data set.

        Raises:
            RequestError: batch size or warm-up do not fit the data.
        """
        config = from_settings(trial.settings)
        count = len(self.images[data_key(trial.settings)].train_images)
        try:
            config.warmup_steps(count)  # which refuses one that is longer than the trial
            return config.total_steps(count)
        except ConfigError as error:
            raise RequestError(f"{describe(trial.labels)}: {error}") from None

    def for_nodes(self, study: Study, trainer: Trainer, root: Path | None) -> NodeData:
        """How each node loads the same data sets for itself."""
        return NodeData(
            load_data=trainer.load_data,
            root=(root or Path("data")).absolute(),
            on_broken=study.on_broken,
            digests={key: images.digest for key, images in self.images.items()},
        )


def describe_data(key: DataKey) -> str:
    """A data set in words, as the ledger's facts name it."""
    dataset, train_images, image_size = key
    return f"{dataset}, {train_images or 'all'} training images, {image_size} pixels"
