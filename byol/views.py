"""The augmented views: which random numbers are drawn, and what they do to the images.

Every random decision has a column of its own in a table of uniform numbers, so that changing the strength
or the probability of one operation changes no other draw, and so no other operation. The order of operations
is that of BYOL (arXiv 2006.07733, appendix B; deepmind-research, byol/utils/augmentations.py). Colour
operations are torchvision's, as in most PyTorch implementations; DeepMind's code adds brightness instead of
multiplying, takes contrast per channel, and scales the saturation of HSV.

Shape suffixes: B images, C channels (1 or 3), H x W pixels, S draws; operations as in image_ops.py.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from byol import image_ops
from byol.config import ViewConfig
from byol.seeding import stream

CROP_ATTEMPTS = 10
"""Boxes that torchvision's RandomResizedCrop tries before it falls back to the central crop."""

_COLUMN_COUNTS = {
    "crop_area": CROP_ATTEMPTS,
    "crop_ratio": CROP_ATTEMPTS,
    "crop_top": 1,
    "crop_left": 1,
    "flip": 1,
    "jitter": 1,
    "brightness": 1,
    "contrast": 1,
    "saturation": 1,
    "hue": 1,
    "brightness_order": 1,
    "contrast_order": 1,
    "saturation_order": 1,
    "hue_order": 1,
    "grayscale": 1,
    "blur": 1,
    "blur_sigma": 1,
    "solarize": 1,
}

SLOTS = sum(_COLUMN_COUNTS.values())
"""Number of draws, uniform numbers, per view of an image."""


def _columns() -> dict[str, slice]:
    ends = [sum(list(_COLUMN_COUNTS.values())[: i + 1]) for i in range(len(_COLUMN_COUNTS))]
    return {name: slice(end - n, end) for (name, n), end in zip(_COLUMN_COUNTS.items(), ends, strict=True)}


COLUMNS = _columns()
"""The columns of each random decision in the table of draws."""


def draw(generator: torch.Generator, batch: int) -> Tensor:
    """All draws of one view of a batch: float32 [B, SLOTS], uniform in [0, 1), on the CPU."""
    return torch.rand(batch, SLOTS, generator=generator)


def draw_views(seed: int, step: int, batch: int, count: int) -> tuple[Tensor, ...]:
    """The draws of each view of a training step, as by `draw`; each view has a random stream of its own."""
    return tuple(draw(stream(seed, f"view{view}", step), batch) for view in range(1, count + 1))


def crop_boxes(draws_BS: Tensor, height: int, width: int, settings: ViewConfig) -> Tensor:
    """Boxes to crop, with uniform area and log-uniform aspect ratio.

    `crop_sampler` says what becomes of a box that does not fit. "reject" is torchvision's RandomResizedCrop:
    of ten boxes, the first that fits; if none fits, the largest central box with an allowed ratio. "clip" is
    deepmind-research's `_decode_and_random_crop` (byol/utils/dataset.py): the first box, its sides cut to
    those of the image. Where the first box fits, both give that box.

    Args:
        draws_BS: rows of `draw`, on any device.
        height, width: of the images, in pixels.

    Returns:
        int64 [B, 4]: top, left, height, width.
    """
    draws_BS = draws_BS.double()  # so that a worker process and the device round alike
    share_BT = _uniform(draws_BS[:, COLUMNS["crop_area"]], settings.crop_scale_min, settings.crop_scale_max)
    log_ratios = math.log(settings.crop_ratio_min), math.log(settings.crop_ratio_max)
    ratio_BT = _uniform(draws_BS[:, COLUMNS["crop_ratio"]], *log_ratios).exp()
    area_BT = share_BT * (height * width)
    width_BT = (area_BT * ratio_BT).sqrt().round()
    height_BT = (area_BT / ratio_BT).sqrt().round()
    if settings.crop_sampler == "clip":
        height_B, width_B = height_BT[:, 0].clamp(1, height), width_BT[:, 0].clamp(1, width)
        any_fits_B = torch.ones_like(height_B, dtype=torch.bool)
    else:
        fits_BT = (width_BT > 0) & (width_BT <= width) & (height_BT > 0) & (height_BT <= height)
        first_B1 = fits_BT.byte().argmax(dim=1, keepdim=True)
        any_fits_B = fits_BT.any(dim=1)
        fallback_height, fallback_width = _central_box(height, width, settings)
        height_B = torch.where(any_fits_B, height_BT.gather(1, first_B1)[:, 0], fallback_height)
        width_B = torch.where(any_fits_B, width_BT.gather(1, first_B1)[:, 0], fallback_width)
    top_B = _column(draws_BS, "crop_top") * (height - height_B + 1)
    left_B = _column(draws_BS, "crop_left") * (width - width_B + 1)
    top_B = torch.where(any_fits_B, top_B, (height - height_B) / 2)
    left_B = torch.where(any_fits_B, left_B, (width - width_B) / 2)
    return torch.stack((top_B.floor(), left_B.floor(), height_B, width_B), dim=1).long()


def make_view(
    images_BCHW: Tensor,
    draws_BS: Tensor,
    settings: ViewConfig,
    *,
    size: int,
    mean: Sequence[float],
    std: Sequence[float],
    cropped: bool = False,
) -> Tensor:
    """One view of a batch: crop, flip, colour jitter, grayscale, blur, solarize, normalise.

    Runs on the device of the images without waiting for it. Gray images have one channel until the end:
    saturation, hue and grayscale do not change them, and all other operations treat channels alike.

    Args:
        images_BCHW: uint8, or float in 0 to 1; one or three channels.
        draws_BS: a row of `draw` per image, on the same device.
        size: side of the view, in pixels.
        mean, std: of the scaled pixels, one value per channel, or a single one for all.
        cropped: whether the images are already the crops (of this size, by `crop_boxes` of the same draws).

    Returns:
        float32 [B, 3, size, size], contiguous.
    """
    with torch.no_grad(), torch.autocast(images_BCHW.device.type, enabled=False):
        flip_B = _column(draws_BS, "flip") < settings.flip_p
        if cropped:
            assert images_BCHW.shape[2:] == (size, size), "crops must have the size of the view"
            scaled = images_BCHW.float() / 255 if images_BCHW.dtype == torch.uint8 else images_BCHW.float()
            x_BCHW = image_ops.flip(scaled, flip_B)
        else:
            boxes_B4 = crop_boxes(draws_BS, images_BCHW.shape[2], images_BCHW.shape[3], settings)
            x_BCHW = image_ops.crop_and_resize(images_BCHW, boxes_B4, flip_B, size)
        if settings.jitter_p > 0:
            x_BCHW = jitter_(x_BCHW, draws_BS, settings)
        if settings.grayscale_p > 0 and x_BCHW.shape[1] == 3:
            fires_B = _column(draws_BS, "grayscale") < settings.grayscale_p
            x_BCHW = _where_fires(image_ops.grayscale_, x_BCHW, fires_B, fires_B)
        if settings.blur_p > 0:
            fires_B = _column(draws_BS, "blur") < settings.blur_p
            sigmas = settings.blur_sigma_min, settings.blur_sigma_max
            sigma_B = _uniform(_column(draws_BS, "blur_sigma"), *sigmas) * fires_B
            x_BCHW = _where_fires(image_ops.gaussian_blur, x_BCHW, fires_B, sigma_B)
        if settings.solarize_p > 0:
            fires_B = _column(draws_BS, "solarize") < settings.solarize_p
            threshold_B = torch.where(fires_B, settings.solarize_threshold, torch.inf)
            x_BCHW = _where_fires(image_ops.solarize, x_BCHW, fires_B, threshold_B)
        return _normalise_(x_BCHW, mean, std)


def clean_view(images_BCHW: Tensor, *, size: int, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """The images resized to `size` and normalised, for evaluation: float32 [B, 3, size, size]."""
    batch, _, height, width = images_BCHW.shape
    whole_B4 = torch.tensor([[0, 0, height, width]], device=images_BCHW.device).expand(batch, 4)
    unflipped_B = torch.zeros(batch, dtype=torch.bool, device=images_BCHW.device)
    with torch.no_grad():
        return _normalise_(image_ops.crop_and_resize(images_BCHW, whole_B4, unflipped_B, size), mean, std)


def jitter_(images_BCHW: Tensor, draws_BS: Tensor, settings: ViewConfig) -> Tensor:
    """Brightness, contrast, saturation and hue of each image, in a random order per image; in place.

    Brightness, contrast and saturation are blends. So that shapes are static, every blend is computed twice,
    before and after the hue, in the image's order; on one of the two sides its factor is 1, which changes
    nothing. On a CPU each blend is computed on its side alone, with the same bits: there, images are sorted
    by how many blends come before their hue.
    """
    has_colour = images_BCHW.shape[1] == 3
    names = [n for n in ("brightness", "contrast", "saturation") if getattr(settings, n) > 0]
    names = [n for n in names if has_colour or n != "saturation"]
    has_hue = has_colour and settings.hue > 0
    fires_B = _column(draws_BS, "jitter") < settings.jitter_p
    shift_B = _uniform(_column(draws_BS, "hue"), -settings.hue, settings.hue)
    if not names:
        return image_ops.shift_hue_(images_BCHW, shift_B, fires_B) if has_hue else images_BCHW
    key_BK, order_BK = torch.stack([_column(draws_BS, f"{n}_order") for n in names], dim=1).sort(dim=1)
    factor_BK = torch.stack([_factor(draws_BS, n, getattr(settings, n)) for n in names], dim=1)
    factor_BK = torch.where(fires_B[:, None], factor_BK, 1.0).gather(1, order_BK)
    if not has_hue:
        return _blends(images_BCHW, factor_BK, order_BK, names)
    is_before_BK = key_BK < _column(draws_BS, "hue_order")[:, None]
    if _may_wait(images_BCHW):
        fires_N = fires_B.nonzero()[:, 0]
        before_N, order_N = is_before_BK[fires_N].sum(dim=1).sort()
        rows_N = fires_N[order_N]
        # For each place in the order, the first of the sorted images whose blend there comes before the hue.
        first_K = torch.searchsorted(before_N, torch.arange(len(names)), right=True).tolist()
        blends = factor_BK[rows_N], order_BK[rows_N], names
        x_NCHW = images_BCHW[rows_N]
        x_NCHW = _blends(x_NCHW, *blends, [slice(first, None) for first in first_K])
        x_NCHW = image_ops.shift_hue_(x_NCHW, shift_B[rows_N], fires_B[rows_N])
        x_NCHW = _blends(x_NCHW, *blends, [slice(first) for first in first_K])
        return images_BCHW.index_copy_(0, rows_N, x_NCHW)
    x_BCHW = _blends(images_BCHW, torch.where(is_before_BK, factor_BK, 1.0), order_BK, names)
    x_BCHW = image_ops.shift_hue_(x_BCHW, shift_B, fires_B)
    return _blends(x_BCHW, torch.where(is_before_BK, 1.0, factor_BK), order_BK, names)


def _blends(
    images_BCHW: Tensor,
    factor_BK: Tensor,
    order_BK: Tensor,
    names: Sequence[str],
    rows_K: Sequence[slice] | None = None,
) -> Tensor:
    """The blends of each image, one after another, in place; order_BK says which of the names comes at each
    place, rows_K for which of the images there is a blend at all.
    """
    complement_BK = 1 - factor_BK
    mean_BK, luma_BK = (
        complement_BK * (order_BK == names.index(n)) if n in names else torch.zeros_like(complement_BK)
        for n in ("contrast", "saturation")
    )
    for place, rows in enumerate(rows_K or [slice(None)] * len(names)):
        weights = (weights_BK[rows, place] for weights_BK in (factor_BK, mean_BK, luma_BK))
        image_ops.blend_(images_BCHW[rows], *weights)
    return images_BCHW


def _where_fires(
    operation: Callable[[Tensor, Tensor], Tensor], images_BCHW: Tensor, fires_B: Tensor, parameter_B: Tensor
) -> Tensor:
    """The operation on the images for which it fires; where it does not, its parameter changes nothing.

    So all images can go through it, and on a device they do. On a CPU the others are left out.
    """
    if not _may_wait(images_BCHW):
        return operation(images_BCHW, parameter_B)
    rows_N = fires_B.nonzero()[:, 0]
    if len(rows_N) == len(fires_B):
        return operation(images_BCHW, parameter_B)
    return images_BCHW.index_copy_(0, rows_N, operation(images_BCHW[rows_N], parameter_B[rows_N]))


def _may_wait(images_BCHW: Tensor) -> bool:
    """Whether shapes may depend on values: on a CPU they are at hand.

    Large images all go through every operation there, too: torch sums a lone image of 2^15 pixels or more in
    another order than one among others.
    """
    return images_BCHW.device.type == "cpu" and images_BCHW.shape[2] * images_BCHW.shape[3] < 1 << 15


def _factor(draws_BS: Tensor, name: str, strength: float) -> Tensor:
    return _uniform(_column(draws_BS, name), max(0.0, 1 - strength), 1 + strength)


def _normalise_(images_BCHW: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    assert len(mean) == len(std), "there must be a mean and a standard deviation per channel"
    if len(mean) == 1:
        return images_BCHW.sub_(mean[0]).div_(std[0]).expand(-1, 3, -1, -1).contiguous()
    if images_BCHW.shape[1] == 1:
        images_BCHW = images_BCHW.repeat(1, 3, 1, 1)
    for channel_BHW, channel_mean, channel_std in zip(images_BCHW.unbind(1), mean, std, strict=True):
        channel_BHW.sub_(channel_mean).div_(channel_std)
    return images_BCHW


def _central_box(height: int, width: int, settings: ViewConfig) -> tuple[int, int]:
    if width / height < settings.crop_ratio_min:
        return round(width / settings.crop_ratio_min), width
    if width / height > settings.crop_ratio_max:
        return height, round(height * settings.crop_ratio_max)
    return height, width


def _column(draws_BS: Tensor, name: str) -> Tensor:
    return draws_BS[:, COLUMNS[name]].squeeze(1)


def _uniform(draws: Tensor, low: float, high: float) -> Tensor:
    return low + (high - low) * draws
