"""Two per-channel affines in a row are one.

    s2 * (s1 * x + t1) + t2  =  (s2 s1) * x + (s2 t1 + t2)

Written as Mul where the shift is 0, as Add where the scale is 1, and as BatchNormalization where one of the two was one
(its mean, variance and epsilon stay; gamma and beta take up the other). Mul followed by Add is as short as it gets.

Declines: the intermediate result is a graph output or has another reader; constants that may not be folded.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from edgevision.passes.graph_pass import Declined
from edgevision.reparam.affine import Affine, ChannelAxis, affine_input, read_affine
from edgevision.reparam.equations import Equation
from edgevision.reparam.matching import Decline, Floats, attributes_of, is_constant, labels, removable, weight_array
from edgevision.reparam.rewrite import Rewrite, Step, Weights

__all__ = ["EQUATION"]

_NAME = "affine_after_affine"
_PROBE = 4  # positions along each axis that is not the channel's


def _find(graph: ir.Graph) -> Iterator[Rewrite | Declined]:
    for node in tuple(graph):
        middle = None if node.graph is None else affine_input(node)
        before = None if middle is None else middle.producer()
        x = None if before is None else affine_input(before)
        if middle is None or before is None or x is None:
            continue
        try:
            rewrite = _match(before, node, x)
        except Decline as no:
            yield Declined(where=labels((before, node)), equation=_NAME, reason=no.reason)
        else:
            if rewrite is not None:
                yield rewrite


def _match(before: ir.Node, node: ir.Node, x: ir.Value) -> Rewrite | None:
    for axis in _axes(x, before, node):
        first, second = read_affine(before, axis), read_affine(node, axis)
        if first is None or second is None:
            continue
        new = _one(first, second, axis)
        if new is None:
            return None
        removable(first.y, node)
        shape = [_PROBE] * (axis.rank or -axis.from_end)
        shape[axis.from_end] = axis.channels
        note = "; ".join(filter(None, (first.note, second.note)))
        return Rewrite(equation=_NAME, old=(before, node), new=new, probes={x: tuple(shape)}, note=note)
    return None


def _axes(x: ir.Value, *nodes: ir.Node) -> Iterator[ChannelAxis]:
    """Where the channels may lie: axis 1, and the last one unless a BatchNormalization fixes axis 1."""
    dims = () if x.shape is None else tuple(x.shape)
    norm = any(node.op_type == "BatchNormalization" for node in nodes)
    for axis in dict.fromkeys((1,) if norm else (1, len(dims) - 1)):
        if 0 < axis < len(dims):
            channels = dims[axis]
            if isinstance(channels, int):
                yield ChannelAxis(channels=channels, from_end=axis - len(dims), rank=len(dims))


def _one(first: Affine, second: Affine, axis: ChannelAxis) -> Step | None:
    scale, shift = second.scale * first.scale, second.scale * first.shift + second.shift
    norm = next((a.node for a in (first, second) if a.node.op_type == "BatchNormalization"), None)
    if norm is not None:
        return _norm(norm, first.x, scale, shift)
    kind, numbers = ("Add", shift) if (scale == 1).all() else ("Mul", scale)
    if kind == "Add" and not shift.any():
        return Step(op_type="Identity", inputs=(first.x,))
    if kind == "Mul" and shift.any():
        return None
    dtype = np.dtype(first.x.dtype.numpy()) if first.x.dtype is not None else np.dtype(np.float32)
    wide = numbers.reshape(-1, *(1,) * (-axis.from_end - 1))
    constants = (
        value.name for affine in (second, first) for value in affine.node.inputs if is_constant(value) and value
    )
    name = next(constants, None) or f"{second.y.name}.constant"
    return Step(op_type=kind, inputs=(first.x, Weights(array=wide, name=name, dtype=dtype)))


def _norm(node: ir.Node, x: ir.Value, scale: Floats, shift: Floats) -> Step:
    gamma, beta, mean, var = (value for value in node.inputs[1:] if value is not None)
    spread = np.sqrt(weight_array(var) + float(np.float32(node.attributes.get_float("epsilon", 1e-5))))
    dtype = np.dtype(gamma.dtype.numpy()) if gamma.dtype is not None else np.dtype(np.float32)
    merged = (
        Weights(array=scale * spread, name=gamma.name or "gamma", dtype=dtype),
        Weights(array=shift + weight_array(mean) * scale, name=beta.name or "beta", dtype=dtype),
    )
    return Step(op_type="BatchNormalization", inputs=(x, *merged, mean, var), attributes=attributes_of(node))


EQUATION = Equation(name=_NAME, rank=40, find=_find)
