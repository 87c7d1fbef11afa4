"""The response norm as its definition reads, in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import erf
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edgevision.ops.operator import Array, AttributeValue

__all__ = ["example", "reference"]


def reference(inputs: Sequence[Array | None], attributes: Mapping[str, AttributeValue]) -> list[Array]:
    """GELU where asked for, norms, their share of the mean."""
    x, gamma = (np.asarray(t, np.float64) for t in inputs[:2])
    if attributes.get("gelu", 0):
        x = x * 0.5 * (1 + np.vectorize(erf, otypes=[np.float64])(x / np.sqrt(2)))
    norm = np.sqrt((x**2).sum((2, 3), keepdims=True))
    share = norm / (norm.mean(1, keepdims=True) + float(str(attributes.get("epsilon", 1e-6))))
    return [(gamma.reshape(1, -1, 1, 1) * share + 1) * x]


def example(rng: np.random.Generator) -> tuple[list[Array], dict[str, AttributeValue]]:
    """Two images of five channels, six by four pixels, behind a GELU."""
    sizes = ((2, 5, 6, 4), (5,))
    return [rng.standard_normal(size).astype(np.float32) for size in sizes], {"gelu": 1, "epsilon": 1e-6}
