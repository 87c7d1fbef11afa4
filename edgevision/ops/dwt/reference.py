"""The DWT as its definition reads, one tap after the other, in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgevision.ops.wavelet import analysis

if TYPE_CHECKING:
    from edgevision.ops.operator import Array, AttributeValue

__all__ = ["example", "reference"]


def reference(inputs: Sequence[Array | None], attributes: Mapping[str, AttributeValue]) -> list[Array]:
    """PyWavelets' `dwt2` with any four filters, given in correlation orientation."""
    x, filters = (np.asarray(t, np.float64) for t in inputs)
    mode = str(attributes.get("mode", "zero"))
    Bt, C, H, W = x.shape
    k = filters.shape[-1]
    taps = np.broadcast_to(filters.reshape(-1, 4, k, k), (C, 4, k, k))
    rows, columns = _sources(H, k, mode), _sources(W, k, mode)
    padded = np.pad(x, ((0, 0), (0, 0), (0, 1), (0, 1)))
    y = np.zeros((Bt, C, 4, rows.shape[0], columns.shape[0]))
    for m in range(k):
        for n in range(k):
            y += padded[:, :, None, rows[:, m, None], columns[None, :, n]] * taps[None, :, :, m, n, None, None]
    return [y]


def _sources(size: int, k: int, mode: str) -> NDArray[np.intp]:
    """[outputs, taps]: which sample a tap reads; `size` stands for the zero outside."""
    border = analysis(size, k, mode)
    at: NDArray[np.intp] = 2 * np.arange(border.size)[:, None] - border.before + np.arange(k)[None]
    if mode == "periodization":
        at %= 2 * border.size
        return at.clip(max=size - 1)
    at[(at < 0) | (at >= size)] = size
    return at


def example(rng: np.random.Generator) -> tuple[list[Array], dict[str, AttributeValue]]:
    """Two images of three channels and odd sizes, four taps per channel."""
    inputs: list[Array] = [rng.standard_normal(size).astype(np.float32) for size in ((2, 3, 7, 9), (12, 1, 4, 4))]
    return inputs, {"mode": "zero"}
