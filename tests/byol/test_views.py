"""The draws, and the composed view against the same operations done one image at a time by Pillow."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as tvf
from PIL import Image
from scipy import stats
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.transforms import InterpolationMode, RandomResizedCrop

from byol import image_ops, views
from byol.config import ViewConfig
from tests.byol.test_image_ops import levels, photographs, pil

PLAIN = ViewConfig(
    crop_scale_min=1.0, crop_ratio_min=1.0, crop_ratio_max=1.0, flip_p=0, jitter_p=0, grayscale_p=0
)
"""Nothing but a crop of the whole image."""

BUSY = ViewConfig(blur_p=0.5, solarize_p=0.3, grayscale_p=0.3, hue=0.2, saturation=0.5)
"""Every operation often, and often not."""


def draws(count: int, seed: int = 0) -> Tensor:
    return views.draw(torch.Generator().manual_seed(seed), count)


def view(images: Tensor, draws_BS: Tensor, settings: ViewConfig, size: int = 20, **more: bool) -> Tensor:
    """A view that is not normalised: 0 to 1."""
    return views.make_view(images, draws_BS, settings, size=size, mean=(0.0,), std=(1.0,), **more)


def value(row: Tensor, name: str) -> float:
    return float(row[views.COLUMNS[name]])


def between(row: Tensor, name: str, low: float, high: float) -> float:
    return low + (high - low) * value(row, name)


def pillow_view(
    image: Image.Image, row: Tensor, s: ViewConfig, size: int, *, crop: bool = True
) -> Image.Image:
    """The oracle: one image, one operation at a time, in the order of BYOL's appendix B."""
    if crop:
        box = views.crop_boxes(row[None], image.height, image.width, s)[0].tolist()
        image = tvf.resized_crop(image, *box, [size, size], InterpolationMode.BICUBIC)
    if value(row, "flip") < s.flip_p:
        image = tvf.hflip(image)
    if value(row, "jitter") < s.jitter_p:
        operations = {
            "brightness": tvf.adjust_brightness,
            "contrast": tvf.adjust_contrast,
            "saturation": tvf.adjust_saturation,
            "hue": tvf.adjust_hue,
        }
        for name in sorted(operations, key=lambda name: value(row, f"{name}_order")):
            strength = getattr(s, name)
            low, high = (-strength, strength) if name == "hue" else (max(0, 1 - strength), 1 + strength)
            if strength:
                image = operations[name](image, between(row, name, low, high))
    if value(row, "grayscale") < s.grayscale_p:
        image = tvf.to_grayscale(image, 3 if image.mode == "RGB" else 1)
    if value(row, "blur") < s.blur_p:
        sigma = between(row, "blur_sigma", s.blur_sigma_min, s.blur_sigma_max)
        taps = 2 * image_ops.blur_radius(size) + 1
        image = tvf.gaussian_blur(image, [taps, taps], [sigma, sigma])
    if value(row, "solarize") < s.solarize_p:
        image = tvf.solarize(image, math.ceil(255 * s.solarize_threshold))
    return image


def soft(count: int, channels: int, side: int) -> Tensor:
    return 64 + photographs(count, channels, side, side) // 2


# Draws


def test_draws_are_uniform_independent_and_those_of_the_generator() -> None:
    table = draws(4000)
    assert table.shape == (4000, views.SLOTS)
    assert table.dtype == torch.float32
    assert torch.equal(table, draws(4000))
    assert not torch.equal(table, draws(4000, seed=1))
    for column in table.T.numpy():
        assert stats.kstest(column, "uniform").pvalue > 1e-4
    correlation = np.corrcoef(table.T.numpy()) - np.eye(views.SLOTS)
    assert np.abs(correlation).max() < 5 / math.sqrt(4000)


def test_columns_cover_the_table_once() -> None:
    covered = [i for columns in views.COLUMNS.values() for i in range(columns.start, columns.stop)]
    assert covered == list(range(views.SLOTS))


# Crop boxes


def test_crop_boxes_are_torchvisions_in_distribution() -> None:
    settings = ViewConfig()
    ours = views.crop_boxes(draws(4000), 48, 36, settings).numpy()
    torch.manual_seed(0)
    image = torch.empty(3, 48, 36)
    theirs = np.array([RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(4000)])
    for column in range(4):
        assert stats.ks_2samp(ours[:, column], theirs[:, column]).pvalue > 1e-3
    assert stats.ks_2samp(ours[:, 2] * ours[:, 3], theirs[:, 2] * theirs[:, 3]).pvalue > 1e-3
    assert stats.ks_2samp(ours[:, 2] / ours[:, 3], theirs[:, 2] / theirs[:, 3]).pvalue > 1e-3


def test_crop_boxes_by_hand() -> None:
    row = torch.full((1, views.SLOTS), 0.5)
    area, ratio = row[0, views.COLUMNS["crop_area"]], row[0, views.COLUMNS["crop_ratio"]]
    area[:2], ratio[:2] = 1 - 2**-24, 1 - 2**-24  # the whole area at 4/3 is wider than the image: two misses
    area[2], ratio[2] = 0.25, 0.5  # 0.08 + 0.92 / 4 = 0.31 of 100 x 100 at 1/1: 55.68, so 56
    row[0, views.COLUMNS["crop_top"]] = 1 - 2**-24  # the last of 0..44
    row[0, views.COLUMNS["crop_left"]] = 0
    assert views.crop_boxes(row, 100, 100, ViewConfig()).tolist() == [[44, 0, 56, 56]]


CLIP = ViewConfig(crop_sampler="clip")


def test_clipped_boxes_are_deepminds_code() -> None:
    """`_decode_and_random_crop` of deepmind-research, byol/utils/dataset.py, one image at a time."""
    table = draws(500)
    for height, width in ((48, 36), (30, 90), (3, 2)):
        boxes = views.crop_boxes(table, height, width, CLIP).tolist()
        for row, box in zip(table.double(), boxes, strict=True):
            area, ratio = (float(row[views.COLUMNS[name]][0]) for name in ("crop_area", "crop_ratio"))
            target_area = (0.08 + 0.92 * area) * height * width
            aspect_ratio = math.exp(math.log(3 / 4) + ratio * (math.log(4 / 3) - math.log(3 / 4)))
            w = min(round(math.sqrt(target_area * aspect_ratio)), width)
            h = min(round(math.sqrt(target_area / aspect_ratio)), height)
            top, left = (
                int(value(row, name) * n)
                for name, n in (("crop_top", height - h + 1), ("crop_left", width - w + 1))
            )
            assert box == [top, left, h, w]


def test_samplers_agree_where_the_first_box_fits() -> None:
    table = draws(2000)
    rejecting, clipping = (views.crop_boxes(table, 96, 96, s) for s in (ViewConfig(), CLIP))
    same = (rejecting == clipping).all(dim=1)
    assert 0.8 < same.float().mean() < 0.9  # 14 % do not fit
    assert (clipping[~same, 2:] == 96).any(dim=1).all()


def mean_area(side: int, *, clip: bool) -> float:
    """Expected area of a box in a square image, as a share of it, on a fine grid of areas and ratios."""
    share = (np.arange(2000) + 0.5) / 2000 * 0.92 + 0.08
    ratio = np.exp(((np.arange(2000) + 0.5) / 2000 * 2 - 1) * np.log(4 / 3))
    sides = [
        np.round(np.sqrt(share[:, None] * side**2 * power)) for power in (ratio[None, :], 1 / ratio[None, :])
    ]
    if clip:
        return float((np.minimum(sides[0], side) * np.minimum(sides[1], side)).mean()) / side**2
    fits = (sides[0] <= side) & (sides[1] <= side)
    return float((sides[0] * sides[1])[fits].mean()) / side**2


@pytest.mark.parametrize("side", [28, 96, 224])
@pytest.mark.parametrize("sampler", ["reject", "clip"])
def test_the_mean_area_is_the_known_one(side: int, sampler: str) -> None:
    """.533 clipped and .482 rejected, as measured on DeepMind's code and on this; the latter at 96 pixels."""
    boxes = views.crop_boxes(draws(100_000), side, side, ViewConfig(crop_sampler=sampler)).double()
    areas = boxes[:, 2] * boxes[:, 3] / side**2
    error = areas.std().item() / math.sqrt(len(areas))
    assert abs(areas.mean().item() - mean_area(side, clip=sampler == "clip")) < 3.5 * error
    if sampler == "clip" or side == 96:
        published = 0.533 if sampler == "clip" else 0.482
        assert abs(areas.mean().item() - published) < 3.5 * error + 0.0005


@pytest.mark.parametrize(
    ("height", "width", "box"),
    [(100, 20, [36, 0, 27, 20]), (20, 100, [0, 36, 20, 27]), (20, 20, [0, 0, 20, 20])],
)
def test_crop_falls_back_to_the_central_box(height: int, width: int, box: list[int]) -> None:
    row = torch.full((1, views.SLOTS), 0.999)  # 1 x the area at 4/3 never fits
    row[0, views.COLUMNS["crop_ratio"]] = 0.999 if height <= width else 0.001
    result = views.crop_boxes(row, height, width, ViewConfig(crop_scale_min=0.99))
    image = torch.empty(1, height, width)
    torch.manual_seed(0)
    theirs = RandomResizedCrop.get_params(image, [5.0, 6.0], [3 / 4, 4 / 3])  # nothing fits
    assert result[0].tolist() == list(theirs) == box


def test_one_row_on_its_own_gives_the_box_it_has_in_the_batch() -> None:
    table = draws(50)
    boxes = views.crop_boxes(table, 37, 61, ViewConfig())
    assert boxes.dtype == torch.int64
    assert (boxes[:, 0] + boxes[:, 2] <= 37).all()
    assert (boxes[:, 1] + boxes[:, 3] <= 61).all()
    for index in range(50):
        assert torch.equal(views.crop_boxes(table[index : index + 1], 37, 61, ViewConfig())[0], boxes[index])


# The composed view


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [20, 28])
def test_view_is_the_pillow_pipeline(channels: int, size: int) -> None:
    images = soft(64, channels, 28)
    table = draws(64)
    ours = view(images, table, BUSY, size) * 255
    for image, row, ours_CSS in zip(images, table, ours, strict=True):
        theirs = levels(pillow_view(pil(image), row, BUSY, size)).expand(3, -1, -1)
        difference = (ours_CSS - theirs).abs()
        # Pillow rounds to 8 bits up to eight times, of which the hue's rounding is the coarsest.
        assert difference.mean() <= (2.5 if channels == 3 else 1.5)
        assert difference.max() <= (14 if channels == 3 else 4)


def test_view_without_hue_is_the_pillow_pipeline_to_rounding() -> None:
    settings = dataclasses.replace(BUSY, hue=0.0)
    images, table = soft(64, 3, 28), draws(64)
    ours = view(images, table, settings) * 255
    for image, row, ours_CSS in zip(images, table, ours, strict=True):
        difference = (ours_CSS - levels(pillow_view(pil(image), row, settings, 20))).abs()
        assert difference.mean() <= 2
        assert difference.max() <= 6


def test_crops_made_elsewhere_give_the_same_view() -> None:
    """What a worker cropped with the boxes of the same draws ends as the view made here, to rounding."""
    images, table = soft(32, 3, 28), draws(32)
    boxes = views.crop_boxes(table, 28, 28, BUSY).tolist()
    crops = torch.stack(
        [
            torch.from_numpy(np.array(tvf.resized_crop(pil(x), *box, [20, 20], InterpolationMode.BICUBIC)))
            for x, box in zip(images, boxes, strict=True)
        ]
    ).permute(0, 3, 1, 2)
    difference = (view(crops, table, BUSY, cropped=True) - view(images, table, BUSY)).abs() * 255
    assert difference.mean() <= 0.6
    assert difference.quantile(0.99) <= 4
    # The flip happens here: it is not part of the crop.
    assert not torch.equal(
        view(crops, table, PLAIN, cropped=True), view(crops, table, _with(flip_p=1.0), cropped=True)
    )


@pytest.mark.parametrize("cropped", [False, True])
def test_float_images_are_the_same_as_bytes(cropped: bool) -> None:
    images, table = photographs(16, 3, 24, 24), draws(16)
    of_floats = view(images / 255, table, BUSY, 24, cropped=cropped)
    torch.testing.assert_close(of_floats, view(images, table, BUSY, 24, cropped=cropped), atol=1e-5, rtol=0)


@pytest.mark.parametrize("settings", [BUSY, ViewConfig(blur_p=1.0), ViewConfig(contrast=0.0, solarize_p=1.0)])
def test_gray_on_one_channel_is_gray_on_three(settings: ViewConfig) -> None:
    images, table = photographs(64, 1, 28, 28), draws(64)
    three = view(images.expand(-1, 3, -1, -1), table, settings)
    assert (three[:, :1] - three).abs().max() < 3e-7
    torch.testing.assert_close(view(images, table, settings), three, atol=2e-6, rtol=0)


def test_normalisation_is_per_channel() -> None:
    images, table = photographs(4, 3, 20, 20), draws(4)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
    result = views.make_view(images, table, BUSY, size=20, mean=mean, std=std)
    expected = tvf.normalize(view(images, table, BUSY), list(mean), list(std))
    torch.testing.assert_close(result, expected)
    gray = photographs(4, 1, 20, 20)
    result = views.make_view(gray, table, BUSY, size=20, mean=(0.3,), std=(0.5,))
    torch.testing.assert_close(result, (view(gray, table, BUSY) - 0.3) / 0.5)


def test_the_images_given_are_left_as_they_are() -> None:
    images, table = photographs(8, 3, 20, 20) / 255, draws(8)
    for cropped in (False, True):
        before = images.clone()
        view(images, table, BUSY, cropped=cropped)
        view(images, table, PLAIN, cropped=cropped)
        assert torch.equal(images, before)


def test_plain_view_is_the_image() -> None:
    images = photographs(3, 3, 20, 20)
    torch.testing.assert_close(view(images, draws(3), PLAIN), images / 255, atol=1e-6, rtol=0)


def _with(**changes: Any) -> ViewConfig:
    return dataclasses.replace(PLAIN, **changes)


# How often, how much, and for whom


@pytest.mark.parametrize(
    ("key", "p", "strong"),
    [
        ("flip_p", 0.5, {}),
        ("jitter_p", 0.8, {"contrast": 0.0, "saturation": 0.0, "hue": 0.0}),
        ("grayscale_p", 0.2, {}),
        ("blur_p", 0.1, {"blur_sigma_min": 1.0}),
        ("solarize_p", 0.2, {}),
    ],
)
def test_each_operation_fires_as_often_as_asked_and_only_where_its_draw_says(
    key: str, p: float, strong: dict[str, float]
) -> None:
    count = 1500
    image = photographs(1, 3, 12, 12).expand(count, -1, -1, -1)
    table = draws(count)
    base = view(image, table, PLAIN, 12)
    changed = (view(image, table, _with(**strong, **{key: p}), 12) - base).abs().amax((1, 2, 3)) > 1e-4
    assert stats.binomtest(int(changed.sum()), count, p).pvalue > 1e-3
    assert torch.equal(changed, table[:, views.COLUMNS[key.removesuffix("_p")].start] < p)
    assert (view(image, table, _with(**strong, **{key: 1.0}), 12) - base).abs().amax((1, 2, 3)).gt(1e-4).all()
    assert torch.equal(view(image, table, _with(**strong, **{key: 0.0}), 12), base)


def test_brightness_is_uniform_in_its_range() -> None:
    flat = torch.full((2000, 1, 8, 8), 0.5)
    out = view(flat, draws(2000), _with(jitter_p=1.0, brightness=0.4, contrast=0.0), 8)
    factors = (out[:, 0, 0, 0] / 0.5).numpy()
    assert stats.kstest(factors, stats.uniform(0.6, 0.8).cdf).pvalue > 1e-3
    # A strength of 1 reaches from 0 to 2.
    out = view(flat / 2, draws(2000), _with(jitter_p=1.0, brightness=1.0, contrast=0.0), 8)
    assert stats.kstest(out[:, 0, 0, 0].numpy() / 0.25, stats.uniform(0, 2).cdf).pvalue > 1e-3


def test_hue_is_uniform_in_its_range() -> None:
    red = torch.zeros(2000, 3, 8, 8)
    red[:, 0] = 1
    settings = _with(jitter_p=1.0, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.1)
    out = view(red, draws(2000), settings, 8)[:, :, 0, 0]
    turns = (out[:, 1] - out[:, 2]).numpy() / 6  # within a sixth of red: green rises or blue does
    assert stats.kstest(turns, stats.uniform(-0.1, 0.2).cdf).pvalue > 1e-3


def test_blur_sigma_is_uniform_in_its_range() -> None:
    step = (torch.arange(20) >= 10).float().expand(2000, 1, 20, 20)
    out = view(step, draws(2000), _with(blur_p=1.0, blur_sigma_min=0.5, blur_sigma_max=2.0))[:, 0, 10, 9]
    side = out.double()  # w1 / (w0 + 2 w1) with w1 / w0 = exp(-1 / (2 sigma^2))
    sigma = (-0.5 / torch.log(side / (1 - 2 * side))).sqrt().numpy()
    assert stats.kstest(sigma, stats.uniform(0.5, 1.5).cdf).pvalue > 1e-3


def test_all_24_orders_of_the_jitter_are_equally_frequent() -> None:
    keys = torch.cat(
        [
            draws(6000)[:, views.COLUMNS[f"{n}_order"]]
            for n in ("brightness", "contrast", "saturation", "hue")
        ],
        1,
    )
    _, counts = np.unique(keys.argsort(dim=1).numpy() @ [64, 16, 4, 1], return_counts=True)
    assert len(counts) == 24
    assert stats.chisquare(counts).pvalue > 1e-3


CHANGES: dict[str, dict[str, Any]] = {
    "flip": {"flip_p": 0.9},
    "jitter": {"jitter_p": 0.2},
    "grayscale": {"grayscale_p": 0.9},
    "blur": {"blur_p": 0.9},
    "solarize": {"solarize_p": 0.9},
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_probability_changes_only_the_images_it_concerns(name: str, channels: int) -> None:
    """To the last bit: the draws of all other operations, and their outcomes, stay."""
    images, table = photographs(200, channels, 24, 24), draws(200)
    settings = dataclasses.replace(BUSY, **CHANGES[name])
    column = table[:, views.COLUMNS[name].start]
    same = (column < getattr(BUSY, f"{name}_p")) == (column < getattr(settings, f"{name}_p"))
    assert 20 < same.sum() < 180
    before, after = view(images, table, BUSY), view(images, table, settings)
    assert torch.equal(before[same], after[same])
    if channels == 3 or name != "grayscale":
        assert (before[~same] != after[~same]).any(dim=3).any(dim=2).any(dim=1).float().mean() > 0.8


@pytest.mark.parametrize("name", ["flip", "jitter", "grayscale", "blur", "solarize"])
def test_an_operation_switched_off_leaves_the_images_it_would_not_have_touched(name: str) -> None:
    images, table = photographs(100, 3, 24, 24), draws(100)
    missed = table[:, views.COLUMNS[name].start] >= getattr(BUSY, f"{name}_p")
    off = dataclasses.replace(BUSY, **{f"{name}_p": 0.0})  # type: ignore[arg-type]
    assert torch.equal(view(images, table, BUSY)[missed], view(images, table, off)[missed])


@pytest.mark.parametrize("off", ["brightness", "contrast", "saturation", "hue"])
def test_switching_one_part_of_the_jitter_off_keeps_the_others_and_their_order(off: str) -> None:
    settings = dataclasses.replace(BUSY, grayscale_p=0.0, **{off: 0.0})  # type: ignore[arg-type]
    images, table = soft(48, 3, 20), draws(48)
    ours = view(images, table, settings, cropped=True) * 255
    for image, row, ours_CHW in zip(images, table, ours, strict=True):
        theirs = levels(pillow_view(pil(image), row, settings, 20, crop=False))
        assert (ours_CHW - theirs).abs().max() <= (6 if off == "hue" else 14)
        assert (ours_CHW - theirs).abs().mean() <= 2.5


def test_an_image_does_not_depend_on_its_batch() -> None:
    images, table = photographs(6, 3, 24, 24), draws(6)
    single = torch.cat([view(images[i : i + 1], table[i : i + 1], BUSY) for i in range(6)])
    torch.testing.assert_close(view(images, table, BUSY), single, atol=1e-6, rtol=0)
    same = images[:1].expand(6, -1, -1, -1)
    seen = view(same, table, BUSY).flatten(1)
    assert torch.pdist(seen).min() > 0.1


# Fit for a device


class _NoWaiting(TorchDispatchMode):
    """Fails on operations that read values on the host, or whose shapes depend on them."""

    # lift_fresh is how torch.tensor(...) arrives: a copy from the host.
    forbidden = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "lift_fresh")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in self.forbidden or (name in ("index", "index_put_") and _has_mask(args)):
            raise AssertionError(f"waits for the device: {func}")
        return func(*args, **(kwargs or {}))


def _has_mask(args: Any) -> bool:
    return any(
        isinstance(index, Tensor) and index.dtype == torch.bool for index in args[1] if index is not None
    )


@pytest.fixture
def on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Views are made as on a device, where nothing may wait, though their images are on the CPU."""
    monkeypatch.setattr(views, "_may_wait", lambda images: False)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("cropped", [False, True])
@pytest.mark.usefixtures("on_a_device")
def test_nothing_in_a_view_waits_for_the_device(channels: int, cropped: bool) -> None:
    images, table = photographs(4, channels, 20, 20), draws(4)
    with _NoWaiting():  # type: ignore[no-untyped-call]
        view(images, table, BUSY, cropped=cropped)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("batch", "size"), [(128, 20), (128, 32), (1, 20), (4, 192)])
@pytest.mark.parametrize("share", [1e-9, 0.02, 0.5, 1.0])  # in a batch: none, a few, half, all
@pytest.mark.parametrize("cropped", [False, True])
def test_what_does_not_fire_is_left_out_on_a_cpu_without_changing_a_bit(
    channels: int, batch: int, size: int, share: float, cropped: bool, request: pytest.FixtureRequest
) -> None:
    settings = dataclasses.replace(BUSY, jitter_p=share, grayscale_p=share, blur_p=share, solarize_p=share)
    side = size if cropped else 28
    images, table = photographs(batch, channels, side, side) / 255, draws(batch)
    before = images.clone()
    on_a_cpu = view(images, table, settings, size=size, cropped=cropped)
    assert torch.equal(images, before), "the caller's"
    request.getfixturevalue("on_a_device")
    assert torch.equal(on_a_cpu, view(images, table, settings, size=size, cropped=cropped))


@pytest.mark.parametrize(
    "wait", [lambda x: x.sum().item(), lambda x: x[x > 0.5], lambda x: bool(x.max() > 1)]
)
def test_the_check_for_waiting_can_fail(wait: Any) -> None:
    with pytest.raises(AssertionError, match="waits"), _NoWaiting():  # type: ignore[no-untyped-call]
        wait(torch.rand(4))


@pytest.mark.filterwarnings("ignore:User provided device_type of 'cuda'")
@pytest.mark.parametrize("channels", [1, 3])
def test_everything_in_a_view_runs_where_the_images_are(channels: int) -> None:
    """Fake tensors refuse to mix a tensor of the host in, and to tell their values."""
    with FakeTensorMode():
        images = torch.empty(4, channels, 28, 28, dtype=torch.uint8, device="cuda")
        out = view(images, torch.empty(4, views.SLOTS, device="cuda"), BUSY)
    assert out.device.type == "cuda"
    assert out.shape == (4, 3, 20, 20)


def test_autocast_does_not_reach_into_a_view() -> None:
    images, table = photographs(4, 3, 24, 24), draws(4)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(view(images, table, BUSY), view(images, table, BUSY))
        inside = view(images, table, BUSY)
    assert torch.equal(inside, view(images, table, BUSY))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_view_can_be_captured_in_a_cuda_graph() -> None:
    images, table = photographs(8, 3, 24, 24), draws(8)
    images_gpu, table_gpu = images.cuda(), table.cuda()
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        view(images_gpu, table_gpu, BUSY)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = view(images_gpu, table_gpu, BUSY)
    table = draws(8, seed=1)
    table_gpu.copy_(table)
    graph.replay()
    torch.testing.assert_close(out.cpu(), view(images, table, BUSY), atol=1e-4, rtol=0)
