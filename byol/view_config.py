"""The settings of one view, each a documented field with its range."""

from dataclasses import dataclass

from byol.errors import ConfigError
from byol.fields import check_fields
from byol.fields import newer as _newer
from byol.fields import number as _number


@dataclass(frozen=True, kw_only=True)
class ViewConfig:
    """How a view is drawn. The defaults are what BYOL's two views have in common.

    Order of operations: crop, flip, colour jitter, grayscale, blur, solarize (arXiv 2006.07733, appendix B).
    """

    crop_scale_min: float = _number(0.08, 0.001, 1)
    """Smallest area of the crop, as a share of the image."""
    crop_scale_max: float = _number(1.0, 0.001, 1)
    """Largest area of the crop, as a share of the image."""
    crop_ratio_min: float = _number(3 / 4, 0.1, 10)
    """Smallest aspect ratio (width over height) of the crop; drawn log-uniformly."""
    crop_ratio_max: float = _number(4 / 3, 0.1, 10)
    """Largest aspect ratio of the crop."""
    crop_sampler: str = _newer("reject", since="0.3.0", options=("reject", "clip"))
    """What becomes of a crop that does not fit into the image: `reject` draws another (torchvision), `clip`
    cuts off what lies outside (deepmind-research), which makes crops larger and some of them less square."""
    flip_p: float = _number(0.5, 0, 1)
    """Probability of a horizontal flip."""
    jitter_p: float = _number(0.8, 0, 1)
    """Probability of colour jitter."""
    brightness: float = _number(0.4, 0, 1)
    """Brightness factor is uniform in 1 - brightness to 1 + brightness."""
    contrast: float = _number(0.4, 0, 1)
    """Contrast factor is uniform in 1 - contrast to 1 + contrast."""
    saturation: float = _number(0.2, 0, 1)
    """Saturation factor is uniform in 1 - saturation to 1 + saturation."""
    hue: float = _number(0.1, 0, 0.5)
    """Hue shift is uniform in -hue to hue, in turns of the colour circle."""
    grayscale_p: float = _number(0.2, 0, 1)
    """Probability of turning the view to shades of gray."""
    blur_p: float = _number(0.0, 0, 1)
    """Probability of a Gaussian blur: 1.0 in BYOL's first view, 0.1 in its second."""
    blur_sigma_min: float = _number(0.1, 0.01, 100)
    """Smallest standard deviation of the blur, in pixels."""
    blur_sigma_max: float = _number(2.0, 0.01, 100)
    """Largest standard deviation of the blur, in pixels."""
    solarize_p: float = _number(0.0, 0, 1)
    """Probability of inverting all pixels at or above the threshold: 0 and 0.2 in BYOL's views."""
    solarize_threshold: float = _number(0.5, 0, 1)
    """Threshold of solarize, as a share of full scale."""

    def __post_init__(self) -> None:
        check_fields(self)
        for stem in ("crop_scale", "crop_ratio", "blur_sigma"):
            low, high = getattr(self, f"{stem}_min"), getattr(self, f"{stem}_max")
            if low > high:
                raise ConfigError(f"{stem}_min", low, f"must not exceed {stem}_max = {high:g}")
