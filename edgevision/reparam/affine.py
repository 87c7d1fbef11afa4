"""Per-channel affine operators: y[c] = scale[c] * x[c] + shift[c].

    BatchNormalization   scale = gamma / sqrt(var + eps)   shift = beta - mean * scale
    Mul by s, Div by s   scale = s, 1 / s                  shift = 0
    Add b, Sub b, b - x  scale = 1, 1, -1                  shift = b, -b, b
    Neg                  scale = -1                        shift = 0

A constant counts as per-channel when, broadcast against x, it varies along the channel axis alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgevision.reparam.matching import Decline, Floats, data_inputs, is_constant, is_standard, weight_array

__all__ = ["Affine", "ChannelAxis", "affine_input", "read_affine"]

_BINARY = {"Mul", "Div", "Add", "Sub"}


@dataclass(frozen=True, kw_only=True)
class ChannelAxis:
    """Where the channels of a tensor lie.

    Attributes:
        channels: how many.
        from_end: the axis counted from the end, -1 being the last.
        rank: of the tensor, None where unknown.
    """

    channels: int
    from_end: int
    rank: int | None


@dataclass(frozen=True, kw_only=True)
class Affine:
    """One per-channel affine node; scale and shift are float64 [C]."""

    node: ir.Node
    x: ir.Value
    y: ir.Value
    scale: Floats
    shift: Floats
    note: str = ""


def affine_input(node: ir.Node) -> ir.Value | None:
    """The data input of a node that may be a per-channel affine, else None; reads no constants."""
    if not is_standard(node) or not node.inputs:
        return None
    if node.op_type in ("BatchNormalization", "Neg"):
        return node.inputs[0]
    if node.op_type not in _BINARY or len(node.inputs) != 2:
        return None
    data = data_inputs(node)
    if len(data) != 1 or (node.op_type == "Div" and data[0] is not node.inputs[0]):
        return None
    return data[0]


def read_affine(node: ir.Node, axis: ChannelAxis) -> Affine | None:
    """The affine `node` applies along `axis`, or None where it is not one."""
    x = affine_input(node)
    if x is None:
        return None
    if node.op_type == "BatchNormalization":
        return _read_norm(node, x, axis)
    ones, zeros = np.ones(axis.channels), np.zeros(axis.channels)
    if node.op_type == "Neg":
        return Affine(node=node, x=x, y=node.outputs[0], scale=-ones, shift=zeros)
    swapped = node.inputs[1] is x
    constant = next(value for value in node.inputs if value is not None and value is not x)
    numbers = _per_channel(weight_array(constant), axis)
    if numbers is None:
        return None
    if node.op_type == "Mul":
        scale, shift = numbers, zeros
    elif node.op_type == "Div":
        if not numbers.all():
            raise Decline(f"'{constant.name}' divides by zero")
        scale, shift = 1.0 / numbers, zeros
    elif node.op_type == "Add":
        scale, shift = ones, numbers
    else:
        scale, shift = (-ones, numbers) if swapped else (ones, -numbers)
    return Affine(node=node, x=x, y=node.outputs[0], scale=scale, shift=shift)


def _read_norm(node: ir.Node, x: ir.Value, axis: ChannelAxis) -> Affine | None:
    if axis.rank is None or axis.rank + axis.from_end != 1:
        return None
    if node.attributes.get_int("training_mode", 0) or any(
        out.uses() or out.is_graph_output() for out in node.outputs[1:]
    ):
        raise Decline("the BatchNormalization is in training mode: its statistics change with every batch")
    if not node.attributes.get_int("spatial", 1):
        raise Decline("the BatchNormalization is not spatial")
    if not all(is_constant(value) for value in node.inputs[1:]):
        raise Decline("a parameter of the BatchNormalization is a graph input or computed")
    gamma, beta, mean, var = (weight_array(value) for value in node.inputs[1:] if value is not None)
    if gamma.size != axis.channels:
        return None
    spread = var + float(np.float32(node.attributes.get_float("epsilon", 1e-5)))  # ONNX attributes are float32
    if (spread <= 0).any():
        raise Decline(f"the variance of {int((spread <= 0).sum())} channels is not positive, epsilon included")
    dead = np.flatnonzero(var == 0)
    note = f"variance 0 in {dead.size} channels, the first {dead[0]}: epsilon alone scales them" if dead.size else ""
    scale = gamma / np.sqrt(spread)
    return Affine(node=node, x=x, y=node.outputs[0], scale=scale, shift=beta - mean * scale, note=note)


def _per_channel(array: Floats, axis: ChannelAxis) -> Floats | None:
    """`array` as one number a channel, or None where it varies along another axis or widens the tensor."""
    if array.ndim > 1 and (axis.rank is None or array.ndim > axis.rank):
        return None
    if array.ndim > (axis.rank if axis.rank is not None else 1):
        return None
    if array.size == 1:
        return np.full(axis.channels, array.item())
    along = array.shape[axis.from_end] if array.ndim >= -axis.from_end else 1
    if along != array.size or along != axis.channels:
        return None
    return array.reshape(-1)
