"""The wavelet convolution through the references of the transforms, in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgevision.ops.dwt.reference import reference as dwt
from edgevision.ops.idwt.reference import reference as idwt

if TYPE_CHECKING:
    from edgevision.ops.operator import Array, AttributeValue

__all__ = ["example", "reference"]


def reference(inputs: Sequence[Array | None], attributes: Mapping[str, AttributeValue]) -> list[Array]:
    """Transform, convolve each band, transform back, add."""
    x, forward, inverse, weight = (np.asarray(t, np.float64) for t in inputs[:4])
    bias, residual = (*inputs[4:], None, None)[:2]
    bands = np.asarray(dwt([x, forward], {"mode": "zero"})[0], np.float64)
    _, channels, _, rows, columns = bands.shape
    k = weight.shape[-1]
    around = ((0, 0), (0, 0), (0, 0), (k // 2, k // 2), (k // 2, k // 2))
    wide = np.pad(bands, around)
    taps = weight.reshape(1, channels, 4, k, k)
    mixed = np.zeros_like(bands)
    for m in range(k):
        for n in range(k):
            mixed += taps[..., m, n, None, None] * wide[..., m : m + rows, n : n + columns]
    if bias is not None:
        mixed += np.asarray(bias, np.float64).reshape(1, channels, 4, 1, 1)
    y = np.asarray(idwt([mixed, inverse], {"mode": "zero", "crop": (x.shape[2] % 2, x.shape[3] % 2)})[0], np.float64)
    if residual is not None:
        y = y + np.asarray(residual, np.float64)
    return [np.maximum(y, 0.0) if attributes.get("relu") else y]


def example(rng: np.random.Generator) -> tuple[list[Array], dict[str, AttributeValue]]:
    """Five by six pixels, three channels, filters of three by three."""
    C = 3
    sizes = ((2, C, 5, 6), (4 * C, 1, 2, 2), (4 * C, 1, 2, 2), (4 * C, 1, 3, 3), (4 * C,), (2, C, 5, 6))
    return [rng.standard_normal(size).astype(np.float32) for size in sizes], {"relu": 1}
