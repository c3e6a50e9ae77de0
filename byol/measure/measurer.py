"""Measures a learner while it trains, always on the same test images.

For collapse metrics the network runs as in the loss, but in float32: BatchNorm uses the statistics of the
batch. For kNN and the probe it runs as for a user: BatchNorm uses its running statistics.

Shape suffixes: N images, B batch, C channels, H height, W width, F features, D projection features.
"""

import contextlib
import warnings
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from byol.config import RESNETS, TrialConfig, ViewConfig
from byol.data import Images, labelled_bank
from byol.learner import Learner
from byol.measure import metrics
from byol.measure.knn import check_neighbours, knn_accuracy
from byol.measure.lidar import lidar
from byol.measure.metrics import Cloud, Metrics
from byol.measure.own_metrics import own_metrics
from byol.measure.probe import linear_probe
from byol.pulse import beat
from byol.seeding import stream, stream_seed
from byol.views import clean_view, draw, make_view

_PROBE_DECAYS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
LIDAR_VIEWS = 10
"""Views of each test image from which LiDAR is computed. The paper has 50, and 10 where time is short."""
PROBE_AFTER = 20
"""Passes of a ResNet over the labelled images after which the probe is fitted unasked: by then it takes less
than 5 % of the trial's time. With the tiny encoder it takes a fifth and more (benchmarks/README.md)."""


def on_device(images: npt.NDArray[np.uint8], device: torch.device) -> Tensor:
    """A uint8 array as a tensor on the device; on the CPU, it shares the array's memory."""
    with warnings.catch_warnings():
        # Arrays from a shared object store are read-only, and nothing here writes to them.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(images).to(device)


@contextlib.contextmanager
def evaluating(module: nn.Module, *, batch_statistics: bool) -> Iterator[None]:
    """Inside the block the module is in eval mode, after it in train mode; running statistics stay the same.

    Args:
        module: the network.
        batch_statistics: whether BatchNorm uses the statistics of each batch, instead of the running ones.
    """
    norms = [child for child in module.modules() if isinstance(child, _BatchNorm)] if batch_statistics else []
    running_statistics = [(norm.running_mean, norm.running_var) for norm in norms]
    module.eval()
    for norm in norms:
        norm.running_mean = norm.running_var = None  # without them it uses those of the batch
    try:
        yield
    finally:
        for norm, (mean, variance) in zip(norms, running_statistics, strict=True):
            norm.running_mean, norm.running_var = mean, variance
        module.train()


class Measurer:
    """Measures one learner. The test images and their two views stay on the learner's device."""

    def __init__(self, config: TrialConfig, data: Images, learner: Learner) -> None:
        """Draws the two views of the test images.

        Raises:
            ConfigError: kNN needs more neighbours than there are labelled images.
            OtherPartError, PartError: a metric of the user's own is another, or fails.
        """
        self.config = config
        self.data = data
        self.learner = learner
        bank = labelled_bank(data)
        self._is_labelled = bank is not None and data.test_labels is not None
        if bank is not None and self._is_labelled:
            check_neighbours(config.knn_k, len(bank[1]), data.name)
        images = on_device(data.test_images[: config.eval_images], learner.device)
        self._clean = torch.cat([self._clean_view(part) for part in self._batches(images)])
        self._images = images
        self._own_metrics = own_metrics(config)
        labels = data.test_labels
        self._labels = (
            None if labels is None else torch.from_numpy(np.array(labels[: len(images)])).to(images.device)
        )
        self._views = [
            self._drawn_view(images, name, settings)
            for name, settings in (("measured1", config.view1), ("measured2", config.view2))
        ]

    def measure(self, *, step: int, loss: float | None, samples_per_second: float | None) -> Metrics:
        """Measures the learner after `step` optimiser steps.

        Args:
            step: as above. kNN accuracy is measured at step 0 and at the last step, whatever `knn_every`:
                a trial is read against its own untrained encoder.
            loss: mean training loss since the previous measurement.
            samples_per_second: training images per second since then.
        """
        with torch.no_grad(), evaluating(self.learner.online, batch_statistics=True):
            (y_NF, z_ND), (y1_NF, z1_ND), (y2_NF, z2_ND) = (
                map(Cloud, self._embed(view)) for view in (self._clean, *self._views)
            )
            at_the_end = self._lidar() if step == self.learner.total_steps else {}
        knn, probe = self._accuracies(step)
        table_index = min(step, self.learner.total_steps - 1)
        return Metrics(
            step=step,
            epoch=step / self.config.steps_per_epoch(len(self.data.train_images)),
            loss=loss,
            representation_std=metrics.embedding_std(y_NF).item(),
            projection_std=metrics.embedding_std(z_ND).item(),
            effective_rank=metrics.effective_rank(y_NF).item(),
            projection_effective_rank=metrics.effective_rank(z_ND).item(),
            alignment=metrics.alignment(z1_ND, z2_ND).item(),
            uniformity=metrics.uniformity(z_ND).item(),
            positive_cosine=metrics.positive_cosine(z1_ND, z2_ND).item(),
            negative_cosine=metrics.negative_cosine(z1_ND, z2_ND).item(),
            tau=self.learner.tau_table[table_index].item(),
            lr=self.learner.lr_table[table_index].item(),
            samples_per_second=samples_per_second,
            rankme=metrics.rankme(y_NF).item(),
            projection_rankme=metrics.rankme(z_ND).item(),
            stable_rank=metrics.stable_rank(y_NF).item(),
            projection_stable_rank=metrics.stable_rank(z_ND).item(),
            representation_positive_cosine=metrics.positive_cosine(y1_NF, y2_NF).item(),
            representation_negative_cosine=metrics.negative_cosine(y1_NF, y2_NF).item(),
            **metrics.spread("representation", y_NF),
            **metrics.spread("projection", z_ND),
            representation_spectrum=metrics.covariance_spectrum(y_NF).float().cpu().numpy(),
            projection_spectrum=metrics.covariance_spectrum(z_ND).float().cpu().numpy(),
            knn_accuracy=knn,
            probe_accuracy=probe,
            **at_the_end,
            own=self._own_metrics(y_NF.x_ND.float(), z_ND.x_ND.float(), self._labels),
        )

    def _accuracies(self, step: int) -> tuple[float | None, float | None]:
        """The accuracies of kNN and of the linear probe, each None where it is not due."""
        total, knn_every = self.learner.total_steps, self.config.knn_every
        knn_is_due = step in (0, total) or (knn_every > 0 and step % knn_every == 0)
        if not (self._is_labelled and knn_is_due):
            return None, None
        features = self._features()
        probe_is_due = step == total and (self.config.probe or self._probe_is_cheap(len(features[0])))
        return self._knn(*features), self._probe(*features) if probe_is_due else None

    def _probe_is_cheap(self, labelled_images: int) -> bool:
        """By the configuration alone, not by the clock: a trial has the same columns on every machine."""
        seen = self.learner.total_steps * self.config.batch_size
        return self.config.encoder in RESNETS and seen >= PROBE_AFTER * labelled_images

    def _lidar(self) -> dict[str, float]:
        """`lidar` and `projection_lidar`, of views that are drawn for it alone: half of each kind."""
        embedded = []
        for index in range(LIDAR_VIEWS):
            settings = (self.config.view1, self.config.view2)[index % 2]
            embedded.append(self._embed(self._drawn_view(self._images, f"lidar{index}", settings)))
        y_QNF, z_QND = (torch.stack(views) for views in zip(*embedded, strict=True))
        return {"lidar": lidar(y_QNF).item(), "projection_lidar": lidar(z_QND).item()}

    def _features(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Features of bank and test images, each with their labels: bank, its labels, test, its labels."""
        bank, test_labels = labelled_bank(self.data), self.data.test_labels
        assert bank is not None
        assert test_labels is not None
        device = self.learner.device
        with torch.no_grad(), evaluating(self.learner.online, batch_statistics=False):
            bank_NF, test_NF = (
                self._represent(on_device(images, device)) for images in (bank[0], self.data.test_images)
            )
        bank_labels_N, test_labels_N = (
            torch.from_numpy(np.array(labels_N)).to(device) for labels_N in (bank[1], test_labels)
        )
        return bank_NF, bank_labels_N, test_NF, test_labels_N

    def _knn(self, *features: Tensor) -> float:
        return knn_accuracy(*features, k=self.config.knn_k, temperature=self.config.knn_temperature)

    def _probe(self, *features: Tensor) -> float:
        seed = stream_seed(self.config.seed, "probe")
        return linear_probe(*features, weight_decays=_PROBE_DECAYS, seed=seed).accuracy

    def _represent(self, images_NCHW: Tensor) -> Tensor:
        encoder = self.learner.online.encoder
        return torch.cat([encoder(self._clean_view(part)) for part in self._batches(images_NCHW)]).float()

    def _clean_view(self, images_BCHW: Tensor) -> Tensor:
        size, mean, std = self.config.image_size, self.data.mean, self.data.std
        return clean_view(images_BCHW, size=size, mean=mean, std=std)

    def _drawn_view(self, images_NCHW: Tensor, name: str, settings: ViewConfig) -> Tensor:
        """A view of each image, drawn from the stream `name` of seed 0: all trials have the same draws."""
        size, mean, std = self.config.image_size, self.data.mean, self.data.std
        draws_NS = draw(stream(0, name), len(images_NCHW)).to(images_NCHW.device)
        pairs = zip(self._batches(images_NCHW), self._batches(draws_NS), strict=True)
        return torch.cat([make_view(*pair, settings, size=size, mean=mean, std=std) for pair in pairs])

    def _embed(self, images_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Representations [N, F] and projections [N, D]."""
        parts = [self.learner.online(part) for part in self._batches(images_NCHW)]
        return torch.cat([y_BF for y_BF, _ in parts]), torch.cat([z_BD for _, z_BD in parts])

    def _batches(self, rows: Tensor) -> Iterator[Tensor]:
        """Parts of at most `norm_size` rows, of equal size to within a row: no BatchNorm gets a small rest.

        A part has at least two rows, because a single one has no statistics. So with a batch size of two, an
        odd number of rows gives one part of three.
        """
        parts = min(-(-len(rows) // self.config.norm_size), len(rows) // 2)
        for part in rows.tensor_split(max(1, parts)):
            beat()
            yield part
