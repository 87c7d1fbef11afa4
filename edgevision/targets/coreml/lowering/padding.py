"""Pad. MIL pads floats, with a constant anywhere and by reflection or replication on the last two axes.

Everything else is exact by other means: other axes and wrapping gather rows by a constant index, integers concatenate
a constant, negative pads slice.
"""

from __future__ import annotations

import numpy as np
from coremltools.converters.mil.mil import Builder as mb

from edgevision.targets.coreml.lowering.dtypes import is_float, like, numpy_type
from edgevision.targets.coreml.lowering.indexing import cut, take
from edgevision.targets.coreml.lowering.shaping import through_int32
from edgevision.targets.coreml.lowering.table import Call, MilVar, lowers

__all__ = ["pad_constant"]

_NUMPY_MODE = {"edge": "edge", "reflect": "reflect", "wrap": "wrap"}
_MIL_MODE = {"edge": "replicate", "reflect": "reflect"}


def pad_constant(x: MilVar, pads: list[tuple[int, int]], value: float) -> MilVar:
    """`x` with `(before, after)` elements of `value` added on every axis."""
    if not any(before or after for before, after in pads):
        return x
    if is_float(x):
        flat = [amount for pair in pads for amount in pair]
        return mb.pad(x=x, pad=flat, mode="constant", constant_val=like(x, value))
    for axis, (before, after) in enumerate(pads):
        parts = [x]
        for position, amount in ((0, before), (len(parts) + 1, after)):
            if amount:
                shape = [amount if a == axis else dim for a, dim in enumerate(x.shape)]
                parts.insert(position, mb.const(val=np.full(shape, value, numpy_type(x))))
        x = mb.concat(values=parts, axis=axis) if len(parts) > 1 else x
    return x


def _pads(call: Call, rank: int) -> list[tuple[int, int]]:
    flat = call.ints_from(1, "pads", "pads") or []
    axes = [int(a) % rank for a in call.const(3, "axes").reshape(-1)] if call.given(3) else list(range(rank))
    pads = [(0, 0)] * rank
    for position, axis in enumerate(axes):
        pads[axis] = (flat[position], flat[position + len(axes)])
    return pads


@lowers("Pad")
def _pad(call: Call) -> MilVar:
    x, mode = call.var(0), call.text("mode", "constant")
    pads = _pads(call, x.rank)
    for axis, (before, after) in enumerate(pads):
        if before < 0 or after < 0:
            x = cut(x, axis, max(-before, 0), x.shape[axis] - max(-after, 0))
    pads = [(max(before, 0), max(after, 0)) for before, after in pads]
    if mode == "constant":
        value = float(call.const(2, "constant_value").reshape(())) if call.given(2) else 0.0
        return through_int32(x, lambda data: mb.identity(x=pad_constant(data, pads, value)))
    for axis, (before, after) in enumerate(pads):
        if before or after:
            x = _mirror(x, axis, before, after, mode)
    return mb.identity(x=x) if x is call.inputs[0] else x


def _mirror(x: MilVar, axis: int, before: int, after: int, mode: str) -> MilVar:
    size = x.shape[axis]
    if mode in _MIL_MODE and axis >= x.rank - 2 and x.rank >= 3 and max(before, after) < size and is_float(x):
        flat = [0, 0, before, after] if axis == x.rank - 1 else [before, after, 0, 0]
        return mb.pad(x=x, pad=flat, mode=_MIL_MODE[mode])
    rows = np.pad(np.arange(size), (before, after), mode=_NUMPY_MODE[mode])  # type: ignore[call-overload]
    return take(x, [int(row) for row in rows], axis)
