"""Parts of the user's own: found without being run, identified, checked, built, and called."""

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from byol import checkpoint, files, own_parts, part_source
from byol.config import TrialConfig
from byol.data import DataError, ImageData, load_data
from byol.encoder_file import load_encoder
from byol.errors import ConfigError
from byol.learner import Learner
from byol.measure.metrics import Metrics
from byol.networks import build_encoder
from byol.own_parts import OtherPartError, PartError, check_source
from byol.part_checks import check_parts
from byol.part_source import find, forget
from byol.presets import from_settings
from byol.tensor_file import CheckpointError
from byol.train import train
from tests.own_package import fresh_imports, write_example

ENCODER = {"encoder": "mypkg.models:make_encoder", "encoder_norm": "native"}
SMALL = {
    "train_images": 64,
    "batch_size": 16,
    "steps": 4,
    "eval_every": 2,
    "eval_images": 32,
    "image_size": 12,
    "projector_width": 16,
    "projector_size": 8,
    "predictor_width": 16,
    "precision": "fp32",
}


@pytest.fixture(autouse=True)
def package(tmp_path: Path) -> Iterator[Path]:
    """The folder of the example's package, from which this process may import."""
    for _ in fresh_imports("mypkg", "single"):
        write_example(tmp_path)
        sys.path.append(str(tmp_path))
        yield tmp_path / "mypkg"


def write_single(folder: Path, text: str) -> None:
    """Writes the module `single` to a folder; what was found of it before is forgotten."""
    (folder / "single.py").write_text(text)
    forget()


def own(folder: Path, text: str) -> dict[str, Any]:
    """Settings with an encoder of this source, which is named `make`."""
    write_single(folder.parent, text)
    return {**SMALL, "encoder": "single:make", "encoder_norm": "native"}


def metrics_of(settings: dict[str, Any], **options: Any) -> list[Metrics]:
    data = load_data("fashion-mnist-8k", train_images=64)
    return list(train(from_settings(settings), data, device="cpu", **options))


def test_name_settings_and_source_are_the_identity(package: Path) -> None:
    config = from_settings({**ENCODER, "encoder.width": 16})
    settings = config.to_settings()
    assert settings["encoder.width"] == 16
    assert settings["encoder_code"] == find(ENCODER["encoder"]).code
    assert from_settings(settings) == config
    with (package / "losses.py").open("a") as file:
        file.write("# changed\n")
    forget()
    assert from_settings({**ENCODER, "encoder.width": 16}) != config, "any file of the package counts"
    assert from_settings(settings) == config, "a digest that is known is not looked for"
    assert "mypkg" not in sys.modules, "nothing has been imported"


def test_without_own_parts_nothing_is_added() -> None:
    assert not any(
        key.endswith("_code") or key in ("objective", "metrics") for key in TrialConfig().to_settings()
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoder": "mypkgg.models:make_encoder"}, "there is no module mypkgg in the study's folder"),
        (
            {"encoder": "mypkg.modles:make_encoder"},
            'there is no module modles in mypkg (did you mean "models"?)',
        ),
        (
            {"encoder": "mypkg.models:make_encodr"},
            '(did you mean "make_encoder"?), but got \'mypkg.models:make',
        ),
        ({"encoder": "os:getcwd"}, "os is of Python's own library"),
        ({"encoder.widht": 3}, 'is not an argument of mypkg.models:make_encoder (did you mean "width"?)'),
        ({"encoder.width": float("nan")}, "encoder.width: must be text, a finite number, true or false"),
        ({"encoder_norm": "batch"}, 'encoder_norm: must be "native" for encoder mypkg.models:make_encoder'),
        (
            {"encoder": "tiny", "encoder_norm": "batch", "encoder.norm": "x"},
            "encoder tiny has none of its own",
        ),
        ({"encoder": "tiny", "encoder_norm": "batch", "encoder.norm": 1}, '(did you mean "encoder_norm"?)'),
        (
            {"encoder": "tiny", "encoder_norm": "batch", "encoder_code": "ab"},
            "encoder_code: must be left out",
        ),
        ({"encoder": "timm/resnet10t", "encoder.pretrained": True}, "encoder.pretrained: must be left out"),
        ({"objective": "mypkg.models:make_encoder"}, "objective: must take 3 arguments before its settings"),
        (
            {"objective": "mypkg.losses:distance", "negatives_weight": 1},
            "negatives_weight: must be left out with",
        ),
        ({"objective": "bulit-in"}, "objective: must be one of built-in, MODULE:NAME (did you mean"),
        ({"metrics": "spread"}, "metrics: must be MODULE:NAME, or several of them"),
        (
            {"metrics": "mypkg.metrics:spread,mypkg.metrics:spread"},
            "metrics: must be functions of different names",
        ),
        (
            {"dataset": "mypkg.data:lod"},
            "dataset: must name a part that can be found, but there is no lod in",
        ),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_imported(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        from_settings({**ENCODER, **settings})
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "mypkg" not in sys.modules


def test_a_setting_without_a_default_is_asked_for(package: Path) -> None:
    settings = own(package, "def make(width, *, depth=1): ...\n")
    with pytest.raises(ConfigError, match=r"needs the setting encoder\.width, which has no default"):
        from_settings(settings)
    from_settings({**settings, "encoder.width": 1})


def test_the_arguments_of_a_class_are_those_of_its_init(package: Path) -> None:
    text = "class make:\n    def __init__(self, width, *, depth=2):\n        ...\n"
    write_single(package.parent, text)
    settings = {"encoder": "single:make", "encoder_norm": "native"}
    assert from_settings({**settings, "encoder.width": 3, "encoder.depth": 4}).encoder == "single:make"
    with pytest.raises(ConfigError, match=r"needs the setting encoder\.width, which has no default"):
        from_settings(settings)
    with pytest.raises(ConfigError, match=r'is not an argument of single:make \(did you mean "width"\?\)'):
        from_settings({**settings, "encoder.widht": 3})


def test_a_source_that_is_not_python_is_named_with_its_line(package: Path) -> None:
    with pytest.raises(ConfigError, match=r"single\.py:2: is not Python: "):
        from_settings(own(package, "def make():\n    return (\n"))


def test_weights_come_from_the_seed_parameter_by_parameter(package: Path) -> None:
    source = "from torch import nn\ndef make(wide=False):\n    return nn.Sequential("
    rest = "nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(400, 16 if wide else 8))\n"
    settings = own(package, source + rest)
    state = torch.get_rng_state()
    (first, features), (again, _), (wide, _), (other, _) = (
        build_encoder(from_settings({**settings, **changes}))
        for changes in ({}, {}, {"encoder.wide": True}, {"seed": 1})
    )
    assert torch.equal(torch.get_rng_state(), state), "the global generator is left alone"
    assert features == 8
    for one, two in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)
    assert torch.equal(first[0].weight, wide[0].weight), "common random numbers"  # type: ignore[index]
    assert not torch.equal(first[0].weight, other[0].weight)  # type: ignore[index]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 3", "must return a torch.nn.Module, but returned a int"),
        ("raise RuntimeError('no\\nsuch size')", "raised RuntimeError: no such size"),
        (
            "return nn.Conv2d(3, 4, 3)",
            "must turn images [2, 3, 12, 12] into [2, F], but returned [2, 4, 10, 10]",
        ),
        ("return nn.Linear(5, 5)", "raised RuntimeError: "),
        ("return nn.Sequential(nn.Flatten(), nn.LazyLinear(4))", "must have parameters with a shape"),
        (
            "return nn.Sequential(nn.Flatten(), nn.Linear(432, 4), nn.Dropout(0.1))",
            "must not draw random numbers",
        ),
    ],
)
def test_an_encoder_that_does_not_fit_is_named(package: Path, body: str, message: str) -> None:
    settings = own(package, f"from torch import nn\ndef make():\n    {body}\n")
    with pytest.raises(PartError) as raised:
        check_parts(from_settings(settings))
    assert str(raised.value).startswith(f"encoder single:make: {message}")
    assert "\n" not in str(raised.value)


def test_another_source_is_not_run(package: Path) -> None:
    config = from_settings({**ENCODER, **SMALL})
    with (package / "models.py").open("a") as file:
        file.write("# changed\n")
    with pytest.raises(
        OtherPartError, match=r"the digest of all Python files in .*mypkg is [0-9a-f]{12}, and not "
    ):
        build_encoder(config)
    forget()
    changed = from_settings({**ENCODER, **SMALL})
    build_encoder(changed)
    with (package / "models.py").open("a") as file:
        file.write("# again\n")
    forget()
    with pytest.raises(OtherPartError, match="has changed since this process imported it"):
        build_encoder(from_settings({**ENCODER, **SMALL}))


def test_what_was_imported_before_is_used_only_if_it_is_the_source(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_module("mypkg.models")
    models = package / "models.py"
    models.write_text(models.read_text().replace("width=32", "width=8"))
    forget()
    changed = from_settings({**ENCODER, **SMALL})
    with pytest.raises(OtherPartError) as refused:
        build_encoder(changed)
    problem = "this process has imported mypkg already, and "
    assert str(refused.value).startswith(f"encoder mypkg.models:make_encoder: {problem}{package}/")
    assert str(refused.value).endswith(".py may have changed since; start a new process")
    os.utime(models, (0, 0))
    os.utime(package / "__init__.py", (0, 0))
    with pytest.raises(OtherPartError, match="may have changed"):  # by the time of the change itself
        build_encoder(changed)
    monkeypatch.setattr(part_source, "_STARTED", time.time() + 1)
    build_encoder(changed)  # as if the process had begun after the last change


def test_a_module_that_has_stayed_as_it_is_may_be_imported_before(package: Path) -> None:
    """As a package does that trains by itself; only what is imported counts."""
    lines = (
        "import sys, pathlib, mypkg.models",
        "from byol import backbones, presets",
        "pathlib.Path('mypkg/losses.py').open('a').write('# changed')",
        f"settings = {dict(ENCODER, image_size=12)!r}",
        "print(backbones.own_encoder(presets.from_settings(settings))[1])",
        "pathlib.Path('mypkg/models.py').touch()",
        "from byol import own_parts; own_parts._imported.clear()",
        "backbones.own_encoder(presets.from_settings(settings))",
    )
    time.sleep(0.05)  # a clock tick and more, in which the process's start is known
    root = str(Path(__file__).parents[2])
    shown = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        cwd=package.parent, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert shown.stdout == "32\n", shown.stderr
    assert "models.py may have changed since; start a new process" in shown.stderr


def test_a_source_that_is_not_here_is_no_missing_setting(package: Path) -> None:
    with pytest.raises(OtherPartError, match="encoder nowhere:make: there is no module nowhere"):
        check_source("encoder", "nowhere:make", "abc")


def test_a_trial_resumes_bit_for_bit_and_not_under_other_code(tmp_path: Path, package: Path) -> None:
    settings = {**SMALL, **ENCODER, "objective": "mypkg.losses:distance", "objective.power": 1}
    whole = [metrics.loss for metrics in metrics_of(settings)]
    folder = tmp_path / "trial"
    data = load_data("fashion-mnist-8k", train_images=64)
    started = train(from_settings(settings), data, device="cpu", checkpoint_folder=folder, checkpoint_every=1)
    list(itertools.islice(started, 2))
    started.close()  # type: ignore[attr-defined]
    assert [m.loss for m in metrics_of(settings, checkpoint_folder=folder)] == whole[1:]
    learner = Learner(from_settings(settings), train_images=64, device=torch.device("cpu"))
    checkpoint.save_state(learner, folder)
    with (package / "losses.py").open("a") as file:
        file.write("# changed\n")
    for _ in fresh_imports("mypkg"):
        sys.path.append(str(package.parent))
        other = Learner(from_settings(settings), train_images=64, device=torch.device("cpu"))
        assert checkpoint.load_state(other, folder) == 0


def test_a_file_does_not_choose_what_runs(tmp_path: Path, package: Path) -> None:
    metrics_of({**SMALL, **ENCODER}, checkpoint_folder=tmp_path)
    path = tmp_path / files.ENCODER
    for _ in fresh_imports("mypkg"):
        sys.path.append(str(package.parent))
        with pytest.raises(CheckpointError, match=r"names the encoder mypkg.models:make_encoder, whose code"):
            load_encoder(path)
        assert "mypkg" not in sys.modules
        encoder = load_encoder(path, own=True)
        assert encoder.module(torch.zeros(2, 3, 12, 12)).shape == (2, encoder.features)
        with (package / "models.py").open("a") as file:
            file.write("# another\n")
        with pytest.raises(OtherPartError, match="and not"):
            load_encoder(path, own=True)


def test_layers_may_share_weights(tmp_path: Path, package: Path) -> None:
    layers = "a, b = nn.Linear(432, 432), nn.Linear(432, 432)\n    b.weight = a.weight\n"
    rest = "    return nn.Sequential(nn.Flatten(), a, nn.ReLU(), b)\n"
    settings = own(package, f"from torch import nn\ndef make():\n    {layers}{rest}")
    whole = [metrics.loss for metrics in metrics_of(settings)]
    data = load_data("fashion-mnist-8k", train_images=64)
    folder = tmp_path / "trial"
    started = train(from_settings(settings), data, device="cpu", checkpoint_folder=folder, checkpoint_every=1)
    list(itertools.islice(started, 2))
    started.close()  # type: ignore[attr-defined]
    assert [m.loss for m in metrics_of(settings, checkpoint_folder=folder)] == whole[1:]
    assert {"1.weight", "3.weight"} <= set(load_file(folder / files.ENCODER))


@pytest.mark.timeout(60)  # trains twice
def test_the_built_in_loss_as_an_objective_trains_alike(package: Path) -> None:
    """BYOL's loss, written as a part: the same losses as the built-in one."""
    write_single(
        package.parent,
        "from byol.losses import views_loss\n"
        "def make(predictions, targets, projections):\n"
        "    assert len(predictions) == len(targets) == len(projections) == 2\n"
        "    assert not targets[0].requires_grad and projections[0].requires_grad\n"
        "    return views_loss(predictions, dict(enumerate(targets)), average_targets=False, norm='l2')\n",
    )
    for changes in (
        {},
        {"tau_base": 0, "tau_schedule": "constant"},
        {"accumulate": 2, "variance_weight": 1.0},
    ):
        mine = metrics_of({**SMALL, **changes, "objective": "single:make"})
        assert [m.loss for m in mine] == [m.loss for m in metrics_of({**SMALL, **changes})]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 1.0", "must return a 0-dim tensor of floats, but returned 1.0"),
        ("return predictions[0]", "must return a 0-dim tensor of floats, but returned shape [8, 8]"),
        ("return targets[0].mean()", "must return a loss that depends on the predictions"),
        ("return predictions[0].mean() * targets[5].mean()", "raised IndexError: list index out of range"),
        ("return predictions[0].mean() * torch.rand(())", "must not draw random numbers"),
    ],
)
def test_an_objective_that_does_not_fit_is_named(package: Path, body: str, message: str) -> None:
    source = f"import torch\ndef make(predictions, targets, projections):\n    {body}\n"
    write_single(package.parent, source)
    with pytest.raises(PartError) as raised:
        check_parts(from_settings({**SMALL, "objective": "single:make"}))
    assert str(raised.value).startswith(f"objective single:make: {message}")


def test_metrics_are_those_of_the_measured_embeddings(package: Path) -> None:
    write_single(
        package.parent,
        "def std(y, z, labels):\n"
        "    return (y / y.norm(dim=1, keepdim=True)).std(dim=0, correction=0).mean() * y.shape[1] ** 0.5\n"
        "def shapes(y, z, labels):\n"
        "    return {'y': y.shape[1], 'z': z.shape[1], 'n': len(labels)}\n",
    )
    for metrics in metrics_of({**SMALL, "metrics": "single:std, single:shapes"}):
        assert metrics.own["std"] == pytest.approx(metrics.representation_std, rel=1e-5)
        assert {key: metrics.own[f"shapes_{key}"] for key in "yzn"} == {"y": 128, "z": 8, "n": 32}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "return y",
            "must return a number, or a mapping to numbers, but returned a tensor of shape [8, 128]",
        ),
        ("return {'a b': 1}", "must have columns of their own"),
        ("return y.nonsense", "raised AttributeError: "),
    ],
)
def test_a_metric_that_does_not_fit_is_named(package: Path, body: str, message: str) -> None:
    write_single(package.parent, f"def make(y, z, labels):\n    {body}\n")
    with pytest.raises(PartError) as raised:
        check_parts(from_settings({**SMALL, "metrics": "single:make"}))
    assert str(raised.value).startswith(f"metrics single:make: {message}")


def test_a_trial_that_diverges_does_not_fail_on_a_metric(package: Path) -> None:
    write_single(package.parent, "def make(y, z, labels):\n    assert y.isfinite().all()\n    return 1.0\n")
    found = metrics_of({**SMALL, "metrics": "single:make", "lr": 1e30, "lr_schedule": "constant"})
    assert [each.own for each in found] == [{"make": 1.0}, {}]
    assert np.isnan(found[-1].representation_std)


def test_parts_are_tried_out_on_the_sizes_of_a_trial(package: Path) -> None:
    write_single(
        package.parent,
        "def metric(y, z, labels):\n"
        "    assert (y.shape[1], z.shape[1]) == (F, D), (y.shape, z.shape)\n"
        "    return 1\n"
        "def loss(predictions, targets, projections):\n"
        "    assert {x.shape[1] for x in (*predictions, *targets, *projections)} == {D}, targets[0].shape\n"
        "    return predictions[0].mean()\n",
    )
    single = import_module("single")
    own_parts._imported["single"] = find("single:loss").code
    parts = {**SMALL, "metrics": "single:metric", "objective": "single:loss"}
    for settings, features, size in (
        ({}, 128, 8),
        ({"projector_depth": 0}, 128, 128),
        ({**ENCODER, "encoder.width": 24}, 24, 8),
        ({**ENCODER, "encoder.width": 24, "projector_depth": 0}, 24, 24),
    ):
        vars(single).update(F=features, D=size)
        check_parts(from_settings({**parts, **settings}))


def test_data_of_a_function(package: Path) -> None:
    data = load_data('mypkg.data:load {"count": 64}', train_images=40)
    assert isinstance(data, ImageData)
    assert data.train_images.shape == (40, 3, 12, 12)
    assert data.test_images.shape == (16, 3, 12, 12)
    assert data.test_labels is not None
    columns = [int(image.sum(axis=(0, 1)).argmax()) for image in data.test_images]
    assert columns == [3 * int(label) for label in data.test_labels], "[N, H, W, C] became [N, C, H, W]"
    assert data.digest == load_data('mypkg.data:load {"count": 64}', train_images=40).digest
    assert data.digest != load_data('mypkg.data:load {"count": 68}', train_images=40).digest


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (
            "x",
            "must return training images, their labels, test images and their labels, but returned ndarray",
        ),
        ("x, None, x / 255, None", "test images must be uint8, [N, H, W, C] or [N, C, H, W]"),
        ("x, [0, 1], x, None", "labels of training images must be None or 6 whole numbers"),
        ("x, None, x[:, :, :, :1], None", "must have the same number of channels"),
        ("1 / 0", "raised ZeroDivisionError: division by zero"),
    ],
)
def test_data_that_does_not_fit_is_named(package: Path, returned: str, message: str) -> None:
    source = (
        f"import numpy as np\ndef make():\n    x = np.zeros((6, 9, 9, 3), np.uint8)\n    return {returned}\n"
    )
    write_single(package.parent, source)
    with pytest.raises(DataError) as raised:
        load_data("single:make")
    assert message in str(raised.value)
    assert str(raised.value).startswith("dataset single:make: ")


def test_gray_images_without_labels(package: Path) -> None:
    source = "import numpy as np\ndef make():\n    x = np.arange(324, dtype=np.uint16).astype(np.uint8)"
    write_single(package.parent, f"{source}.reshape(4, 9, 9)\n    return x, None, x[:2], None\n")
    data = load_data("single:make")
    assert data.test_images.shape == (2, 1, 9, 9)
    assert (data.train_labels, data.test_labels) == (None, None)
    assert np.array_equal(data.test_images[1, 0, 0], np.arange(81, 90))


def test_a_model_of_timm() -> None:
    pytest.importorskip("timm")
    settings = {**SMALL, "encoder": "timm/vit_tiny_patch16_224", "encoder_norm": "native", "image_size": 32}
    with pytest.raises(PartError, match="encoder timm/vit_tiny_patch16_224: raised "):
        check_parts(from_settings(settings))
    config = from_settings({**settings, "encoder.img_size": 32, "encoder.depth": 2})
    encoder, features = build_encoder(config)
    assert features == 192
    assert encoder.train()(torch.zeros(2, 3, 32, 32)).shape == (2, 192)
    with pytest.raises(
        ConfigError, match='must be a model of the installed timm \\(did you mean "resnet10t"'
    ):
        check_parts(from_settings({**settings, "encoder": "timm/resnet10tt"}))
