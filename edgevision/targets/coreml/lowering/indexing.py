"""Slicing, gathering and scattering.

From iOS 17 on Core ML takes negative indices for out-of-range ones, so they are counted from the front here: at
conversion where they are known, with a `select` where they are computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import onnx_ir as ir
from coremltools.converters.mil.mil import Builder as mb

from edgevision.targets.coreml.lowering.dtypes import constant, like, materialise
from edgevision.targets.coreml.lowering.shaping import broadcast_to, through_int32
from edgevision.targets.coreml.lowering.table import Array, Call, MilVar, lowers

__all__ = ["cut", "take"]


def cut(x: MilVar, axis: int, start: int, end: int, step: int = 1) -> MilVar:
    """`x[start:end:step]` along one axis, bounds within the axis."""
    begin, stop, stride = [0] * x.rank, list(x.shape), [1] * x.rank
    begin[axis], stop[axis], stride[axis] = start, end, step
    masks = [position != axis for position in range(x.rank)]
    return mb.slice_by_index(x=x, begin=begin, end=stop, stride=stride, begin_mask=masks, end_mask=masks)


def take(x: MilVar, indices: Sequence[int], axis: int) -> MilVar:
    """Rows of `x` along `axis` in the order of constant `indices`."""
    rows = np.asarray(indices, np.int32)
    return through_int32(x, lambda data: mb.gather(x=data, indices=rows, axis=axis))


def _slices(call: Call, x: MilVar) -> list[slice]:
    """One slice an axis, its bounds as Python clips them (`ends` is often int64's maximum)."""
    starts, ends = call.const(1, "starts").reshape(-1), call.const(2, "ends").reshape(-1)
    axes = call.const(3, "axes").reshape(-1) if call.given(3) else np.arange(len(starts))
    steps = call.const(4, "steps").reshape(-1) if call.given(4) else np.ones(len(starts), np.int64)
    result = [slice(0, dim, 1) for dim in x.shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        bounds = slice(int(start), int(end), int(step)).indices(x.shape[int(axis)])
        if len(range(*bounds)) == 0:
            raise call.refuse(f"the slice {start}:{end}:{step} is empty", "Core ML has no empty tensors: drop it")
        result[int(axis) % x.rank] = slice(*bounds)
    return result


@lowers("Slice")
def _slice(call: Call) -> MilVar:
    x = call.var(0)
    parts = _slices(call, x)
    if all(part == slice(0, dim, 1) for part, dim in zip(parts, x.shape, strict=True)):
        return mb.identity(x=x)
    whole = [part.stop == (dim if part.step > 0 else -1) for part, dim in zip(parts, x.shape, strict=True)]
    return mb.slice_by_index(
        x=x,
        begin=[part.start for part in parts],
        end=[0 if end else part.stop for part, end in zip(parts, whole, strict=True)],
        stride=[part.step for part in parts],
        begin_mask=[False] * x.rank,
        end_mask=whole,
    )


def _from_front(call: Call, index: int, size: int) -> MilVar:
    """Input `index` with negative indices counted from the front."""
    known = call.known(index)
    if known is not None:
        return materialise(_wrapped(call, known, size), call.what)
    indices = call.var(index)
    below = mb.less(x=indices, y=like(indices, 0))
    return mb.select(cond=below, a=mb.add(x=indices, y=like(indices, size)), b=indices)


def _wrapped(call: Call, indices: Array, size: int) -> Array:
    wrapped = np.where(indices < 0, indices + size, indices)
    if wrapped.size and (wrapped.min() < 0 or wrapped.max() >= size):
        raise call.refuse(f"index {indices.max()} is outside an axis of {size}", "correct the index")
    return wrapped


@lowers("Gather")
def _gather(call: Call) -> MilVar:
    x = call.var(0)
    axis = call.axis("axis", 0, x.rank)
    known = call.known(1)
    if known is not None and known.ndim == 0:
        position = int(_wrapped(call, known, x.shape[axis]))
        return mb.squeeze(x=cut(x, axis, position, position + 1), axes=[axis])
    indices = _from_front(call, 1, x.shape[axis])
    if x.rank - 1 + indices.rank > 5:
        raise call.refuse("its output has rank above 5", "flatten the indices, then reshape")
    return through_int32(x, lambda data: mb.gather(x=data, indices=indices, axis=axis))


@lowers("GatherElements")
def _gather_elements(call: Call) -> MilVar:
    x = call.var(0)
    axis = call.axis("axis", 0, x.rank)
    indices = _from_front(call, 1, x.shape[axis])
    for other in range(x.rank):
        if other != axis and indices.shape[other] < x.shape[other]:
            x = cut(x, other, 0, indices.shape[other])
    return through_int32(x, lambda data: mb.gather_along_axis(x=data, indices=indices, axis=axis))


def _indices_nd(call: Call, x: MilVar, index: int, batch_dims: int = 0) -> MilVar:
    """Tuples of indices, each component counted from the front of its own axis."""
    indices = call.const(index, "indices") if call.known(index) is not None else None
    depth = call.var(index).shape[-1] if indices is None else indices.shape[-1]
    sizes = np.asarray(x.shape[batch_dims : batch_dims + depth], np.int32)
    if indices is not None:
        return materialise(np.where(indices < 0, indices + sizes, indices), call.what)
    var = call.var(index)
    below = mb.less(x=var, y=like(var, 0))
    return mb.select(cond=below, a=mb.add(x=var, y=sizes), b=var)


@lowers("GatherND")
def _gather_nd(call: Call) -> MilVar:
    x, batch_dims = call.var(0), call.integer("batch_dims", 0)
    indices = _indices_nd(call, x, 1, batch_dims)
    if batch_dims == 0:
        return through_int32(x, lambda data: mb.gather_nd(x=data, indices=indices))
    return through_int32(x, lambda data: mb.gather_nd(x=data, indices=indices, batch_dims=batch_dims))


_MODES = {"none": "update", "add": "add", "mul": "mul", "max": "max", "min": "min"}


@lowers("ScatterND")
def _scatter_nd(call: Call) -> MilVar:
    x, updates = call.var(0), call.var(2)
    indices = _indices_nd(call, x, 1)
    mode = _MODES[call.text("reduction", "none")]
    return mb.scatter_nd(data=x, indices=indices, updates=updates, mode=mode)


@lowers("ScatterElements", "Scatter")
def _scatter_elements(call: Call) -> MilVar:
    x, updates = call.var(0), call.var(2)
    axis = call.axis("axis", 0, x.rank)
    indices, mode = _from_front(call, 1, x.shape[axis]), _MODES[call.text("reduction", "none")]
    others = [dim for position, dim in enumerate(indices.shape) if position != axis]
    if others == [dim for position, dim in enumerate(x.shape) if position != axis]:
        return mb.scatter_along_axis(data=x, indices=indices, updates=updates, axis=axis, mode=mode)
    # Fewer rows than the data has: name every element by its full coordinates, of which only one is computed.
    count = prod(indices.shape)
    grid = np.indices(tuple(indices.shape), np.int32).reshape(x.rank, count)
    columns = [mb.const(val=grid[position].reshape(count, 1)) for position in range(x.rank)]
    columns[axis] = mb.reshape(x=indices, shape=[count, 1])
    coordinates = mb.concat(values=columns, axis=1) if x.rank > 1 else columns[0]
    return mb.scatter_nd(data=x, indices=coordinates, updates=mb.reshape(x=updates, shape=[count]), mode=mode)


@lowers("OneHot")
def _one_hot(call: Call) -> MilVar:
    depth = int(call.const(1, "depth").reshape(-1)[0])
    low, high = constant(call.const(2, "values"), call.what).reshape(-1)
    indices = _from_front(call, 0, depth)
    rank = indices.rank + 1
    return mb.one_hot(
        indices=mb.cast(x=indices, dtype="int32"),
        one_hot_vector_size=depth,
        axis=call.axis("axis", -1, rank),
        on_value=high,
        off_value=low,
    )


@lowers("Compress")
def _compress(call: Call) -> MilVar:
    x = call.var(0)
    keep = np.flatnonzero(call.const(1, "condition"))
    if "axis" not in call.attributes:
        return take(mb.reshape(x=x, shape=[prod(x.shape)]), [int(k) for k in keep], 0)
    return take(x, [int(k) for k in keep], call.axis("axis", 0, x.rank))


@lowers("ReverseSequence")
def _reverse_sequence(call: Call) -> MilVar:
    time, batch = call.integer("time_axis", 0), call.integer("batch_axis", 1)
    return mb.reverse_sequence(x=call.var(0), lengths=call.var(1), seq_axis=time, batch_axis=batch)


@lowers("EyeLike")
def _eye_like(call: Call) -> MilVar:
    x = call.var(0)
    given = call.node.inputs[0]
    like = ir.DataType.FLOAT if given is None or given.dtype is None else given.dtype
    dtype = ir.DataType(call.integer("dtype", int(like))).numpy()
    eye = np.eye(x.shape[0], x.shape[1], k=call.integer("k", 0)).astype(dtype)
    return broadcast_to(materialise(eye, call.what), eye.shape)
