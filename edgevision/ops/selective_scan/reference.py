"""The selective scan as its definition reads, one step after the other, in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edgevision.ops.operator import Array, AttributeValue

__all__ = ["directions", "example", "reference"]

Float = NDArray[np.float64]


def directions(reverse: Sequence[int], groups: int) -> tuple[bool, ...]:
    """Which groups scan from the end: `reverse` has one entry per group, or is (0,) for none of them."""
    if tuple(reverse) == (0,):
        return (False,) * groups
    if len(reverse) != groups:
        raise ValueError(f"reverse has {len(reverse)} entries for {groups} groups")
    return tuple(bool(r) for r in reverse)


def reference(inputs: Sequence[Array | None], attributes: Mapping[str, AttributeValue]) -> list[Array]:
    """Gu & Dao 2023 (arXiv:2312.00752), equation 2 with the discretisation of their `selective_scan_ref`."""
    u, delta, A, B, C, D, bias, z = (
        None if t is None else np.asarray(t, np.float64) for t in (*inputs, *(None,) * (8 - len(inputs)))
    )
    if u is None or delta is None or A is None or B is None or C is None:
        raise ValueError("u, delta, A, B and C are required")
    K = B.shape[1]
    dt = delta if bias is None else delta + bias[:, None]
    if attributes.get("delta_softplus", 0):
        dt = np.logaddexp(0.0, dt)
    if u.shape[1] != delta.shape[1]:
        u = np.tile(u, (1, K, 1))
    reverse = attributes.get("reverse", (0,))
    if not isinstance(reverse, tuple):
        raise TypeError("reverse is a tuple of ints")
    y = _scan(u, dt, A, B, C, directions(reverse, K))
    if D is not None:
        y = y + D[:, None] * u
    if z is not None:
        y = y * z / (1.0 + np.exp(-z))
    return [y]


def _scan(u: Float, dt: Float, A: Float, B: Float, C: Float, reversed_groups: Sequence[bool]) -> Float:
    Dg, L = A.shape[0] // B.shape[1], u.shape[2]
    y = np.empty_like(dt)
    for k, backward in enumerate(reversed_groups):
        rows = slice(k * Dg, (k + 1) * Dg)
        h = np.zeros((u.shape[0], Dg, A.shape[1]))
        for t in range(L - 1, -1, -1) if backward else range(L):
            step = dt[:, rows, t, None]
            h = np.exp(step * A[rows]) * h + step * u[:, rows, t, None] * B[:, k, None, :, t]
            y[:, rows, t] = (h * C[:, k, None, :, t]).sum(-1)
    return y


def example(rng: np.random.Generator) -> tuple[list[Array], dict[str, AttributeValue]]:
    """Two groups of three channels that share u and scan from both ends, two states, seven steps."""
    Bt, K, Dg, N, L = 2, 2, 3, 2, 7
    sizes = (
        (Bt, Dg, L),
        (Bt, K * Dg, L),
        (K * Dg, N),
        (Bt, K, N, L),
        (Bt, K, N, L),
        (K * Dg,),
        (K * Dg,),
        (Bt, K * Dg, L),
    )
    inputs: list[Array] = [rng.standard_normal(size).astype(np.float32) for size in sizes]
    inputs[2] = -np.exp(inputs[2])
    return inputs, {"delta_softplus": 1, "reverse": (0, 1)}
