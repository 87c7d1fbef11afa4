"""Channels whose dynamic range makes 8-bit weights risky.

A symmetric 8-bit weight has the step s = max|w| / 127; whatever is below s / 2 rounds to zero. Two shares are given for
each output channel of a Conv, ConvTranspose, Gemm or MatMul:

    lost_per_channel   of its weights round to zero when the channel has a step of its own
    lost_per_tensor    the same with one step for the whole weight

Merging raises both: an identity puts a 1 in the middle of small taps, a norm with a small variance stretches one
channel over the others. A channel is listed when more than half of its non-zero weights are lost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgevision.reparam.linear_op import LinearOp, read_linear
from edgevision.reparam.matching import Decline, Floats, label

__all__ = ["RiskyWeight", "risky_weights"]

_TOLERATED = 0.5


@dataclass(frozen=True, kw_only=True)
class RiskyWeight:
    """One operator some of whose channels lose most of their weights in 8 bits.

    Attributes:
        node: its name.
        weight: the initializer.
        channels: output channels that lose more than half per channel.
        channels_per_tensor: output channels that do with one step for the whole weight.
        lost_per_channel: the largest share lost by a channel with its own step.
        lost_per_tensor: the largest share lost by a channel with the common step.
        outputs: how many output channels there are.
    """

    node: str
    weight: str
    channels: tuple[int, ...]
    channels_per_tensor: tuple[int, ...]
    lost_per_channel: float
    lost_per_tensor: float
    outputs: int


def risky_weights(model: ir.Model) -> tuple[RiskyWeight, ...]:
    """The operators of the graph with channels at risk, in its order."""
    found: list[RiskyWeight] = []
    for node in model.graph:
        try:
            op = read_linear(node)
        except Decline:  # weights that are not float constants are not ours to quantize
            continue
        risky = None if op is None else _judge(op)
        if risky is not None:
            found.append(risky)
    return tuple(found)


def _judge(op: LinearOp) -> RiskyWeight | None:
    rows = np.abs(op.kernel.reshape(op.outputs, -1))
    own = _lost(rows, rows.max(axis=1, keepdims=True))
    common = _lost(rows, np.full((1, 1), rows.max()))
    channels, channels_per_tensor = np.flatnonzero(own > _TOLERATED), np.flatnonzero(common > _TOLERATED)
    if not channels.size and not channels_per_tensor.size:
        return None
    return RiskyWeight(
        node=label(op.nodes[0]),
        weight=op.names[0],
        channels=tuple(channels.tolist()),
        channels_per_tensor=tuple(channels_per_tensor.tolist()),
        lost_per_channel=float(own.max()),
        lost_per_tensor=float(common.max()),
        outputs=op.outputs,
    )


def _lost(rows: Floats, largest: Floats) -> Floats:
    """Share of each row's non-zero weights that round to zero under a step of largest / 127."""
    some = rows > 0
    small = some & (rows < largest / 254)
    share: Floats = small.sum(axis=1) / np.maximum(some.sum(axis=1), 1)
    return share
