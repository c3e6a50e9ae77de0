"""The plain way of a sweep: the tutorial's loop as a trainable of Ray Tune. Child of the part `sweep`:

    python -m benchmarks.plain_tune STUDY TRIALS FOLDER

trains the first TRIALS trials of a study, with the shapes, steps, batch size and augmentations of each, and
leaves a file in FOLDER for each. A trial reports its loss and the standard deviation of the representation of
500 test images, as often as the study measures; it has no kNN accuracy and no spectrum, which this project's
trials have.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from ray import tune

from byol.data import ImageData
from byol.presets import from_settings


def train(config: dict[str, Any], *, data: ImageData, folder: str) -> None:
    """One trial."""
    import torch
    from torch.nn import functional
    from torch.utils.data import DataLoader

    from benchmarks.peers import Tutorial, tutorial_views

    begin = time.monotonic()
    trial = from_settings(config["settings"])
    torch.manual_seed(trial.seed)
    model = Tutorial(trial)
    loader = DataLoader(tutorial_views(trial, data), trial.batch_size, shuffle=True, drop_last=True)
    test = torch.from_numpy(data.test_images[:500].copy()).float().div(255).sub(data.mean[0]).div(data.std[0])
    test = functional.interpolate(test.expand(-1, 3, -1, -1), trial.image_size, mode="bicubic")
    step = 0
    while step < trial.steps:
        for view1, view2 in loader:
            loss = model(view1, view2)
            step += 1
            if step % trial.eval_every == 0 or step == trial.steps:
                model.encoder.eval()
                with torch.no_grad():
                    features = functional.normalize(model.encoder(test))
                model.encoder.train()
                std = features.std(dim=0).mean().item() * features.shape[1] ** 0.5
                tune.report({"loss": loss, "representation_std": std})
            if step == trial.steps:
                break
    times = {"begin": begin, "end": time.monotonic()}
    Path(folder, f"{time.monotonic_ns()}.json").write_text(json.dumps(times))


def main(study: str, trials: str, folder: str) -> None:
    """Runs the sweep with Tune's defaults, one CPU a trial."""
    from byol.data import load_data
    from sweeps.study import load_study

    chosen = load_study(study).trials()[: int(trials)]
    data = load_data(str(chosen[0].settings["dataset"]))
    Path(folder).mkdir(parents=True, exist_ok=True)
    trainable = tune.with_parameters(train, data=data, folder=str(Path(folder).absolute()))
    results = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={"settings": tune.grid_search([dict(trial.settings) for trial in chosen])},
        run_config=tune.RunConfig(storage_path=str(Path(folder).absolute() / "ray"), verbose=0),
    ).fit()
    assert not results.errors, results.errors


if __name__ == "__main__":
    main(*sys.argv[1:])
