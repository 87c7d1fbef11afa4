"""Reductions over constant axes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

from edgevision.targets.coreml.lowering.dtypes import is_float, like
from edgevision.targets.coreml.lowering.table import Call, MilVar, lowers

__all__: list[str] = []

_REDUCE: dict[str, Callable[..., MilVar]] = {
    "ReduceL1": mb.reduce_l1_norm,
    "ReduceL2": mb.reduce_l2_norm,
    "ReduceLogSum": mb.reduce_log_sum,
    "ReduceLogSumExp": mb.reduce_log_sum_exp,
    "ReduceMax": mb.reduce_max,
    "ReduceMean": mb.reduce_mean,
    "ReduceMin": mb.reduce_min,
    "ReduceProd": mb.reduce_prod,
    "ReduceSum": mb.reduce_sum,
    "ReduceSumSquare": mb.reduce_sum_square,
}
_FLOAT_ONLY = frozenset({"ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMean"})


@lowers(*_REDUCE)
def _reduce(call: Call) -> MilVar:
    x, op_type = call.var(0), call.node.op_type
    axes = call.ints_from(1, "axes", "axes")
    if not axes and call.integer("noop_with_empty_axes", 0):
        return _elementwise(op_type, x)
    axes = sorted(axis % x.rank for axis in axes) if axes else list(range(x.rank))
    if not axes:
        return _elementwise(op_type, x)
    if op_type in _FLOAT_ONLY and not is_float(x):
        raise call.refuse("the integer result would be rounded", "cast to float32 before the reduction")
    keep = bool(call.integer("keepdims", 1))
    if types.is_bool(x.dtype):
        reduced = _REDUCE[op_type](x=mb.cast(x=x, dtype="int32"), axes=axes, keep_dims=keep)
        return mb.cast(x=reduced, dtype="bool")
    return _REDUCE[op_type](x=x, axes=axes, keep_dims=keep)


def _elementwise(op_type: str, x: MilVar) -> MilVar:
    """A reduction over no axis: what the operator does to each single element."""
    if op_type in ("ReduceL1", "ReduceL2"):
        return mb.abs(x=x)
    if op_type == "ReduceSumSquare":
        return mb.mul(x=x, y=x)
    if op_type == "ReduceLogSum":
        return mb.log(x=x, epsilon=like(x, 0))
    return mb.identity(x=x)


@lowers("ArgMax", "ArgMin")
def _arg(call: Call) -> MilVar:
    x = call.var(0)
    axis = call.axis("axis", 0, x.rank)
    reduce = mb.reduce_argmax if call.node.op_type == "ArgMax" else mb.reduce_argmin
    keep = bool(call.integer("keepdims", 1))
    if not call.integer("select_last_index", 0):
        return reduce(x=x, axis=axis, keep_dims=keep)
    from_end = reduce(x=mb.reverse(x=x, axes=[axis]), axis=axis, keep_dims=keep)
    return mb.sub(x=np.int32(x.shape[axis] - 1), y=from_end)


@lowers("CumSum")
def _cumsum(call: Call) -> MilVar:
    x = call.var(0)
    axis = int(call.const(1, "axis").reshape(())) % x.rank
    exclusive, reverse = bool(call.integer("exclusive", 0)), bool(call.integer("reverse", 0))
    return mb.cumsum(x=x, axis=axis, exclusive=exclusive, reverse=reverse)


@lowers("TopK")
def _topk(call: Call) -> list[MilVar]:
    x = call.var(0)
    k = int(call.const(1, "k").reshape(()))
    axis = call.axis("axis", -1, x.rank)
    values, indices = mb.topk(x=x, k=k, axis=axis, ascending=not call.integer("largest", 1))
    return [values, indices]
