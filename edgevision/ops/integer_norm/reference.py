"""The integer norm as its definition reads, in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edgevision.ops.operator import Array, AttributeValue

__all__ = ["example", "reference"]


def reference(inputs: Sequence[Array | None], attributes: Mapping[str, AttributeValue]) -> list[Array]:
    """Norm, rounded and saturated."""
    x, weight, bias = (np.asarray(t) for t in inputs[:3])
    limits = np.iinfo(x.dtype)
    values = x.astype(np.float64)
    apart = values - values.mean(-1, keepdims=True)
    unit = apart / np.sqrt((apart**2).mean(-1, keepdims=True) + float(str(attributes.get("epsilon", 1e-5))))
    y = unit * weight.astype(np.float64) + bias.astype(np.float64)
    return [np.clip(np.rint(y), limits.min, limits.max).astype(x.dtype)]


def example(rng: np.random.Generator) -> tuple[list[Array], dict[str, AttributeValue]]:
    """Two maps of six by four pixels with five channels."""
    x = rng.integers(0, 256, (2, 6, 4, 5)).astype(np.uint8)
    weight, bias = (40 * rng.standard_normal((2, 5)) + [[0], [120]]).astype(np.float32)
    return [x, weight, bias], {"epsilon": 1e-2}
