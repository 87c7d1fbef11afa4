"""Comparisons, logic and selection. Booleans compare as bits: equal is not-xor."""

from __future__ import annotations

import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

from edgevision.targets.coreml.lowering.dtypes import as_type, is_float, like
from edgevision.targets.coreml.lowering.table import Call, MilVar, lowers

__all__: list[str] = []

_COMPARE = {
    "Equal": mb.equal,
    "Greater": mb.greater,
    "GreaterOrEqual": mb.greater_equal,
    "Less": mb.less,
    "LessOrEqual": mb.less_equal,
}
_LOGIC = {"And": mb.logical_and, "Or": mb.logical_or, "Xor": mb.logical_xor}


@lowers(*_COMPARE)
def _compare(call: Call) -> MilVar:
    x, y = call.var(0), call.var(1)
    if types.is_bool(x.dtype):
        x, y = as_type(x, "int32"), as_type(y, "int32")
    return _COMPARE[call.node.op_type](x=x, y=y)


@lowers(*_LOGIC)
def _logic(call: Call) -> MilVar:
    return _LOGIC[call.node.op_type](x=call.var(0), y=call.var(1))


@lowers("Not")
def _not(call: Call) -> MilVar:
    return mb.logical_not(x=call.var(0))


@lowers("Where")
def _where(call: Call) -> MilVar:
    condition, a, b = call.vars()
    shape = np.broadcast_shapes(condition.shape, a.shape, b.shape)
    return mb.select(cond=_spread(condition, shape), a=_spread(a, shape), b=_spread(b, shape))


def _spread(x: MilVar, shape: tuple[int, ...]) -> MilVar:
    """`x` broadcast to `shape`: `select` does not broadcast on every runtime."""
    if tuple(x.shape) == shape:
        return x
    padded = (1,) * (len(shape) - x.rank) + tuple(x.shape)
    if x.rank < len(shape):
        x = mb.reshape(x=x, shape=padded)
    reps = [want if have == 1 else 1 for have, want in zip(padded, shape, strict=True)]
    return mb.tile(x=x, reps=reps) if any(rep != 1 for rep in reps) else x


@lowers("IsNaN")
def _is_nan(call: Call) -> MilVar:
    x = call.var(0)
    return mb.not_equal(x=x, y=x)


@lowers("IsInf")
def _is_inf(call: Call) -> MilVar:
    x = call.var(0)
    if not is_float(x):
        raise call.refuse("integers have no infinity", "drop the node")
    above = mb.equal(x=x, y=like(x, np.inf))
    below = mb.equal(x=x, y=like(x, -np.inf))
    if not call.integer("detect_negative", 1):
        return above
    return mb.logical_or(x=above, y=below) if call.integer("detect_positive", 1) else below
