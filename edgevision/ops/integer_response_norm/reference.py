"""The integer response norm as its definition reads, in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edgevision.ops.operator import Array, AttributeValue

__all__ = ["example", "reference"]


def reference(inputs: Sequence[Array | None], attributes: Mapping[str, AttributeValue]) -> list[Array]:
    """Lookup, norms, their share of the mean, rounded and saturated."""
    x, table, gamma = (np.asarray(t) for t in inputs[:3])
    epsilon, scale, zero = (
        float(str(attributes.get(k, v))) for k, v in (("epsilon", 1e-6), ("scale", 1), ("zero_point", 0))
    )
    limits = np.iinfo(x.dtype)
    g = table.astype(np.float64)[x.astype(np.int64)]
    norm = np.sqrt((g**2).sum((1, 2), keepdims=True))
    share = norm / (norm.mean(-1, keepdims=True) + epsilon)
    y = (gamma.astype(np.float64) * share + 1) * g / scale + zero
    return [np.clip(np.rint(y), limits.min, limits.max).astype(x.dtype)]


def example(rng: np.random.Generator) -> tuple[list[Array], dict[str, AttributeValue]]:
    """Two images of six by four pixels with five channels."""
    x = rng.integers(0, 256, (2, 6, 4, 5)).astype(np.uint8)
    table, gamma = (rng.standard_normal(size).astype(np.float32) for size in (256, 5))
    return [x, table, gamma], {"epsilon": 1e-6, "scale": 0.03125, "zero_point": 120}
