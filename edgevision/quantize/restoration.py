"""Super-resolution as it is scored: bicubic down, the network up again, PSNR and SSIM on luma without the border.

The luma is that of ITU-R BT.601 in 16..235, the peak 255, a border as wide as the scale is left out, and SSIM is that
of Z. Wang et al. (IEEE Transactions on Image Processing 13, 2004): a Gaussian window of 11 pixels and sigma 1.5, valid
positions only. These are the conventions of the field's tables.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.calibration.arrays import Make
from edgevision.calibration.open_data import open_data
from edgevision.calibration.source import Image, Source
from edgevision.errors import DataError

__all__ = [
    "bicubic_down",
    "bicubic_up",
    "large_pictures",
    "luma",
    "normalisation",
    "pairs",
    "psnr",
    "scale_between",
    "ssim",
]

Floats = NDArray[np.float64]
_WINDOW, _SIGMA = 11, 1.5


def scale_between(inputs: tuple[int, ...], outputs: tuple[int, ...]) -> int | None:
    """How many times the pixels of [N, C, H, W] = `inputs` fit into `outputs`; None where these are no images."""
    if len(inputs) != 4 or len(outputs) != 4 or inputs[1] != outputs[1]:
        return None
    scale = outputs[2] // inputs[2]
    fits = scale >= 1 and (inputs[2] * scale, inputs[3] * scale) == (outputs[2], outputs[3])
    return scale if fits else None


def large_pictures(text: str | Make, shape: tuple[int, int, int], scale: int, how: Mapping[str, Any] | None) -> Source:
    """The data called `text` at the size of the network's answers; `shape` is that of its input [C, H, W].

    Raises:
        DataError: the data has no pictures of that size.
    """
    channels, height, width = shape
    try:
        return open_data(text, (channels, height * scale, width * scale), how)
    except DataError as error:
        raise DataError(
            error.thing, f"scoring super-resolution needs pictures of the answers' size: {error.reason}", error.mend
        ) from error


def normalisation(how: Mapping[str, Any] | None) -> tuple[Image, Image]:
    """Mean and std [C, 1, 1] that a model's inputs are normalised with; inputs in 0..1 where it does not say."""
    known = how or {}
    mean, std = (np.asarray(known.get(key, [default]), np.float32) for key, default in (("mean", 0.0), ("std", 1.0)))
    return mean.reshape(-1, 1, 1), std.reshape(-1, 1, 1)


def pairs(
    source: Source, scale: int, how: Mapping[str, Any] | None, limit: int | None
) -> Iterator[tuple[Image, Image]]:
    """Network input [1, C, h, w] and true picture [C, H, W] in 0..1, for each picture of `source`."""
    mean, std = normalisation(how)
    for index, sample in enumerate(source):
        if limit is not None and index >= limit:
            return
        truth = np.clip(sample.image * std + mean, 0, 1)
        yield ((bicubic_down(truth, scale) - mean) / std)[None], truth


def bicubic_down(picture: Image, scale: int) -> Image:
    """[C, H, W] in 0..1, `scale` times smaller, in 8-bit steps, with a bicubic kernel as wide as the step."""
    return _resized(picture, picture.shape[1] // scale, picture.shape[2] // scale)


def bicubic_up(picture: Image, scale: int) -> Image:
    """[C, H, W] in 0..1, `scale` times larger: what a network has to beat."""
    return _resized(picture, picture.shape[1] * scale, picture.shape[2] * scale)


def _resized(picture: Image, height: int, width: int) -> Image:
    from PIL import Image as Pillow

    pixels = np.round(np.clip(picture, 0, 1).transpose(1, 2, 0) * 255).astype(np.uint8)
    small = Pillow.fromarray(pixels).resize((width, height), Pillow.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(small, np.float32).transpose(2, 0, 1) / 255, np.float32)


def luma(picture: NDArray[Any], border: int) -> Floats:
    """[H, W] in 16..235 of [C, H, W] in 0..1, rounded to 8 bits first, without `border` pixels on each side."""
    pixels = np.round(np.clip(picture.astype(np.float64), 0, 1) * 255)
    grey = 16 + np.tensordot(np.array([65.481, 128.553, 24.966]) / 255, pixels, axes=1)
    end = -border or None
    return np.asarray(grey[border:end, border:end])


def psnr(truth: Floats, result: Floats) -> float:
    """Peak signal to noise in dB, of lumas."""
    error = float(((truth - result) ** 2).mean())
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def ssim(truth: Floats, result: Floats) -> float:
    """Mean structural similarity of lumas."""
    a, b = truth, result
    mean_a, mean_b = _blurred(a), _blurred(b)
    var_a, var_b = _blurred(a * a) - mean_a**2, _blurred(b * b) - mean_b**2
    both = _blurred(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    alike = (2 * mean_a * mean_b + c1) * (2 * both + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return float(alike.mean())


def _blurred(x: Floats) -> Floats:
    offsets = np.arange(_WINDOW) - _WINDOW // 2
    taps = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    taps /= taps.sum()
    for axis in (0, 1):
        x = np.lib.stride_tricks.sliding_window_view(x, _WINDOW, axis=axis) @ taps
    return x
