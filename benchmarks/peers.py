"""What this learner is measured beside: the loop of most tutorials, and lightly's.

Both augment each image with torchvision's PIL transforms in a DataLoader, and take the encoder, batch size,
image size and augmentations of the trial that they are beside. The tutorial's loop: two separate forward
passes through online and target network, a target that moves parameter by parameter, and a read of the loss
at every step. Lightly's is the loop of its examples/pytorch/byol.py, with its transforms, heads, loss and
update of the target.

Shape suffixes: B batch, C channels, H height, W width.
"""

import copy
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from byol.config import TrialConfig, ViewConfig
from byol.data import ImageData
from byol.networks import build_encoder

Step = Callable[[Tensor, Tensor], object]
"""One optimiser step on two views [B, C, H, W]."""
View = Callable[[object], Tensor]

_WARM = 2
"""Steps at the start of a round that are not timed: loader processes start, and their queues fill."""


class Views(Dataset[tuple[Tensor, Tensor]]):
    """Two views of each image, one image at a time."""

    def __init__(self, data: ImageData, view1: View, view2: View) -> None:
        images = data.train_images
        self.images = images.repeat(3 // images.shape[1], axis=1).transpose(0, 2, 3, 1)
        self.view1, self.view2 = view1, view2

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = transforms.functional.to_pil_image(np.ascontiguousarray(self.images[index]))
        return self.view1(image), self.view2(image)


def tutorial_view(settings: ViewConfig, size: int, data: ImageData) -> View:
    """A view by torchvision's transforms, with the strengths and probabilities of `settings`."""
    jitter = (settings.brightness, settings.contrast, settings.saturation, settings.hue)
    ratio = (settings.crop_ratio_min, settings.crop_ratio_max)
    bicubic = transforms.InterpolationMode.BICUBIC
    blur = transforms.GaussianBlur(size // 20 * 2 + 1, (settings.blur_sigma_min, settings.blur_sigma_max))
    view: View = transforms.Compose(
        [
            transforms.RandomResizedCrop(
                size,
                scale=(settings.crop_scale_min, settings.crop_scale_max),
                ratio=ratio,
                interpolation=bicubic,
            ),
            transforms.RandomHorizontalFlip(settings.flip_p),
            transforms.RandomApply([transforms.ColorJitter(*jitter)], p=settings.jitter_p),
            transforms.RandomGrayscale(settings.grayscale_p),
            transforms.RandomApply([blur], p=settings.blur_p),
            transforms.RandomSolarize(128, p=settings.solarize_p),
            transforms.ToTensor(),
            transforms.Normalize(list(data.mean), list(data.std)),
        ]
    )
    return view


def tutorial_views(config: TrialConfig, data: ImageData) -> Views:
    """The views of the tutorial's loop."""
    size = config.image_size
    return Views(data, *(tutorial_view(view, size, data) for view in (config.view1, config.view2)))


class Tutorial:
    """The learner of most tutorials. `__call__` is one optimiser step; it returns the loss as a number.

    Of the configuration it reads the shapes, the heads' normalisation, and whether there are a predictor, a
    target of its own and a stop-gradient.
    """

    def __init__(self, config: TrialConfig, device: torch.device | str = "cpu") -> None:
        encoder, features = build_encoder(config)
        width, size = config.projector_width, config.projector_size
        self.encoder, self.stop_gradient = encoder, config.stop_gradient
        head = _head(features, width, size, config.projector_norm)
        self.online = nn.Sequential(encoder, head).to(device)
        self.target = self.online
        if not config.target_is_online:
            self.target = copy.deepcopy(self.online).requires_grad_(False)
        predictor = _head(size, config.predictor_width, size, config.predictor_norm)
        self.predictor = nn.Identity() if config.predictor == "none" else predictor.to(device)
        parameters = [*self.online.parameters(), *self.predictor.parameters()]
        self.optimizer = torch.optim.SGD(parameters, lr=0.05, momentum=0.9, weight_decay=5e-4)

    def __call__(self, view1_BCHW: Tensor, view2_BCHW: Tensor) -> float:
        q1, q2 = self.predictor(self.online(view1_BCHW)), self.predictor(self.online(view2_BCHW))
        with torch.set_grad_enabled(not self.stop_gradient):
            t1, t2 = self.target(view1_BCHW), self.target(view2_BCHW)
        loss = 4 - 2 * (functional.cosine_similarity(q1, t2) + functional.cosine_similarity(q2, t1)).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        if self.target is self.online:
            return float(loss.item())
        for averaged, parameter in zip(self.target.parameters(), self.online.parameters(), strict=True):
            averaged.data = 0.99 * averaged.data + 0.01 * parameter.data
        return float(loss.item())


def _head(inputs: int, hidden: int, outputs: int, norm: str) -> nn.Sequential:
    normalised = nn.BatchNorm1d(hidden) if norm == "batch" else nn.Identity()
    hidden_layers = nn.Linear(inputs, hidden), normalised, nn.ReLU(inplace=True)
    return nn.Sequential(*hidden_layers, nn.Linear(hidden, outputs))


def lightly_loop(config: TrialConfig, data: ImageData) -> tuple[Views, Step]:
    """Views and step of lightly's example.

    Raises:
        ModuleNotFoundError: lightly is not installed.
    """
    from lightly.transforms.byol_transform import BYOLView1Transform, BYOLView2Transform

    view1, view2 = (
        transform(
            input_size=config.image_size,
            gaussian_blur=settings.blur_p,
            solarization_prob=settings.solarize_p,
            min_scale=settings.crop_scale_min,
            normalize={"mean": list(data.mean), "std": list(data.std)},
        )
        for transform, settings in (
            (BYOLView1Transform, config.view1),
            (BYOLView2Transform, config.view2),
        )
    )
    return Views(data, view1, view2), _lightly_step(config)


def _lightly_step(config: TrialConfig) -> Step:
    from lightly.loss import NegativeCosineSimilarity
    from lightly.models.modules import BYOLPredictionHead, BYOLProjectionHead
    from lightly.models.utils import deactivate_requires_grad, update_momentum

    backbone, features = build_encoder(config)
    projection = BYOLProjectionHead(features, config.projector_width, config.projector_size)
    prediction = BYOLPredictionHead(config.projector_size, config.predictor_width, config.projector_size)
    backbone_momentum, projection_momentum = copy.deepcopy(backbone), copy.deepcopy(projection)
    deactivate_requires_grad(backbone_momentum)
    deactivate_requires_grad(projection_momentum)
    criterion = NegativeCosineSimilarity()
    trained = nn.ModuleList([backbone, projection, prediction])
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.06)

    def step(x0: Tensor, x1: Tensor) -> None:
        update_momentum(backbone, backbone_momentum, m=0.996)
        update_momentum(projection, projection_momentum, m=0.996)
        p0, p1 = (prediction(projection(backbone(x).flatten(start_dim=1))) for x in (x0, x1))
        z0, z1 = (projection_momentum(backbone_momentum(x).flatten(start_dim=1)).detach() for x in (x0, x1))
        loss = 0.5 * (criterion(p0, z1) + criterion(p1, z0))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def images_per_second(views: Views, step: Step, *, batch_size: int, steps: int, processes: int) -> float:
    """Trains for so many steps from a new DataLoader, which has so many processes of its own; how fast."""
    loader = DataLoader(views, batch_size, shuffle=True, drop_last=True, num_workers=processes)
    batches = _for_ever(loader)
    for _ in range(_WARM):
        step(*next(batches))
    start = time.perf_counter()
    for _ in range(steps):
        step(*next(batches))
    return steps * batch_size / (time.perf_counter() - start)


def _for_ever(loader: "DataLoader[tuple[Tensor, Tensor]]") -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield from loader
