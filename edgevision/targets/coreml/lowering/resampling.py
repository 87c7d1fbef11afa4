"""The matrix of a 1-D resize: row i holds the weights of output i, exactly as the ONNX standard defines Resize.

Every mode of Resize with static sizes is linear and separable, so one matrix an axis says everything about it; two
operators are the same resize exactly when their matrices are.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Resampling", "matrix", "native_matrix"]

Matrix = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """One axis of a Resize: sizes, `scale` as given or derived, and the attributes."""

    size: int
    output: int
    scale: float
    mode: str
    transform: str
    nearest: str = "round_prefer_floor"
    cubic: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False
    region: tuple[float, float] = (0.0, 1.0)

    def origin(self, index: int) -> float:
        """Where output `index` lies on the input's axis (attribute `coordinate_transformation_mode`)."""
        n, m, s = self.size, self.output, self.scale
        start, end = self.region
        if self.transform == "align_corners":
            # The standard takes the length before it is rounded to `output`.
            return index * (n - 1) / (n * s - 1) if m > 1 else 0.0
        if self.transform == "asymmetric":
            return index / s
        if self.transform == "tf_crop_and_resize":
            if m == 1:
                return 0.5 * (start + end) * (n - 1)
            return start * (n - 1) + index * (end - start) * (n - 1) / (m - 1)
        if self.transform == "pytorch_half_pixel" and m == 1:
            return -0.5 if n == 0 else 0.0
        centre = (index + 0.5) / s
        if self.transform == "tf_half_pixel_for_nn":
            return centre
        if self.transform == "half_pixel_symmetric":
            return n / 2 * (1 - m / (s * n)) + centre - 0.5
        return centre - 0.5


def _nearest(axis: Resampling, x: float) -> int:
    rounding: dict[str, Any] = {
        "round_prefer_floor": lambda v: ceil(v - 0.5),
        "round_prefer_ceil": lambda v: floor(v + 0.5),
        "floor": floor,
        "ceil": ceil,
    }
    return int(rounding[axis.nearest](x))


def _cubic_kernel(distance: float, a: float) -> float:
    # Keys' kernel: (a+2)d^3 - (a+3)d^2 + 1 within 1, a d^3 - 5a d^2 + 8a d - 4a within 2.
    d = abs(distance)
    if d <= 1:
        return ((a + 2) * d - (a + 3)) * d * d + 1
    return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a if d < 2 else 0.0


def _taps(axis: Resampling, x: float) -> list[tuple[int, float]]:
    """Input places (possibly outside) and weights of one output."""
    base = floor(x)
    if axis.mode == "nearest":
        return [(_nearest(axis, x), 1.0)]
    reach = 1 if axis.mode == "linear" else 2
    shrink = min(axis.scale, 1.0) if axis.antialias else 1.0
    first = floor(-reach / shrink) + 1
    places = range(base + first, base + 2 - first)
    if axis.mode == "linear":
        weights = [max(0.0, 1 - abs(p - x) * shrink) for p in places]
    else:
        weights = [_cubic_kernel((p - x) * shrink, axis.cubic) for p in places]
    total = sum(weights) if axis.antialias else 1.0
    return [(place, weight / total) for place, weight in zip(places, weights, strict=True)]


def matrix(axis: Resampling) -> Matrix:
    """[output, size] float64; rows of a cropped-away region are zero."""
    result = np.zeros((axis.output, axis.size))
    for row in range(axis.output):
        x = axis.origin(row)
        if axis.transform == "tf_crop_and_resize" and not 0 <= x <= axis.size - 1:
            continue
        taps = _taps(axis, x)
        if axis.exclude_outside:
            taps = [(p, w) for p, w in taps if 0 <= p < axis.size]
            total = sum(w for _, w in taps)
            taps = [(p, w / total) for p, w in taps]
        for place, weight in taps:
            result[row, min(max(place, 0), axis.size - 1)] += weight
    return result


def native_matrix(size: int, output: int, sampling_mode: str) -> Matrix:
    """The matrix of MIL's `resize_bilinear`, from the grid its documentation gives for `sampling_mode`."""
    rows = np.arange(output)
    if sampling_mode == "STRICT_ALIGN_CORNERS":
        grid = rows * (size - 1) / (output - 1) if output > 1 else np.zeros(1)
    elif sampling_mode == "DEFAULT":
        grid = rows * (size - size / output) / (output - 1) if output > 1 else np.zeros(1)
    else:  # UNALIGN_CORNERS
        grid = (rows + 0.5) * size / output - 0.5
    grid = np.clip(grid, 0, size - 1)
    low = np.floor(grid).astype(int)
    high = np.minimum(low + 1, size - 1)
    result = np.zeros((output, size))
    result[rows, low] += 1 - (grid - low)
    result[rows, high] += grid - low
    return result
