"""The depthwise convolution as its definition reads, one tap after the other, in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edgevision.ops.operator import Array, AttributeValue

__all__ = ["example", "reference"]


def reference(inputs: Sequence[Array | None], attributes: Mapping[str, AttributeValue]) -> list[Array]:
    """y[c, i, j] = bias[c] + sum over taps (m, n) of weight[c, m, n] x[c, s i + d m - top, s j + d n - left]."""
    x, weight = (np.asarray(t, np.float64) for t in inputs[:2])
    (sh, sw), (dh, dw) = (_ints(attributes, name, (1, 1)) for name in ("strides", "dilations"))
    top, left, bottom, right = _ints(attributes, "pads", (0, 0, 0, 0))
    wide = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    kh, kw = weight.shape[2:]
    rows = (wide.shape[2] - dh * (kh - 1) - 1) // sh + 1
    columns = (wide.shape[3] - dw * (kw - 1) - 1) // sw + 1
    y = np.zeros((*x.shape[:2], rows, columns))
    for m in range(kh):
        for n in range(kw):
            seen = wide[:, :, m * dh : m * dh + sh * (rows - 1) + 1 : sh, n * dw : n * dw + sw * (columns - 1) + 1 : sw]
            y += weight[:, :, m, n, None].reshape(1, -1, 1, 1) * seen
    bias = inputs[2] if len(inputs) > 2 else None
    return [y if bias is None else y + np.asarray(bias, np.float64).reshape(1, -1, 1, 1)]


def _ints(attributes: Mapping[str, AttributeValue], name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    value = attributes.get(name, default)
    return tuple(value) if isinstance(value, list | tuple) else default


def example(rng: np.random.Generator) -> tuple[list[Array], dict[str, AttributeValue]]:
    """Five channels, a kernel larger than the map, unequal strides, pads and dilations."""
    inputs: list[Array] = [rng.standard_normal(s).astype(np.float32) for s in ((2, 5, 6, 7), (5, 1, 7, 3), (5,))]
    return inputs, {"strides": (1, 2), "pads": (3, 1, 3, 2), "dilations": (1, 2)}
