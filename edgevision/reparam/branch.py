"""One operand of a sum as a linear operator on the tensor it reads.

Conv, AveragePool                      a kernel on a map [N, C, ...]
Gemm, MatMul (+ Add)                   a kernel without taps on rows [..., C]
BatchNormalization, Mul, Add, ...      one number a channel
the tensor itself                      the identity

or a chain: pools and affines in a row, behind one of the first two or the tensor itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from edgevision.reparam.affine import ChannelAxis, affine_input, read_affine
from edgevision.reparam.conv_kernel import ConvKernel, kernel_of, per_channel_kernel
from edgevision.reparam.kernel_composition import compose
from edgevision.reparam.linear_op import LINEAR_TYPES, LinearOp, linear_start, read_linear
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
        note: what a reader of the report should know of its norms.
    """

    leaves: tuple[Leaf, ...]
    nodes: tuple[ir.Node, ...]
    kernel: ConvKernel
    price: float
    op: LinearOp | None
    note: str = ""


def source_of(value: ir.Value) -> ir.Value | None:
    """The tensor that `value` is a linear function of, None where it is not made by a linear operator."""
    return _path(value)[0]


def operators_of(leaf: Leaf, source: ir.Value) -> tuple[ir.Node, ...]:
    """The nodes between the source and the leaf's value."""
    return () if leaf.value is source else _path(leaf.value)[1]


def _path(value: ir.Value) -> tuple[ir.Value | None, tuple[ir.Node, ...]]:
    """The linear nodes that lead to `value`, in order, after the tensor they begin at.

    That is the input of the convolution (or linear) in it, else the first tensor that others see too.
    """
    here, source = value, None
    nodes: list[ir.Node] = []
    while (producer := here.producer()) is not None:
        start = linear_start(here)
        if start is not None:
            if start.op_type == "ConvTranspose":
                break
            return start.inputs[0], ((start,) if start is producer else (start, producer)) + tuple(nodes)
        before = producer.inputs[0] if _is_pool(producer) else affine_input(producer)
        if before is None:
            break
        nodes.insert(0, producer)
        here = source = before
        if len(here.uses()) != 1 or here.is_graph_output():
            break
    return source, tuple(nodes)


def _is_pool(node: ir.Node) -> bool:
    return node.op_type == "AveragePool" and is_standard(node)


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
    spatial = -axis.from_end - 1
    kernel = per_channel_kernel(np.ones(axis.channels), np.zeros(axis.channels), spatial)
    branch = Branch(leaves=(leaf,), nodes=operators_of(leaf, source), kernel=kernel, price=0.0, op=None)
    for node in branch.nodes:
        if branch.op is not None and node in branch.op.nodes:  # the Add of a MatMul
            continue
        longer = _then(branch, node, axis)
        if longer is None or len(longer.kernel.taps) != spatial:
            return None
        branch = longer
    if leaf.value is not source:
        removable(leaf.value, leaf.reader)
    return replace(branch, kernel=branch.kernel.negated()) if leaf.negative else branch


def _then(branch: Branch, node: ir.Node, axis: ChannelAxis) -> Branch | None:
    """The branch with one more operator behind it; a linear one comes first."""
    if node.op_type in LINEAR_TYPES:
        op = read_linear(node)
        kernel = None if op is None else kernel_of(op)
        return None if kernel is None else replace(branch, kernel=kernel, op=op, price=price_of_kernel(kernel))
    channels = branch.kernel.outputs
    if _is_pool(node):
        pool = read_average_pool(node, channels)
        if len(pool.taps) != len(branch.kernel.taps):
            return None
        price = branch.price * math.prod(pool.strides) + price_of_kernel(pool)
        return replace(branch, kernel=compose(pool, branch.kernel), price=price)
    affine = read_affine(node, replace(axis, channels=channels))
    if affine is None:
        return None
    return replace(
        branch,
        kernel=branch.kernel.scaled(affine.scale, affine.shift),
        price=branch.price + price_of_affine(channels),
        note="; ".join(filter(None, (branch.note, affine.note))),
    )
