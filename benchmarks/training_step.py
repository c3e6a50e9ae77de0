"""Images per second of one training process: this learner against the loop of most tutorials.

The plain loop augments each image with torchvision's PIL transforms in a DataLoader, makes two separate
forward passes through online and target network, and moves the target parameter by parameter. Both train the
same networks on the same images at the same batch size, alternately in one run, on one thread.
"""

import copy
import datetime
import platform
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from byol.data import ImageData, load_data
from byol.learner import Learner
from byol.presets import from_settings
from byol.train import batches

ROUNDS = 5
STEPS = 10
BATCH = 128
SETTINGS = {"image_size": 28, "batch_size": BATCH, "steps": 10_000, "precision": "fp32"}


class PilViews(Dataset[tuple[Tensor, Tensor]]):
    """Two views of each image by PIL transforms, one image at a time."""

    def __init__(self, data: ImageData, size: int) -> None:
        self.images = data.train_images.repeat(3, axis=1).transpose(0, 2, 3, 1)
        self.view1 = self._transform(size, blur_p=1.0, solarize_p=0.0)
        self.view2 = self._transform(size, blur_p=0.1, solarize_p=0.2)

    @staticmethod
    def _transform(size: int, *, blur_p: float, solarize_p: float) -> Callable[[object], Tensor]:
        steps: Callable[[object], Tensor] = transforms.Compose(
            [
                transforms.ToPILImage(),
                transforms.RandomResizedCrop(size, interpolation=transforms.InterpolationMode.BICUBIC),
                transforms.RandomHorizontalFlip(),
                transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.2, 0.1)], p=0.8),
                transforms.RandomGrayscale(0.2),
                transforms.RandomApply([transforms.GaussianBlur(3, (0.1, 2.0))], p=blur_p),
                transforms.RandomSolarize(128, p=solarize_p),
                transforms.ToTensor(),
                transforms.Normalize([0.286] * 3, [0.353] * 3),
            ]
        )
        return steps

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = np.ascontiguousarray(self.images[index])
        return self.view1(image), self.view2(image)


def this_learner(data: ImageData) -> Iterator[None]:
    """One step of this learner at each `next`."""
    config = from_settings(SETTINGS)
    device = torch.device("cpu")
    learner = Learner(config, train_images=len(data.train_images), device=device)
    for views in batches(config, data, device, 0, config.steps):
        learner.step(*views)
        yield


def plain_loop(data: ImageData) -> Iterator[None]:
    """One step of the loop of most tutorials at each `next`."""
    config = from_settings(SETTINGS)
    learner = Learner(config, train_images=len(data.train_images), device=torch.device("cpu"))
    online = nn.Sequential(learner.online.encoder, learner.online.projector).to(
        memory_format=torch.contiguous_format
    )
    target = copy.deepcopy(online).requires_grad_(False)
    predictor = learner.predictor
    optimizer = torch.optim.SGD([*online.parameters(), *predictor.parameters()], lr=0.05, momentum=0.9)
    loader = DataLoader(PilViews(data, config.image_size), config.batch_size, shuffle=True, drop_last=True)
    while True:
        for view1, view2 in loader:
            q1, q2 = predictor(online(view1)), predictor(online(view2))
            with torch.no_grad():
                t1, t2 = target(view1), target(view2)
            loss = (
                4 - 2 * (functional.cosine_similarity(q1, t2) + functional.cosine_similarity(q2, t1)).mean()
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
            for averaged, parameter in zip(target.parameters(), online.parameters(), strict=True):
                averaged.data = 0.99 * averaged.data + 0.01 * parameter.data
            yield


def main() -> None:
    """Prints the images per second of both, and the ratio of their medians."""
    torch.set_num_threads(1)
    data = load_data("fashion-mnist-8k")
    assert isinstance(data, ImageData)
    loops = {"this learner": this_learner(data), "plain loop": plain_loop(data)}
    rates: dict[str, list[float]] = {name: [] for name in loops}
    for loop in loops.values():  # the first steps also import and allocate
        for _ in range(3):
            next(loop)
    for _ in range(ROUNDS):
        for name, loop in loops.items():
            start = time.perf_counter()
            for _ in range(STEPS):
                next(loop)
            rates[name].append(STEPS * BATCH / (time.perf_counter() - start))
    print(f"training_step: {SETTINGS}, one thread, {ROUNDS} alternating rounds of {STEPS} steps")
    print(f"{datetime.date.today()}, torch {torch.__version__}, {platform.processor() or platform.machine()}")
    for name, values in rates.items():
        spread = f"{min(values):.0f} to {max(values):.0f}"
        print(f"{name:13} median {statistics.median(values):6.0f} images/s, {spread}")
    medians = [statistics.median(values) for values in rates.values()]
    print(f"ratio         {medians[0] / medians[1]:.2f}")
