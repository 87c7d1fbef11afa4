"""Inputs of the scan, ordinary and hard, and what float32 can be asked for on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevision.ops.operator import AttributeValue
from edgevision.ops.selective_scan import OPERATOR
from edgevision.ops.selective_scan.reference import directions
from edgevision.proof import difference

Inputs = list[NDArray[np.float32] | None]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """Which inputs are there, how groups scan, and how far delta and A go."""

    K: int = 1
    shared: bool = False
    reverse: tuple[int, ...] = (0,)
    softplus: bool = False
    D: bool = False
    bias: bool = False
    z: bool = False
    kind: str = "ordinary"

    @property
    def attributes(self) -> dict[str, AttributeValue]:
        return {"delta_softplus": int(self.softplus), "reverse": self.reverse}


VARIANTS = (
    Variant(softplus=True, D=True, bias=True, z=True),
    Variant(K=2, shared=True, reverse=(0, 1), softplus=True, D=True, bias=True),
    Variant(K=2, shared=True, reverse=(1, 0), kind="hard"),
    Variant(K=4, reverse=(0, 0, 1, 1), softplus=True, z=True, kind="slow"),
    Variant(K=3, shared=True, reverse=(1, 0, 1), bias=True, D=True, kind="hard"),
    Variant(reverse=(1,), D=True, kind="slow"),
)


def inputs_of(v: Variant, *, channels: int, N: int, L: int, Bt: int = 1, seed: int = 0) -> Inputs:
    """Random inputs; `hard` takes delta up to 20 and A down to -50, `slow` hardly forgets."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> NDArray[np.float32]:
        return rng.standard_normal(shape).astype(np.float32)

    KD = v.K * channels
    if v.kind == "hard":
        delta = np.exp(rng.uniform(np.log(1e-3), np.log(20), (Bt, KD, L))).astype(np.float32)
        A = -np.exp(rng.uniform(np.log(1e-3), np.log(50), (KD, N))).astype(np.float32)
    elif v.kind == "slow":
        delta = (np.log(0.02) + 0.3 * normal(Bt, KD, L)) if v.softplus else 0.02 * np.abs(normal(Bt, KD, L))
        A = -0.01 * np.exp(normal(KD, N))
    else:
        delta = normal(Bt, KD, L) - 2 if v.softplus else np.abs(normal(Bt, KD, L))
        A = -np.exp(normal(KD, N))
    bias = np.abs(normal(KD)) * (1.0 if v.softplus else 0.1)
    return [
        normal(Bt, channels if v.shared else KD, L),
        delta.astype(np.float32),
        A.astype(np.float32),
        normal(Bt, v.K, N, L),
        normal(Bt, v.K, N, L),
        normal(KD) if v.D else None,
        bias.astype(np.float32) if v.bias else None,
        normal(Bt, KD, L) if v.z else None,
    ]


def reference(inputs: Inputs, attributes: Mapping[str, AttributeValue]) -> NDArray[np.float64]:
    return np.asarray(OPERATOR.reference(inputs, attributes)[0], np.float64)


def sequential(inputs: Inputs, attributes: Mapping[str, AttributeValue], recur: bool = True) -> NDArray[np.float32]:
    """The definition, step by step in float32; without `recur` every step starts from a zero state."""
    u, delta, A, B, C, D, bias, z = inputs
    K, Dg, L = B.shape[1], A.shape[0] // B.shape[1], delta.shape[2]
    dt = delta if bias is None else delta + bias[:, None]
    dt = np.logaddexp(np.float32(0), dt) if attributes["delta_softplus"] else dt
    u = u if u.shape[1] == delta.shape[1] else np.tile(u, (1, K, 1))
    y = np.empty_like(dt)
    for k, back in enumerate(directions(attributes["reverse"], K)):
        rows = slice(k * Dg, (k + 1) * Dg)
        h = np.zeros((u.shape[0], Dg, A.shape[1]), np.float32)
        for t in range(L)[::-1] if back else range(L):
            decay = np.exp(dt[:, rows, t, None] * A[rows]) if recur else np.float32(0)
            h = decay * h + (dt * u)[:, rows, t, None] * B[:, k, None, :, t]
            y[:, rows, t] = (h * C[:, k, None, :, t]).sum(-1)
    y = y if D is None else y + D[:, None] * u
    return y if z is None else y * z / (1 + np.exp(-z))


def tolerance(inputs: Inputs, attributes: Mapping[str, AttributeValue], wanted: NDArray[np.float64]) -> float:
    """1e-5 of std, or twice the error of the sequential float32 scan where that is more."""
    return max(1e-5, 2 * difference(wanted, sequential(inputs, attributes)).max_abs_over_std)
