"""The inverse DWT as its definition reads, one tap after the other, in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgevision.ops.wavelet import synthesis

if TYPE_CHECKING:
    from edgevision.ops.operator import Array, AttributeValue

__all__ = ["example", "reference"]


def reference(inputs: Sequence[Array | None], attributes: Mapping[str, AttributeValue]) -> list[Array]:
    """PyWavelets' `idwt2` with any four filters: every coefficient adds its filter to the image."""
    x, filters = (np.asarray(t, np.float64) for t in inputs)
    mode = str(attributes.get("mode", "zero"))
    crop = attributes.get("crop", (0, 0))
    if not isinstance(crop, tuple):
        raise TypeError("crop is a tuple of two ints")
    Bt, C, _, h, w = x.shape
    k = filters.shape[-1]
    taps = np.broadcast_to(filters.reshape(-1, 4, k, k), (C, 4, k, k))
    H, W = synthesis(h, k, mode).size, synthesis(w, k, mode).size
    lead = k - 2 if mode == "zero" else k // 2 - 1
    wide = np.zeros((Bt, C, 2 * h + k, 2 * w + k))
    for m in range(k):
        for n in range(k):
            added = (x * taps[None, :, :, m, n, None, None]).sum(2)
            wide[:, :, m : m + 2 * h : 2, n : n + 2 * w : 2] += added
    if mode == "zero":
        y = wide[:, :, lead : lead + H, lead : lead + W]
    else:
        y = np.zeros((Bt, C, H, W))
        for i in range(wide.shape[2]):
            for j in range(wide.shape[3]):
                y[:, :, (i - lead) % H, (j - lead) % W] += wide[:, :, i, j]
    return [y[:, :, : H - crop[0], : W - crop[1]]]


def example(rng: np.random.Generator) -> tuple[list[Array], dict[str, AttributeValue]]:
    """Two images of three channels and four bands, four taps per channel, cropped to odd sizes."""
    inputs: list[Array] = [rng.standard_normal(size).astype(np.float32) for size in ((2, 3, 4, 5, 6), (12, 1, 4, 4))]
    return inputs, {"mode": "zero", "crop": (1, 1)}
