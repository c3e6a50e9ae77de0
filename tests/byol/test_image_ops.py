"""Each batched operation against Pillow, through torchvision's functional API, with the same parameters."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as tvf
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode

from byol import image_ops

LEVEL = 1 / 255


def photographs(count: int, channels: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Random images with smooth areas, sharp edges, texture, black and white: uint8 [B, C, H, W]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, channels, 4, 4, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    texture = 0.1 * torch.randn(count, channels, height, width, generator=generator)
    edges = torch.where(
        coarse[:, :1].repeat_interleave(height // 4, 2).repeat_interleave(width // 4, 3) > 0.7, 1, 0
    )
    edges = torch.nn.functional.pad(edges.float(), (0, width - edges.shape[3], 0, height - edges.shape[2]))
    return ((1.6 * (smooth - 0.5) + 0.5 + texture + 0.7 * edges).clamp(0, 1) * 255).round().to(torch.uint8)


def pil(image_CHW: Tensor) -> Image.Image:
    array = image_CHW.numpy()
    return Image.fromarray(array[0] if len(array) == 1 else np.ascontiguousarray(array.transpose(1, 2, 0)))


def levels(image: Image.Image) -> Tensor:
    """A Pillow image as float [C, H, W], 0 to 255."""
    array = torch.from_numpy(np.array(image, dtype=np.float32))
    return array[None] if array.ndim == 2 else array.permute(2, 0, 1)


def no(count: int) -> Tensor:
    return torch.zeros(count, dtype=torch.bool)


BOXES = torch.tensor(
    [
        [0, 0, 40, 33],  # all of it
        [3, 5, 9, 7],  # enlarged
        [11, 2, 29, 31],  # shrunk
        [0, 12, 40, 8],  # shrunk one way, enlarged the other
        [39, 32, 1, 1],  # one pixel
        [7, 7, 16, 16],  # as it is
    ]
)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [16, 24])
def test_crop_resize_flip_is_pillows_to_two_levels(channels: int, size: int) -> None:
    images = photographs(len(BOXES), channels, 40, 33)
    images = 64 + images // 2  # no overshoot past black or white: see the next test
    flips = torch.tensor([False, True, True, False, True, False])
    ours = image_ops.crop_and_resize(images, BOXES, flips, size) * 255
    for image, box, flip, ours_CSS in zip(images, BOXES.tolist(), flips, ours, strict=True):
        theirs = tvf.resized_crop(pil(image), *box, [size, size], InterpolationMode.BICUBIC)
        difference = (ours_CSS - levels(tvf.hflip(theirs) if flip else theirs)).abs()
        # Pillow rounds after each of its two passes.
        assert difference.max() <= 2
        assert difference.mean() <= 0.5


def test_crop_at_hard_edges_is_the_exact_resize_and_near_pillows() -> None:
    """Pillow clips between its passes; torch's antialiased bicubic resize does not."""
    images = photographs(len(BOXES), 3, 40, 33)
    ours = image_ops.crop_and_resize(images, BOXES, no(len(BOXES)), 16)
    for image, (top, left, height, width), ours_CSS in zip(images, BOXES.tolist(), ours, strict=True):
        theirs = tvf.resized_crop(pil(image), top, left, height, width, [16, 16], InterpolationMode.BICUBIC)
        difference = (ours_CSS * 255 - levels(theirs)).abs()
        assert difference.max() <= 10
        assert difference.mean() <= 0.5
        crop = image[None, :, top : top + height, left : left + width].double() / 255
        exact = torch.nn.functional.interpolate(crop, (16, 16), mode="bicubic", antialias=True)[0]
        torch.testing.assert_close(ours_CSS.double(), exact.clamp(0, 1), atol=2e-6, rtol=0)


def test_crop_to_the_same_size_is_exact_and_float_input_is_the_same() -> None:
    images = photographs(2, 3, 24, 24)
    boxes = torch.tensor([[0, 0, 24, 24], [2, 4, 12, 16]])
    flips = torch.tensor([True, False])
    ours = image_ops.crop_and_resize(images, boxes, flips, 24)
    torch.testing.assert_close(ours[0], images[0].flip(2) / 255)
    torch.testing.assert_close(image_ops.crop_and_resize(images / 255, boxes, flips, 24), ours)


def test_flip_mirrors_only_where_asked() -> None:
    images = photographs(2, 3, 8, 8) / 255
    flipped = image_ops.flip(images, torch.tensor([True, False]))
    assert torch.equal(
        flipped[0], torch.from_numpy(np.fliplr(images[0].permute(1, 2, 0)).copy()).permute(2, 0, 1)
    )
    assert torch.equal(flipped[1], images[1])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("theirs", "base"),
    [(tvf.adjust_brightness, ""), (tvf.adjust_contrast, "mean"), (tvf.adjust_saturation, "luma")],
)
def test_blends_are_pillows_to_one_level(
    theirs: Callable[..., Image.Image], base: str, channels: int
) -> None:
    factors = torch.tensor([0.0, 0.3, 0.6, 0.93, 1.0, 1.17, 1.4, 2.0])
    images = photographs(len(factors), channels, 20, 20)
    ours = image_ops.blend_(
        images / 255, factors, (1 - factors) * (base == "mean"), (1 - factors) * (base == "luma")
    )
    for image, factor, ours_CHW in zip(images, factors.tolist(), ours, strict=True):
        # Pillow cuts off fractions of a level, and takes contrast about a mean rounded to a level.
        difference = (ours_CHW * 255 + 1e-3).floor() - levels(theirs(pil(image), factor))
        assert difference.abs().max() <= 1


def test_factor_one_and_operations_that_do_not_fire_change_no_bit() -> None:
    images = photographs(4, 3, 20, 20) / 255
    ones = torch.ones(4)
    assert torch.equal(image_ops.blend_(images.clone(), ones, 0 * ones, 0 * ones), images)
    assert torch.equal(image_ops.shift_hue_(images.clone(), ones / 4, no(4)), images)
    assert torch.equal(image_ops.grayscale_(images.clone(), no(4)), images)
    assert torch.equal(image_ops.gaussian_blur(images, 0 * ones), images)
    assert torch.equal(image_ops.solarize(images, torch.full((4,), torch.inf)), images)


SHIFTS = torch.tensor([-0.5, -0.31, -0.1, -0.04, 0.0, 0.05, 0.1, 0.37, 0.5])


def test_hue_is_torchvisions_float_hue() -> None:
    images = photographs(len(SHIFTS), 3, 20, 20)
    images[0, :, :4] = images[0, :1, :4]  # gray pixels have no hue
    images[1, 0, :4] = images[1, 1, :4]  # two channels share the maximum or the minimum
    images[2, 2, :4] = images[2, 1, :4]
    images[3, :, 0] = 0
    ours = image_ops.shift_hue_(images / 255, SHIFTS, ~no(len(SHIFTS)))
    for image, shift, ours_CHW in zip(images, SHIFTS.tolist(), ours, strict=True):
        theirs = tvf.adjust_hue(image / 255, shift)
        torch.testing.assert_close(ours_CHW, theirs, atol=1e-5, rtol=0)


def test_hue_is_pillows_to_the_steps_of_its_8_bit_hue() -> None:
    images = photographs(len(SHIFTS), 3, 20, 20)
    ours = image_ops.shift_hue_(images / 255, SHIFTS, ~no(len(SHIFTS))) * 255
    for image, shift, ours_CHW in zip(images, SHIFTS.tolist(), ours, strict=True):
        difference = (ours_CHW - levels(tvf.adjust_hue(pil(image), shift))).abs()
        # One step of an 8-bit hue is up to 6 levels; Pillow also rounds the shift and the saturation.
        assert difference.max() <= 15
        assert difference.mean() <= 2.5


def test_grayscale_is_pillows() -> None:
    images = photographs(3, 3, 20, 20)
    ours = image_ops.grayscale_(images / 255, torch.tensor([True, False, True])) * 255
    for index in (0, 2):
        theirs = levels(tvf.to_grayscale(pil(images[index]), 3))
        assert (ours[index].round() - theirs).abs().max() <= 1
        assert (ours[index] - theirs).abs().max() <= 0.51
    torch.testing.assert_close(ours[1], images[1].float())


@pytest.mark.parametrize(("size", "taps"), [(20, 3), (32, 3), (48, 5), (96, 9), (224, 23)])
def test_blur_is_torchvisions_with_byols_kernel(size: int, taps: int) -> None:
    sigmas = torch.tensor([0.1, 0.5, 1.0, 2.0])
    images = photographs(4, 3, size, size)
    ours = image_ops.gaussian_blur(images / 255, sigmas) * 255
    assert 2 * image_ops.blur_radius(size) + 1 == taps
    for image, sigma, ours_CHW in zip(images, sigmas.tolist(), ours, strict=True):
        theirs = tvf.gaussian_blur(pil(image), [taps, taps], [sigma, sigma])
        assert (ours_CHW - levels(theirs)).abs().max() <= 0.51
        exact = tvf.gaussian_blur(image / 255, [taps, taps], [sigma, sigma])
        torch.testing.assert_close(ours_CHW / 255, exact, atol=1e-5, rtol=0)


def test_blur_of_the_smallest_views_still_blurs() -> None:
    # A tenth of 12 pixels would be a kernel of one tap, that is no blur at all.
    images = photographs(1, 1, 12, 12)
    ours = image_ops.gaussian_blur(images / 255, torch.tensor([2.0]))
    exact = tvf.gaussian_blur(images / 255, [3, 3], [2.0, 2.0])
    torch.testing.assert_close(ours, exact, atol=1e-5, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_solarize_is_pillows_exactly(channels: int) -> None:
    images = photographs(2, channels, 20, 20)
    images[0, 0, 0, :2] = torch.tensor([127, 128])
    ours = image_ops.solarize(images / 255, torch.tensor([0.5, torch.inf])) * 255
    assert torch.equal(ours[0].round(), levels(tvf.solarize(pil(images[0]), 128)))
    torch.testing.assert_close(ours[1], images[1].float())


@pytest.mark.parametrize("operation", ["blend", "hue", "blur", "crop"])
def test_each_image_has_parameters_of_its_own(operation: str) -> None:
    """A batch with different parameters is the batch of the images done one by one."""
    images = photographs(5, 3, 24, 24) / 255
    values = torch.linspace(0.1, 0.5, 5)
    which = torch.tensor([0, 1, 2, 1, 0])
    boxes = torch.tensor([[0, 0, 24, 24], [1, 2, 9, 20], [8, 3, 5, 5], [0, 0, 20, 20], [4, 4, 18, 18]])

    def apply(rows: slice) -> Tensor:
        if operation == "blend":
            rest = 1 - values[rows]
            return image_ops.blend_(
                images[rows].clone(), values[rows], rest * (which[rows] == 1), rest * (which[rows] == 2)
            )
        if operation == "hue":
            return image_ops.shift_hue_(images[rows].clone(), values[rows], which[rows] > 0)
        if operation == "blur":
            return image_ops.gaussian_blur(images[rows], values[rows] * (which[rows] > 0))
        return image_ops.crop_and_resize(images[rows], boxes[rows], which[rows] > 0, 16)

    single = torch.cat([apply(slice(i, i + 1)) for i in range(5)])
    torch.testing.assert_close(apply(slice(None)), single, atol=1e-6, rtol=0)
