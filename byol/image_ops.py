"""Batched image operations with parameters of their own per image, the parts that views are made of.

Shape suffixes: B images, C channels (1 or 3), H x W pixels in, S pixels out per side, N pixels along one
axis. Images are float32 in 0 to 1 and stay there. A parameter_B that means "leave this image alone"
(factor 1, sigma 0, fires False) leaves every bit of it alone.

Nothing here waits for the device, branches on values or has shapes that depend on them, and no constant is
copied from the host, so that the operations can be captured in a CUDA graph.
"""

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G and B in the luma (ITU-R BT.601), as in Pillow's conversion to mode L."""

_OUTSIDE = 1e4  # A distance beyond the reach of any kernel.


def bicubic_weights(start_B: Tensor, length_B: Tensor, size: int, pixels: int, flip_B: Tensor) -> Tensor:
    """Matrices that cut [start, start + length) out of `pixels` and resize it to `size`, as Pillow does.

    The kernel is cubic convolution with a = -0.5, widened by the scale when shrinking (antialiasing); its
    window ends at the box, and each row sums to 1 (Pillow, src/libImaging/Resample.c).

    Args:
        start_B: first pixel of each box. length_B: pixels in each box, at least 1.
        flip_B: bool; mirrors the output.

    Returns:
        float32 [B, S, N].
    """
    length_B1 = length_B[:, None].float()
    scale_B1 = length_B1 / size
    reach_B1 = scale_B1.clamp(min=1)
    centre_S = torch.arange(size, device=start_B.device) + 0.5
    centre_BS = torch.where(flip_B[:, None], size - centre_S, centre_S) * (scale_B1 / reach_B1)
    place_BN = torch.arange(pixels, device=start_B.device) - start_B[:, None] + 0.5
    inside_BN = (place_BN > 0) & (place_BN < length_B1)
    place_BN = torch.where(inside_BN, place_BN / reach_B1, _OUTSIDE)
    distance_BSN = (place_BN[:, None, :] - centre_BS[:, :, None]).abs_()
    # With p = max(2 - d, 0) and q = max(1 - d, 0) the two cubic pieces are one sum without branches,
    # p^2 (p - 1) / 2 + q^2 (1 - 2 q); the factor 2 below goes when the rows are normalised.
    p_BSN = (2 - distance_BSN).clamp_(min=0)
    p_minus_1_BSN = p_BSN - 1
    q_BSN = p_minus_1_BSN.clamp(min=0)
    weights_BSN = p_BSN.square_().mul_(p_minus_1_BSN)
    weights_BSN.addcmul_(q_BSN.square(), q_BSN.mul_(-4).add_(2))
    return weights_BSN.div_(weights_BSN.sum(dim=2, keepdim=True))


def crop_and_resize(images_BCHW: Tensor, boxes_B4: Tensor, flip_B: Tensor, size: int) -> Tensor:
    """Cuts a box out of each image, resizes it to a square (bicubic, antialiased) and mirrors some.

    Two products with banded matrices, and one clip at the end. Pillow also rounds and clips to 8 bits between
    its two passes, in an order that depends on the box: it is within 2/255 of this wherever the first pass
    does not overshoot black or white, and some levels off next to such edges.

    Args:
        images_BCHW: uint8, or float in 0 to 1. boxes_B4: top, left, height, width in pixels. flip_B: bool.

    Returns:
        float32 [B, C, S, S] in 0 to 1.
    """
    top_B, left_B, height_B, width_B = boxes_B4.unbind(dim=1)
    batch, channels, height, width = images_BCHW.shape
    full_scale = 255.0 if images_BCHW.dtype == torch.uint8 else 1.0
    columns_BSW = bicubic_weights(left_B, width_B, size, width, flip_B)
    rows_BSH = bicubic_weights(top_B, height_B, size, height, torch.zeros_like(flip_B))
    flat_BXW = images_BCHW.float().reshape(batch, channels * height, width)
    narrow_BXS = torch.bmm(flat_BXW, columns_BSW.transpose(1, 2))
    narrow_BCHS = narrow_BXS.view(batch, channels, height, size)
    out_BCSS = torch.matmul((rows_BSH / full_scale)[:, None], narrow_BCHS)
    return out_BCSS.clamp_(0, 1)


def flip(images_BCHW: Tensor, flip_B: Tensor) -> Tensor:
    """Mirrors the images where flip_B, left to right."""
    return torch.where(_per_image(flip_B), images_BCHW.flip(3), images_BCHW)


def luma(images_BCHW: Tensor) -> Tensor:
    """Brightness of each pixel [B, 1, H, W]; a gray image is its own luma."""
    if images_BCHW.shape[1] == 1:
        return images_BCHW
    red, green, blue = images_BCHW[:, 0:1], images_BCHW[:, 1:2], images_BCHW[:, 2:3]
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def blend(images_BCHW: Tensor, factor_B: Tensor, to_mean_B: Tensor, to_luma_B: Tensor) -> Tensor:
    """Brightness, contrast or saturation, whichever each image is to have: all three are blends.

    factor x image + (1 - factor) x base, clipped, where the base is black (brightness), the mean luma of the
    image (contrast, to_mean_B) or each pixel's luma (saturation, to_luma_B), as in Pillow's ImageEnhance.

    Args:
        factor_B: at least 0; 1 is the image itself. to_mean_B, to_luma_B: bool, not both.
    """
    luma_B1HW = luma(images_BCHW)
    mean_B = luma_B1HW.mean(dim=(1, 2, 3))
    offset_B = (1 - factor_B) * to_mean_B * mean_B
    if images_BCHW.shape[1] == 1:
        # Towards its own luma a gray image does not move.
        scale_B = torch.where(to_luma_B, 1.0, factor_B)
        return torch.addcmul(_per_image(offset_B), images_BCHW, _per_image(scale_B)).clamp_(0, 1)
    base_B1HW = torch.addcmul(_per_image(offset_B), luma_B1HW, _per_image((1 - factor_B) * to_luma_B))
    return torch.addcmul(base_B1HW, images_BCHW, _per_image(factor_B)).clamp_(0, 1)


def shift_hue(images_BCHW: Tensor, shift_B: Tensor, fires_B: Tensor) -> Tensor:
    """Turns the hue of RGB images where fires_B, keeping value and saturation of HSV.

    Args:
        images_BCHW: [B, 3, H, W]. shift_B: in turns of the colour circle, -0.5 to 0.5.
    """
    red, green, blue = images_BCHW.unbind(dim=1)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    # Hue in sixths of a turn. Where chroma is 0 so is every numerator: gray stays gray.
    divisor = chroma.clamp(min=1e-12)
    sixths = torch.where(
        green == value, (blue - red).div_(divisor).add_(2), ((red - green) / divisor).add_(4)
    )
    sixths = torch.where(red == value, (green - blue).div_(divisor), sixths)
    sixths = sixths.add_(shift_B[:, None, None] * 6).remainder_(6)
    shifted_BCHW = torch.empty_like(images_BCHW)
    # Each channel falls from the value by up to the chroma, as a trapezoid wave of the hue.
    for channel, (peak, sign) in enumerate(((3, 1), (2, -1), (4, -1))):
        fall = (sixths - peak).abs_().mul_(-sign).add_(2 * sign if sign > 0 else -1).clamp_(0, 1)
        torch.addcmul(value, fall, chroma, value=-1, out=shifted_BCHW[:, channel])
    return torch.where(_per_image(fires_B), shifted_BCHW, images_BCHW)


def grayscale(images_BCHW: Tensor, fires_B: Tensor) -> Tensor:
    """Replaces all channels by the luma where fires_B."""
    if images_BCHW.shape[1] == 1:
        return images_BCHW
    return torch.where(_per_image(fires_B), luma(images_BCHW), images_BCHW)


def blur_radius(size: int) -> int:
    """Taps on each side of the centre: the kernel is a tenth of the image, 23 taps at 224 px, 3 at 32.

    BYOL's code gives images below 20 px a single tap, which is no blur; here it is at least 3 taps.
    """
    return max(1, size // 10 // 2)


def gaussian_blur(images_BCHW: Tensor, sigma_B: Tensor) -> Tensor:
    """Gaussian blur with a standard deviation per image, in pixels; 0 leaves the image alone.

    Edges are mirrored without repeating the outermost pixel, as in torchvision.

    Args:
        images_BCHW: square, larger than the blur's radius.
    """
    size = images_BCHW.shape[3]
    radius = blur_radius(size)
    taps_R = torch.arange(radius + 1, device=sigma_B.device)
    blurred_B1 = sigma_B[:, None] > 0
    exponent_BR = taps_R / torch.where(blurred_B1, sigma_B[:, None], 1.0)
    kernel_BR = torch.where(blurred_B1, exponent_BR.square().mul(-0.5).exp(), (taps_R == 0).float())
    kernel_BR = kernel_BR / (2 * kernel_BR.sum(dim=1, keepdim=True) - kernel_BR[:, :1])
    across = _convolve(images_BCHW, kernel_BR, dim=3)
    return _convolve(across, kernel_BR, dim=2).clamp_(0, 1)


def solarize(images_BCHW: Tensor, threshold: float, fires_B: Tensor) -> Tensor:
    """Inverts the pixels at or above the threshold (0 to 1) where fires_B."""
    threshold_B = torch.where(fires_B, threshold, torch.inf)
    return torch.where(images_BCHW < _per_image(threshold_B), images_BCHW, 1 - images_BCHW)


def _convolve(images_BCHW: Tensor, kernel_BR: Tensor, dim: int) -> Tensor:
    """Convolves along one axis with the symmetric kernel whose centre and right half are given."""
    radius = kernel_BR.shape[1] - 1
    pixels = images_BCHW.shape[dim]
    padding = (radius, radius, 0, 0) if dim == 3 else (0, 0, radius, radius)
    padded = torch.nn.functional.pad(images_BCHW, padding, mode="reflect")
    out = images_BCHW * _per_image(kernel_BR[:, 0])
    for tap in range(1, radius + 1):
        left = padded.narrow(dim, radius - tap, pixels)
        right = padded.narrow(dim, radius + tap, pixels)
        out.addcmul_(left + right, _per_image(kernel_BR[:, tap]))
    return out


def _per_image(values_B: Tensor) -> Tensor:
    return values_B[:, None, None, None]
