"""Share of a trial's training time that its measurements take, at the cadence of the quickstart.

Blocks of training steps and every kind of measurement take turns in one run, on one thread, and the shares
are of the medians. A quickstart trial has one measurement at the start and one at the end, both with kNN, the
last with LiDAR, and nine between them. The linear probe, which it does not ask for, is timed beside them.
"""

import datetime
import platform
import statistics
import time
from collections.abc import Callable, Iterator

import torch

from byol.config import TrialConfig
from byol.data import ImageData, load_data
from byol.learner import Learner
from byol.measure.measurer import Measurer
from byol.presets import from_settings
from byol.train import batches
from sweeps.study import load_study

ROUNDS = 5
STEPS = 50


def steps_of(config: TrialConfig, data: ImageData, learner: Learner) -> Iterator[None]:
    """STEPS training steps at each `next`."""
    for step, views in enumerate(batches(config, data, learner.device, 0, config.steps), 1):
        learner.step(*views)
        if step % STEPS == 0:
            yield


def seconds(act: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def main() -> None:
    """Prints the median seconds of steps and measurements, and their shares of a trial's training."""
    torch.set_num_threads(1)
    reference = load_study("collapse-quickstart").trials()[0].settings
    config, data = from_settings(reference), load_data(str(reference["dataset"]))
    assert isinstance(data, ImageData)
    learner = Learner(config, train_images=len(data.train_images), device=torch.device("cpu"))
    measurer = Measurer(config, data, learner)
    steps = steps_of(config, data, learner)

    def measure(step: int) -> object:
        return measurer.measure(step=step, loss=0.0, samples_per_second=None)

    acts: dict[str, Callable[[], object]] = {
        "training steps": lambda: next(steps),
        "measurement": lambda: measure(config.eval_every),
        "at the start": lambda: measure(0),
        "at the end": lambda: measure(config.steps),
        "linear probe": lambda: measurer._probe(*measurer._features()),
    }
    next(steps)  # the first also import and allocate
    times: dict[str, list[float]] = {name: [] for name in acts}
    for _ in range(ROUNDS):
        for name, act in acts.items():
            times[name].append(seconds(act))
    middle = {name: statistics.median(values) for name, values in times.items()}
    training = middle["training steps"] / STEPS * config.steps
    between = config.steps // config.eval_every - 1
    whole = middle["at the start"] + between * middle["measurement"] + middle["at the end"]
    print(f"measurements: reference of collapse-quickstart, {ROUNDS} rounds in turns, one thread")
    print(f"{datetime.date.today()}, torch {torch.__version__}, {platform.processor() or platform.machine()}")
    for name, values in times.items():
        print(f"{name:15} median {middle[name]:.3f} s, {min(values):.3f} to {max(values):.3f}")
    print(f"training        {training:.1f} s for {config.steps} steps")
    print(f"measurements    {whole:.2f} s, {whole / training:.1%} of them")
    print(f"linear probe    {middle['linear probe'] / training:.1%} of them")


if __name__ == "__main__":
    main()
