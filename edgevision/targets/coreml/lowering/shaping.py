"""Reshape, transpose, join, split, repeat: data movement with static shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

from edgevision.targets.coreml.lowering.dtypes import is_float
from edgevision.targets.coreml.lowering.table import Bound, Call, MilVar, lowers

__all__ = ["broadcast_to", "through_int32"]


def through_int32(x: MilVar, build: Callable[[MilVar], MilVar]) -> MilVar:
    """`build(x)` for operations that move data but refuse booleans."""
    if not types.is_bool(x.dtype):
        return build(x)
    return mb.cast(x=build(mb.cast(x=x, dtype="int32")), dtype="bool")


def broadcast_to(x: MilVar, shape: Sequence[int]) -> MilVar:
    """`x` repeated to `shape`, as numpy broadcasts."""
    padded = (1,) * (len(shape) - x.rank) + tuple(x.shape)
    if x.rank < len(shape):
        x = mb.reshape(x=x, shape=padded)
    reps = [want if have == 1 else 1 for have, want in zip(padded, shape, strict=True)]
    return mb.tile(x=x, reps=reps) if any(rep != 1 for rep in reps) else mb.identity(x=x)


@lowers("Identity")
def _identity(call: Call) -> Bound:
    return call.inputs[0]


@lowers("Dropout")
def _dropout(call: Call) -> list[Bound]:
    training = call.known(2)
    if call.given(2) and (training is None or bool(training.reshape(()))):
        raise call.refuse(
            "dropout in training mode is random", "export the model in eval mode", attribute="training_mode"
        )
    mask = np.ones(tuple(call.var(0).shape), np.bool_) if len(call.node.outputs) > 1 else None
    return [call.inputs[0], mask]


@lowers("Constant")
def _constant(call: Call) -> Bound:
    for name in ("value_int", "value_ints"):
        if name in call.attributes:
            return np.asarray(call.attributes[name].value, np.int64)
    for name in ("value_float", "value_floats"):
        if name in call.attributes:
            return np.asarray(call.attributes[name].value, np.float32)
    if "value" not in call.attributes:
        raise call.refuse("sparse and string constants have no MIL form", "use a dense numeric constant")
    return call.attributes["value"].as_tensor().numpy()


@lowers("Shape")
def _shape(call: Call) -> Bound:
    bound = call.inputs[0]
    assert bound is not None
    dims = np.asarray(tuple(bound.shape), np.int64)
    return dims[call.integer("start", 0) : call.integer("end", len(dims))]


@lowers("Size")
def _size(call: Call) -> Bound:
    bound = call.inputs[0]
    assert bound is not None
    return np.asarray(prod(bound.shape), np.int64)


@lowers("Reshape")
def _reshape(call: Call) -> MilVar:
    x = call.var(0)
    wanted = [int(d) for d in call.const(1, "shape").reshape(-1)]
    if not call.integer("allowzero", 0):
        wanted = [x.shape[axis] if dim == 0 else dim for axis, dim in enumerate(wanted)]
    if -1 in wanted:
        rest = prod(dim for dim in wanted if dim != -1)
        wanted[wanted.index(-1)] = prod(x.shape) // rest
    return _reshaped(call, x, wanted)


def _reshaped(call: Call, x: MilVar, shape: Sequence[int]) -> MilVar:
    if 0 in shape:
        raise call.refuse(f"the shape {list(shape)} is empty", "Core ML has no empty tensors: drop the node")
    if not shape:
        return mb.squeeze(x=x) if x.rank else mb.identity(x=x)
    return mb.reshape(x=x, shape=list(shape))


@lowers("Flatten")
def _flatten(call: Call) -> MilVar:
    x = call.var(0)
    axis = call.integer("axis", 1)
    axis = axis + x.rank if axis < 0 else axis
    return mb.reshape(x=x, shape=[prod(x.shape[:axis]), prod(x.shape[axis:])])


@lowers("Squeeze")
def _squeeze(call: Call) -> MilVar:
    x = call.var(0)
    axes = call.ints_from(1, "axes", "axes")
    dropped = [a % x.rank for a in axes] if axes is not None else [a for a, d in enumerate(x.shape) if d == 1]
    return mb.squeeze(x=x, axes=dropped) if dropped else mb.identity(x=x)


@lowers("Unsqueeze")
def _unsqueeze(call: Call) -> MilVar:
    x = call.var(0)
    axes = call.ints_from(1, "axes", "axes") or []
    rank = x.rank + len(axes)
    if rank > 5:
        raise call.refuse(
            f"its output has rank {rank}, and ML programs have at most 5", "merge axes with Reshape first"
        )
    return mb.expand_dims(x=x, axes=sorted(axis % rank for axis in axes)) if axes else mb.identity(x=x)


@lowers("Transpose")
def _transpose(call: Call) -> MilVar:
    x = call.var(0)
    perm = call.ints("perm") or list(reversed(range(x.rank)))
    return mb.transpose(x=x, perm=perm) if x.rank > 1 else mb.identity(x=x)


@lowers("Concat")
def _concat(call: Call) -> MilVar:
    parts = call.vars()
    axis = call.axis("axis", 0, parts[0].rank)
    if len(parts) == 1:
        return mb.identity(x=parts[0])
    if not types.is_bool(parts[0].dtype):
        return mb.concat(values=parts, axis=axis)
    as_ints = [mb.cast(x=part, dtype="int32") for part in parts]
    return mb.cast(x=mb.concat(values=as_ints, axis=axis), dtype="bool")


@lowers("Split")
def _split(call: Call) -> list[MilVar]:
    x, count = call.var(0), len(call.node.outputs)
    axis = call.axis("axis", 0, x.rank)
    sizes = call.ints_from(1, "split", "split")
    if sizes is None:
        step = -(-x.shape[axis] // count)
        sizes = [step] * (count - 1) + [x.shape[axis] - step * (count - 1)]
    if min(sizes) <= 0:
        raise call.refuse(f"a part of {sizes} is empty", "Core ML has no empty tensors: drop that output")
    if count == 1:
        return [mb.identity(x=x)]
    return list(mb.split(x=x, split_sizes=sizes, axis=axis))


@lowers("Expand")
def _expand(call: Call) -> MilVar:
    x = call.var(0)
    shape = [int(dim) for dim in call.const(1, "shape").reshape(-1)]
    if 0 in shape:
        raise call.refuse(f"the shape {shape} is empty", "Core ML has no empty tensors: drop the node")
    return broadcast_to(x, np.broadcast_shapes(tuple(x.shape), tuple(shape)))


@lowers("Tile")
def _tile(call: Call) -> MilVar:
    x = call.var(0)
    reps = [int(rep) for rep in call.const(1, "repeats").reshape(-1)]
    if 0 in reps:
        raise call.refuse("zero repeats make an empty tensor", "Core ML has no empty tensors: drop the node")
    return mb.tile(x=x, reps=reps) if reps else mb.identity(x=x)


@lowers("DepthToSpace")
def _depth_to_space(call: Call) -> MilVar:
    x, block = call.var(0), call.integer("blocksize", 1)
    if not is_float(x):
        raise call.refuse("MIL shuffles pixels of floats only", "cast to float32 around the node")
    if call.text("mode", "DCR") == "CRD":
        return mb.pixel_shuffle(x=x, upscale_factor=block)
    return mb.depth_to_space(x=x, block_size=block)


@lowers("SpaceToDepth")
def _space_to_depth(call: Call) -> MilVar:
    x = call.var(0)
    if not is_float(x):
        raise call.refuse("MIL shuffles pixels of floats only", "cast to float32 around the node")
    block = call.integer("blocksize", 1)
    if call.text("mode", "DCR") == "CRD":
        return mb.pixel_unshuffle(x=x, downscale_factor=np.uint32(block))
    return mb.space_to_depth(x=x, block_size=block)


@lowers("Trilu")
def _trilu(call: Call) -> MilVar:
    x = call.var(0)
    k = int(call.const(1, "k").reshape(())) if call.given(1) else 0
    keep = np.tri(x.shape[-2], x.shape[-1], k=k if not call.integer("upper", 1) else k - 1, dtype=np.bool_)
    keep = ~keep if call.integer("upper", 1) else keep
    mask = np.broadcast_to(keep, tuple(x.shape)).copy()

    def masked(data: MilVar) -> MilVar:
        zeros = np.zeros(tuple(x.shape), np.float32 if is_float(data) else np.int32)
        if types.builtin_to_string(data.dtype) == "fp16":
            zeros = zeros.astype(np.float16)
        return mb.select(cond=mask, a=data, b=zeros)

    return through_int32(x, masked)
