"""One operand of a sum as a linear operator on the tensor it reads.

Conv, AveragePool                      a kernel on a map [N, C, ...]
Gemm, MatMul (+ Add)                   a kernel without taps on rows [..., C]
BatchNormalization, Mul, Add, ...      one number a channel
the tensor itself                      the identity
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgevision.reparam.affine import ChannelAxis, affine_input, read_affine
from edgevision.reparam.conv_kernel import ConvKernel, kernel_of, per_channel_kernel
from edgevision.reparam.linear_op import LinearOp, linear_start, read_linear
from edgevision.reparam.matching import is_standard, removable
from edgevision.reparam.pooling import read_average_pool
from edgevision.reparam.pricing import price_of_affine, price_of_kernel
from edgevision.reparam.sum_tree import Leaf

__all__ = ["Branch", "channel_axis", "operators_of", "read_branch", "source_of"]


@dataclass(frozen=True, kw_only=True)
class Branch:
    """Leaves of a sum that read one tensor, as one kernel.

    Attributes:
        leaves: one, or those merged so far.
        nodes: their operators, none for the tensor itself.
        kernel: what they add up to.
        price: what they cost as they stand (`pricing`).
        op: the linear operator of the largest leaf, None where there are only pools and affines.
    """

    leaves: tuple[Leaf, ...]
    nodes: tuple[ir.Node, ...]
    kernel: ConvKernel
    price: float
    op: LinearOp | None


def source_of(value: ir.Value) -> ir.Value | None:
    """The tensor that `value` is a linear function of, None where it is not made by a linear operator."""
    start, producer = linear_start(value), value.producer()
    if start is not None:
        return start.inputs[0] if start.op_type != "ConvTranspose" else None
    if producer is None or not is_standard(producer):
        return None
    return producer.inputs[0] if producer.op_type == "AveragePool" else affine_input(producer)


def operators_of(leaf: Leaf, source: ir.Value) -> tuple[ir.Node, ...]:
    """The nodes between the source and the leaf's value."""
    start, producer = linear_start(leaf.value), leaf.value.producer()
    if leaf.value is source or producer is None:
        return ()
    return (producer,) if start is None or start is producer else (start, producer)


def channel_axis(leaves: tuple[Leaf, ...], source: ir.Value) -> ChannelAxis | None:
    """Where the channels of `source` lie: from an operator with weights that reads it, or from its shape."""
    for leaf in leaves:
        start = linear_start(leaf.value)
        if start is None or start.inputs[0] is not source or start.inputs[1] is None:
            continue
        tensor = ir.convenience.get_const_tensor(start.inputs[1])
        if tensor is None:
            continue
        shape, rank = tensor.shape.numpy(), None if source.shape is None else source.shape.rank()
        if start.op_type == "Conv":
            channels = shape[1] * start.attributes.get_int("group", 1)
            return ChannelAxis(channels=channels, from_end=1 - len(shape), rank=len(shape))
        transposed = start.op_type == "Gemm" and bool(start.attributes.get_int("transB"))
        return ChannelAxis(channels=shape[1 if transposed else 0], from_end=-1, rank=rank)
    dims = () if source.shape is None else tuple(source.shape)
    if len(dims) < 3 or not isinstance(dims[1], int):
        return None
    return ChannelAxis(channels=dims[1], from_end=1 - len(dims), rank=len(dims))


def read_branch(leaf: Leaf, source: ir.Value, axis: ChannelAxis) -> Branch | None:
    """The leaf as a kernel on `source`, whose channels lie along `axis`; None where it is none.

    Raises:
        Decline: it is linear and must stay, because it is read elsewhere or is not shift-invariant.
    """
    kernel, op, price = _read_kernel(leaf.value, source, axis)
    if kernel is None:
        return None
    if leaf.value is not source:
        removable(leaf.value, leaf.reader)
    signed = kernel.negated() if leaf.negative else kernel
    return Branch(leaves=(leaf,), nodes=operators_of(leaf, source), kernel=signed, price=price, op=op)


def _read_kernel(
    value: ir.Value, source: ir.Value, axis: ChannelAxis
) -> tuple[ConvKernel | None, LinearOp | None, float]:
    spatial, producer, start = -axis.from_end - 1, value.producer(), linear_start(value)
    if value is source:
        return per_channel_kernel(np.ones(axis.channels), np.zeros(axis.channels), spatial), None, 0.0
    op = None if start is None else read_linear(start)
    if op is not None:
        kernel = kernel_of(op)
        fits = op.y is value and len(kernel.taps) == spatial
        return (kernel, op, price_of_kernel(kernel)) if fits else (None, None, 0.0)
    if producer is None:
        return None, None, 0.0
    if producer.op_type == "AveragePool":
        kernel = read_average_pool(producer, axis.channels)
        return (kernel, None, price_of_kernel(kernel)) if len(kernel.taps) == spatial else (None, None, 0.0)
    affine = read_affine(producer, axis)
    if affine is None:
        return None, None, 0.0
    return per_channel_kernel(affine.scale, affine.shift, spatial), None, price_of_affine(axis.channels)
