"""Batched image operations whose parameters differ from image to image: what views are made of.

Shape suffixes: B images, C channels (1 or 3), H x W pixels in, S pixels out per side, N pixels along one
axis. Images are float32 in 0 to 1 and stay there. A parameter_B that means "no change" (factor 1, sigma 0,
fires False, threshold infinity) changes no bit of that image. A trailing underscore means in place, as in
torch: on a CPU, allocating memory takes a good part of the time.

Nothing here waits for the device, branches on values or has shapes that depend on them, and no constant is
copied from the host, so that the operations can be captured in a CUDA graph.
"""

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G and B in the luma (ITU-R BT.601), as in Pillow's conversion to mode L."""

_OUTSIDE = 1e4  # A distance beyond the reach of any kernel.


def bicubic_weights(
    start_B: Tensor, length_B: Tensor, size: int, pixels: int, flip_B: Tensor | None = None
) -> Tensor:
    """Matrices that cut [start, start + length) out of a line of pixels and resize it, as Pillow does.

    The kernel is cubic convolution with a = -0.5, widened by the scale when shrinking (antialiasing); its
    window ends at the box, and each row sums to 1 (Pillow, src/libImaging/Resample.c).

    Args:
        start_B: first pixel of each box.
        length_B: pixels in each box, at least 1.
        size: pixels out (S).
        pixels: pixels in (N).
        flip_B: bool; mirrors the output.

    Returns:
        float32 [B, S, N].
    """
    length_B1 = length_B[:, None].float()
    scale_B1 = length_B1 / size
    reach_B1 = scale_B1.clamp(min=1)  # pixels in a unit of the kernel
    centre_S = torch.arange(size, device=start_B.device) + 0.5
    centre_BS = centre_S * (scale_B1 / reach_B1)
    if flip_B is not None:
        centre_BS = torch.where(flip_B[:, None], centre_BS.flip(1), centre_BS)
    place_BN = torch.arange(pixels, device=start_B.device) - start_B[:, None] + 0.5
    inside_BN = (place_BN > 0) & (place_BN < length_B1)
    place_BN = torch.where(inside_BN, place_BN / reach_B1, _OUTSIDE)
    distance_BSN = (place_BN[:, None, :] - centre_BS[:, :, None]).abs_()
    # With r = max(1 - d, -1) and q = max(r, 0) twice the two cubic pieces are r ((1 + r)^2 + q (2 - 4 q)):
    # no branches, and the factor 2 goes when the rows are normalised.
    r_BSN = torch.sub(1, distance_BSN, out=distance_BSN).clamp_(min=-1)
    q_BSN = r_BSN.clamp(min=0)
    weights_BSN = (r_BSN + 1).square_().addcmul_(q_BSN, torch.rsub(q_BSN, 2, alpha=4)).mul_(r_BSN)
    return weights_BSN.div_(weights_BSN.sum(dim=2, keepdim=True))


def crop_and_resize(images_BCHW: Tensor, boxes_B4: Tensor, flip_B: Tensor, size: int) -> Tensor:
    """Cuts a box out of each image, resizes it to a square (bicubic, antialiased) and mirrors some.

    Two products with banded matrices, and one clip at the end. Pillow also rounds and clips to 8 bits between
    its two passes, in an order that depends on the box. It is within 2/255 of this wherever the first pass
    does not overshoot black or white, and differs by a few levels more next to such edges.

    Args:
        images_BCHW: uint8, or float in 0 to 1.
        boxes_B4: top, left, height, width in pixels.
        flip_B: bool.
        size: pixels out per side (S).

    Returns:
        float32 [B, C, S, S] in 0 to 1.
    """
    top_B, left_B, height_B, width_B = boxes_B4.unbind(dim=1)
    height, width = images_BCHW.shape[2:]
    rows_BSH = bicubic_weights(top_B, height_B, size, height)
    columns_BSW = bicubic_weights(left_B, width_B, size, width, flip_B)
    if images_BCHW.dtype == torch.uint8:
        rows_BSH.div_(255)
    return _separable(images_BCHW.float(), rows_BSH, columns_BSW).clamp_(0, 1)


def flip(images_BCHW: Tensor, flip_B: Tensor) -> Tensor:
    """Mirrors the images left to right where flip_B is true."""
    return torch.lerp(images_BCHW, images_BCHW.flip(3), _per_image(flip_B.float()))


def luma(images_BCHW: Tensor) -> Tensor:
    """Brightness of each pixel [B, 1, H, W]; a gray image is its own luma."""
    if images_BCHW.shape[1] == 1:
        return images_BCHW
    red, green, blue = images_BCHW[:, 0:1], images_BCHW[:, 1:2], images_BCHW[:, 2:3]
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def blend_(images_BCHW: Tensor, factor_B: Tensor, mean_B: Tensor, luma_B: Tensor) -> Tensor:
    """factor x the image + mean x the image's mean luma + luma x each pixel's luma, clipped.

    Brightness, contrast and saturation by a factor f, as in Pillow's ImageEnhance, are (f, 0, 0),
    (f, 1 - f, 0) and (f, 0, 1 - f); (1, 0, 0) is the image itself.
    """
    luma_B1HW = luma(images_BCHW)
    base_B111 = _per_image(mean_B) * luma_B1HW.mean(dim=(1, 2, 3), keepdim=True)
    if images_BCHW.shape[1] == 1:
        return images_BCHW.mul_(_per_image(factor_B + luma_B)).add_(base_B111).clamp_(0, 1)
    base_B1HW = luma_B1HW.mul_(_per_image(luma_B)).add_(base_B111)
    return images_BCHW.mul_(_per_image(factor_B)).add_(base_B1HW).clamp_(0, 1)


def shift_hue_(images_BCHW: Tensor, shift_B: Tensor, fires_B: Tensor) -> Tensor:
    """Shifts the hue of RGB images where fires_B is true; value and saturation of HSV stay.

    Args:
        images_BCHW: [B, 3, H, W].
        shift_B: in turns of the colour circle, -0.5 to 0.5.
        fires_B: bool.
    """
    red, green, blue = images_BCHW.unbind(dim=1)
    value = torch.maximum(red, green).maximum(blue)
    chroma = value - torch.minimum(red, green).minimum(blue)
    # Chroma x hue in sixths of a turn, by which channel is the largest. lerp selects, for it is exact at 0
    # and 1; torch.where is several times slower on a CPU.
    sixths = (red - green).add_(chroma, alpha=4)
    sixths = sixths.lerp_((blue - red).add_(chroma, alpha=2), _equals(green, value))
    sixths = sixths.lerp_(green - blue, _equals(red, value))
    # Where chroma is 0 so is the numerator: gray stays gray.
    turns = sixths.div_(chroma.clamp(min=1e-12).mul_(6)).add_(shift_B[:, None, None])
    sixths = turns.sub_(turns.floor()).mul_(6)
    weight_B11 = fires_B[:, None, None].float()
    # Each channel falls from the value by up to the chroma, as a trapezoid wave of the hue.
    for channel, centre, rises in ((red, 3, False), (green, 2, True), (blue, 4, True)):
        distance = (sixths - centre).abs_()
        share = distance.sub_(1) if rises else distance.neg_().add_(2)
        channel.lerp_(torch.sub(value, share.clamp_(0, 1).mul_(chroma), out=share), weight_B11)
    return images_BCHW


def grayscale_(images_BCHW: Tensor, fires_B: Tensor) -> Tensor:
    """Replaces all channels by the luma where fires_B is true."""
    if images_BCHW.shape[1] == 1:
        return images_BCHW
    return images_BCHW.lerp_(luma(images_BCHW), _per_image(fires_B.float()))


def blur_radius(size: int) -> int:
    """Taps on each side of the kernel's centre; it spans a tenth of the image: 23 taps at 224 px, 3 at 32 px.

    BYOL's code gives images below 20 pixels a single tap, which is no blur; here there are at least 3 taps.
    """
    return max(1, size // 10 // 2)


def gaussian_blur(images_BCHW: Tensor, sigma_B: Tensor) -> Tensor:
    """Gaussian blur with a standard deviation per image, in pixels; 0 does not change the image.

    Edges are mirrored without repeating the outermost pixel, as in torchvision; BYOL's code pads with zeros,
    which darkens them.

    Args:
        images_BCHW: square, larger than the blur's radius.
        sigma_B: standard deviations.
    """
    size = images_BCHW.shape[3]
    pixel_N = torch.arange(size, device=sigma_B.device)
    tap_R11 = torch.arange(blur_radius(size) + 1, device=sigma_B.device)[:, None, None]
    # taps_RNN[r] adds the two pixels at distance r, for each pixel; at r = 0 that is twice the pixel itself.
    left_RN1, right_RN1 = (pixel_N[:, None] - tap_R11).abs(), pixel_N[:, None] + tap_R11
    right_RN1 = (size - 1) - ((size - 1) - right_RN1).abs()
    taps_RNN = (left_RN1 == pixel_N).float() + (right_RN1 == pixel_N).float()
    # At the smallest sigma all weight is on the centre, so a sigma of 0 needs no branch.
    exponent_BR = tap_R11.flatten() / sigma_B.clamp(min=1e-3)[:, None]
    kernel_BR = exponent_BR.square_().mul_(-0.5).exp_()
    kernel_BR[:, 0].mul_(0.5)
    kernel_BR = kernel_BR / (2 * kernel_BR.sum(dim=1, keepdim=True))
    matrix_BNN = (kernel_BR @ taps_RNN.flatten(1)).view(-1, size, size)
    return _separable(images_BCHW, matrix_BNN, matrix_BNN).clamp_(0, 1)


def solarize(images_BCHW: Tensor, threshold_B: Tensor) -> Tensor:
    """Inverts the pixels at or above each image's threshold (0 to 1); infinity changes none."""
    inverts_BCHW = torch.ge(images_BCHW, _per_image(threshold_B), out=torch.empty_like(images_BCHW))
    return inverts_BCHW.sub_(images_BCHW).abs_()


def _separable(images_BCHW: Tensor, rows_BSH: Tensor, columns_BSW: Tensor) -> Tensor:
    """rows @ image @ columns^T for each channel: [B, C, S, S]."""
    batch, channels, height, width = images_BCHW.shape
    narrow_BXS = torch.bmm(images_BCHW.reshape(batch, channels * height, width), columns_BSW.transpose(1, 2))
    narrow_BCHS = narrow_BXS.view(batch, channels, height, columns_BSW.shape[1])
    if channels == 1:
        return torch.bmm(rows_BSH, narrow_BCHS[:, 0])[:, None]
    return torch.matmul(rows_BSH[:, None], narrow_BCHS)


def _equals(a: Tensor, b: Tensor) -> Tensor:
    return torch.eq(a, b, out=torch.empty_like(a))  # 0.0 or 1.0: vectorised, unlike a bool


def _per_image(values_B: Tensor) -> Tensor:
    return values_B[:, None, None, None]
