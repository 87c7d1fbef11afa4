"""An image as the model's input, the network's normalization inside the program.

Core ML's own image scaling has one factor for all three channels; networks have one a channel. So the package takes
pixels as they are, 0 to 255, and its first two operations are (x * 1/(255 std)) - mean/std, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgevision.errors import UsageError

__all__ = ["Image", "normalize", "normalized", "pixels_of"]


@dataclass(frozen=True, kw_only=True)
class Image:
    """Takes the input as an image.

    Attributes:
        mean, std: per channel, of pixels scaled to 0..1, in the order of the channels the network expects.
        color: `RGB` or `BGR`, the order the network expects.
    """

    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    color: str = "RGB"

    def __post_init__(self) -> None:
        if self.color not in ("RGB", "BGR") or len(self.mean) != 3 or len(self.std) != 3:
            raise UsageError("image input", f"{self} is not three channels of RGB or BGR", "give three means and stds")
        if min(self.std) <= 0:
            raise UsageError("image input", f"std {self.std} is not positive", "give the std of pixels scaled to 0..1")


def normalize(image: Image, pixels: Any) -> Any:
    """The MIL operations from pixels [N, 3, H, W] in 0..255 to the network's input."""
    from coremltools.converters.mil.mil import Builder as mb

    mean, std = (np.asarray(values, np.float64).reshape(1, 3, 1, 1) for values in (image.mean, image.std))
    scaled = mb.mul(x=pixels, y=(1 / (255 * std)).astype(np.float32))
    return mb.add(x=scaled, y=(-mean / std).astype(np.float32))


def normalized(image: Image, pixels: Any) -> Any:
    """The same in numpy, for proofs: float32 in, float32 out."""
    mean, std = (np.asarray(values, np.float64).reshape(1, 3, 1, 1) for values in (image.mean, image.std))
    return ((np.asarray(pixels, np.float64) / 255 - mean) / std).astype(np.float32)


def pixels_of(image: Image, values: Any) -> Any:
    """The pixels, float32 of whole numbers 0 to 255, that `normalized` makes into `values`, or the nearest there are."""
    mean, std = (np.asarray(entry, np.float64).reshape(1, 3, 1, 1) for entry in (image.mean, image.std))
    return np.rint((np.asarray(values, np.float64) * std + mean) * 255).clip(0, 255).astype(np.float32)
