"""The projected scan through the reference of the scan, in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgevision.ops.selective_scan.reference import reference as selective_scan

if TYPE_CHECKING:
    from edgevision.ops.operator import Array, AttributeValue

__all__ = ["example", "reference"]


def reference(inputs: Sequence[Array | None], attributes: Mapping[str, AttributeValue]) -> list[Array]:
    """Project, scan each group over the row-major pixels, sum the groups."""
    x, projection, steps, A, D, bias = (np.asarray(t, np.float64) for t in inputs)
    batch, channels = x.shape[:2]
    u = x.reshape(batch, channels, -1)
    if attributes.get("silu"):
        u = u / (1 + np.exp(-u))
    groups, rank = len(steps) // channels, steps.shape[1]
    rows = projection @ u
    low, B, C = np.split(rows, [groups * rank, groups * (rank + 1)], axis=1)
    delta = np.einsum("kcr,bkrl->bkcl", steps.reshape(groups, channels, rank), low.reshape(batch, groups, rank, -1))
    given = {"delta_softplus": 1, "reverse": attributes.get("reverse", (0,))}
    scanned = [u, delta.reshape(batch, groups * channels, -1), A, B[:, :, None], C[:, :, None], D, bias, None]
    (y,) = selective_scan(scanned, given)
    return [y.reshape(batch, groups, *x.shape[1:]).sum(1)]


def example(rng: np.random.Generator) -> tuple[list[Array], dict[str, AttributeValue]]:
    """Two groups, one of them from the end, on maps of five channels, three by four."""
    C, R = 5, 3
    sizes = ((2, C, 3, 4), (2 * (R + 2), C), (2 * C, R), (2 * C, 1), (2 * C,), (2 * C,))
    inputs: list[Array] = [rng.standard_normal(size).astype(np.float32) for size in sizes]
    inputs[3] = -np.abs(inputs[3])
    return inputs, {"reverse": (0, 1), "silu": 1}
