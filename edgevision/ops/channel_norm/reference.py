"""The channel norm as its definition reads, in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edgevision.ops.operator import Array, AttributeValue

__all__ = ["example", "reference"]


def reference(inputs: Sequence[Array | None], attributes: Mapping[str, AttributeValue]) -> list[Array]:
    """Sum over groups, layer norm over channels, gate. The result has the shape of z, or that of x with C channels."""
    x, weight, bias = (np.asarray(t, np.float64) for t in inputs[:3])
    z = inputs[3] if len(inputs) > 3 else None
    channels = len(weight)
    v = x.reshape(len(x), -1, channels, *x.shape[2:]).sum(1)
    apart = v - v.mean(1, keepdims=True)
    unit = apart / np.sqrt((apart**2).mean(1, keepdims=True) + float(str(attributes.get("epsilon", 1e-5))))
    per_channel = (channels, *(1 for _ in x.shape[2:]))
    y = unit * weight.reshape(per_channel) + bias.reshape(per_channel)
    if z is None:
        return [y]
    gate = np.asarray(z, np.float64)
    return [y.reshape(gate.shape) * gate / (1 + np.exp(-gate))]


def example(rng: np.random.Generator) -> tuple[list[Array], dict[str, AttributeValue]]:
    """Two groups of five channels on a sequence of twelve, gated by maps of three by four."""
    sizes = ((2, 10, 12), (5,), (5,), (2, 5, 3, 4))
    return [rng.standard_normal(size).astype(np.float32) for size in sizes], {"epsilon": 1e-3}
