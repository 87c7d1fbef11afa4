"""One operand of a sum as a linear operator on the tensor it begins at.

Conv, ConvTranspose, AveragePool       a kernel on a map [N, C, ...]
Gemm, MatMul (+ Add)                   a kernel without taps on rows [..., C]
BatchNormalization, Mul, Add, ...      one number a channel
the tensor itself                      the identity

or a chain of these: composed where padding permits, and where the product alone is not dearer than the whole sum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from edgevision.reparam.affine import Affine, ChannelAxis, read_affine
from edgevision.reparam.conv_kernel import ConvKernel, kernel_of, per_channel_kernel
from edgevision.reparam.kernel_composition import compose, composed_frame
from edgevision.reparam.linear_op import LINEAR_TYPES, LinearOp, read_linear
from edgevision.reparam.linear_path import Path, is_pool
from edgevision.reparam.matching import Decline, label, removable
from edgevision.reparam.pooling import read_average_pool
from edgevision.reparam.pricing import price_of_affine, price_of_kernel
from edgevision.reparam.sum_tree import Leaf

__all__ = ["Branch", "Chain", "branch_of", "read_chain"]


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A leaf's operators, read and priced but not yet composed.

    Attributes:
        parts: what each does, in order; none for the tensor itself.
        price: what they cost as they stand (`pricing`).
        op: the last linear operator among them.
        note: what a reader of the report should know of its norms.
    """

    leaf: Leaf
    path: Path
    axis: ChannelAxis
    parts: tuple[ConvKernel | Affine, ...] = ()
    price: float = 0.0
    op: LinearOp | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Branch:
    """Leaves of a sum that read one tensor, as one kernel.

    Attributes:
        leaves: one, or those merged so far.
        nodes: their operators, none for the tensor itself.
        kernel: what they add up to.
        price, op, note: as of `Chain`; the operator is that of the largest leaf.
    """

    leaves: tuple[Leaf, ...]
    nodes: tuple[ir.Node, ...]
    kernel: ConvKernel
    price: float
    op: LinearOp | None
    note: str = ""


def read_chain(leaf: Leaf, path: Path, axis: ChannelAxis) -> Chain:
    """The operators of the leaf, whose source has its channels along `axis`.

    Raises:
        Decline: one of them must stay, because it is read elsewhere or is not shift-invariant.
    """
    chain, channels = Chain(leaf=leaf, path=path, axis=axis), axis.channels
    for node in path.nodes:
        if chain.op is not None and node in chain.op.nodes:  # the Add of a MatMul
            continue
        chain, channels = _longer(chain, node, channels)
    if path.nodes:
        path.require_unseen()
        removable(leaf.value, leaf.reader)
    return chain


def _longer(chain: Chain, node: ir.Node, channels: int) -> tuple[Chain, int]:
    """The chain with one more operator behind it, and how many channels that yields."""
    if node.op_type in LINEAR_TYPES or is_pool(node):
        op = None if is_pool(node) else _linear(node)
        kernel = read_average_pool(node, channels) if op is None else kernel_of(op)
        if len(kernel.taps) != -chain.axis.from_end - 1:
            raise Decline(f"{label(node)} mixes another axis than the branches beside it")
        positions = math.prod(kernel.strides)  # of the map before for one of the result, or the other way round
        before = chain.price / positions if kernel.transposed else chain.price * positions
        price = before + price_of_kernel(kernel)
        return replace(chain, parts=(*chain.parts, kernel), price=price, op=op or chain.op), kernel.outputs
    affine = read_affine(node, replace(chain.axis, channels=channels))
    if affine is None:
        raise Decline(f"the constant of {label(node)} is not one number a channel")
    note = "; ".join(filter(None, (chain.note, affine.note)))
    price = chain.price + price_of_affine(channels)
    return replace(chain, parts=(*chain.parts, affine), price=price, note=note), channels


def _linear(node: ir.Node) -> LinearOp:
    op = read_linear(node)
    if op is None:
        raise Decline(f"{label(node)} has no weight of its own")
    return op


def branch_of(chain: Chain, budget: float) -> Branch:
    """The chain composed.

    Args:
        chain: what to compose.
        budget: what the whole sum costs as it stands: a sum with the product in it costs at least what the product does.

    Raises:
        Decline: padding does not permit it, or the product alone costs more than the budget.
    """
    ones, spatial = np.ones(chain.axis.channels), -chain.axis.from_end - 1
    kernel: ConvKernel | None = None
    for part in chain.parts:
        if isinstance(part, ConvKernel):
            kernel = part if kernel is None else _composed(part, kernel, budget)
        elif kernel is None:
            kernel = per_channel_kernel(part.scale, part.shift, spatial)
        else:
            kernel = kernel.scaled(part.scale, part.shift)
    if kernel is None:
        kernel = per_channel_kernel(ones, np.zeros_like(ones), spatial)
    return Branch(
        leaves=(chain.leaf,),
        nodes=chain.path.nodes,
        kernel=kernel.negated() if chain.leaf.negative else kernel,
        price=chain.price,
        op=chain.op,
        note=chain.note,
    )


def _composed(second: ConvKernel, first: ConvKernel, budget: float) -> ConvKernel:
    ratio = price_of_kernel(composed_frame(second, first)) / budget
    if ratio > 1:
        raise Decline(f"composed it alone would cost {ratio:.1f} times as much as all branches apart")
    return compose(second, first)
