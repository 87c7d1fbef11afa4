"""Sums in a graph: the tree of Adds behind a value, and what each of its leaves does to the map it reads.

Add, Sub and Sum nodes whose intermediate results nobody else reads form one tree, however the exporter nested them; the
order of branches does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgevision.reparam.affine import ChannelAxis, affine_input, read_affine
from edgevision.reparam.conv_kernel import ConvKernel, per_channel_kernel
from edgevision.reparam.linear_op import read_linear
from edgevision.reparam.matching import Decline, is_constant
from edgevision.reparam.pooling import read_average_pool

__all__ = ["Leaf", "SumTree", "map_read_by", "read_kernel", "sum_trees"]


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """One operand of a sum: its value, whether it is subtracted, and the node that reads it."""

    value: ir.Value
    negative: bool
    reader: ir.Node


@dataclass(frozen=True, kw_only=True)
class SumTree:
    """Nested additions as one: nodes in topological order, the root last, and the leaves in the order written."""

    nodes: tuple[ir.Node, ...]
    leaves: tuple[Leaf, ...]

    @property
    def root(self) -> ir.Node:
        """The node that yields the sum."""
        return self.nodes[-1]


def sum_trees(graph: ir.Graph) -> Iterator[SumTree]:
    """Every maximal sum of the graph, each looked at when its turn comes."""
    for node in tuple(graph):
        if node.graph is not None and _adds(node) and not _absorbed(node):
            nodes: list[ir.Node] = []
            leaves: list[Leaf] = []
            _collect(node, False, nodes, leaves)
            yield SumTree(nodes=tuple(nodes), leaves=tuple(leaves))


def map_read_by(leaf: Leaf) -> ir.Value | None:
    """The map a leaf's operator reads, None where the leaf is no linear operator on a map."""
    node = leaf.value.producer()
    if node is None or node.domain not in ("", "ai.onnx"):
        return None
    return node.inputs[0] if node.op_type in ("Conv", "AveragePool") else affine_input(node)


def read_kernel(value: ir.Value, source: ir.Value, axis: ChannelAxis) -> ConvKernel | None:
    """What turns `source`, whose channels lie along `axis`, into `value`: a kernel, or None where it is not one."""
    assert axis.rank is not None  # the caller knows the map's rank from its shape or from a convolution
    spatial = axis.rank - 2
    if value is source:
        return per_channel_kernel(np.ones(axis.channels), np.zeros(axis.channels), spatial)
    node = value.producer()
    assert node is not None  # the leaf reads `source` through it
    if node.op_type == "AveragePool":
        return read_average_pool(node, axis.channels)
    if node.op_type == "Conv":
        return _read_conv(node)
    affine = read_affine(node, axis)
    return None if affine is None else per_channel_kernel(affine.scale, affine.shift, spatial)


def _read_conv(node: ir.Node) -> ConvKernel | None:
    op = read_linear(node)
    if op is None:
        return None
    if node.attributes.get_string("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise Decline("the Conv pads by auto_pad, whose padding depends on the input size")
    spatial = op.kernel.ndim - 3
    pads = tuple(node.attributes.get_ints("pads", (0,) * 2 * spatial))
    return ConvKernel(
        weight=op.kernel.reshape(op.outputs, *op.kernel.shape[2:]),
        bias=np.zeros(op.outputs) if op.bias is None else op.bias,
        groups=op.kernel.shape[0],
        strides=tuple(node.attributes.get_ints("strides", (1,) * spatial)),
        dilations=tuple(node.attributes.get_ints("dilations", (1,) * spatial)),
        begin=pads[:spatial],
        end=pads[spatial:],
    )


def _adds(node: ir.Node) -> bool:
    return (
        node.op_type in ("Add", "Sub", "Sum")
        and node.domain in ("", "ai.onnx")
        and len(node.inputs) > 1
        and not any(value is None or is_constant(value) for value in node.inputs)
    )


def _absorbed(node: ir.Node) -> bool:
    """Whether the node's result is only an operand of a larger sum."""
    result = node.outputs[0]
    uses = result.uses()
    return not result.is_graph_output() and len(uses) == 1 and uses[0].node.graph is node.graph and _adds(uses[0].node)


def _collect(node: ir.Node, negative: bool, nodes: list[ir.Node], leaves: list[Leaf]) -> None:
    for position, value in enumerate(node.inputs):
        assert value is not None  # _adds has checked
        sign = negative ^ (node.op_type == "Sub" and position == 1)
        producer = value.producer()
        if producer is not None and _adds(producer) and _absorbed(producer):
            _collect(producer, sign, nodes, leaves)
        else:
            leaves.append(Leaf(value=value, negative=sign, reader=node))
    nodes.append(node)
