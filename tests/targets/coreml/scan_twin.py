"""What fp16 costs a scan: its recurrence, one step after the other, with every number rounded to fp16 when it is made.

Nothing of the lowering takes part. Its distance from the exact scan is the price of the format for these very tensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["rounded_scan"]

Array = NDArray[Any]


def _half(x: Array) -> Array:
    return np.asarray(x, np.float32).astype(np.float16).astype(np.float32)


def rounded_scan(inputs: Sequence[Array | None], attributes: Mapping[str, Any]) -> Array:
    """EvSelectiveScan of `inputs` (u, delta, A, B, C, D, delta_bias; no gate); the rates A are constants in float32."""
    u, delta, A, B, C, D, bias, z = (*inputs, *[None] * (8 - len(inputs)))
    assert u is not None and delta is not None and A is not None and B is not None and C is not None and z is None
    u, delta, B, C = (_half(x) for x in (u, delta, B, C))
    delta = delta if bias is None else _half(delta + _half(bias)[:, None])
    delta = _half(np.logaddexp(0.0, delta)) if attributes["delta_softplus"] else delta
    groups, rows = B.shape[1], delta.shape[1]
    u = u if u.shape[1] == rows else np.tile(u, (1, groups, 1))
    B, C = (np.repeat(x, rows // groups, 1) for x in (B, C))
    skip = np.zeros_like(u) if D is None else _half(u * _half(D)[:, None])
    decay = _half(np.exp(_half(delta[:, :, None] * A[:, :, None])))
    drive = _half(_half(delta * u)[:, :, None] * B)
    y = np.empty_like(u)
    backward = np.repeat(np.resize(np.asarray(attributes["reverse"], bool), groups), rows // groups)
    for side, places in ((~backward, range(u.shape[2])), (backward, reversed(range(u.shape[2])))):
        state = np.zeros((len(u), int(side.sum()), A.shape[1]), np.float32)
        for t in places:
            state = _half(_half(decay[..., t][:, side] * state) + drive[..., t][:, side])
            y[:, side, t] = _half(_half(_half(state * C[..., t][:, side]).sum(-1)) + skip[:, side, t])
    return y
