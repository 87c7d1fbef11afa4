"""Sums in a graph: nested additions as one sum of many operands.

Add, Sub and Sum nodes whose intermediate results nobody else reads form one tree, however the exporter nested them; the
order of branches does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from edgevision.reparam.matching import is_constant, is_standard

__all__ = ["Leaf", "SumTree", "sum_trees"]


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

    @property
    def common_shape(self) -> ir.Shape | None:
        """The shape of every operand and so of every partial sum; None where one is widened to meet another."""
        shape = self.root.outputs[0].shape
        return shape if all(leaf.value.shape == shape for leaf in self.leaves) else None


def sum_trees(graph: ir.Graph) -> Iterator[SumTree]:
    """Every maximal sum of the graph, each looked at when its turn comes."""
    for node in tuple(graph):
        if node.graph is not None and _adds(node) and not _absorbed(node):
            nodes: list[ir.Node] = []
            leaves: list[Leaf] = []
            _collect(node, False, nodes, leaves)
            yield SumTree(nodes=tuple(nodes), leaves=tuple(leaves))


def _adds(node: ir.Node) -> bool:
    return (
        node.op_type in ("Add", "Sub", "Sum")
        and is_standard(node)
        and len(node.inputs) > 1
        and not any(value is None or is_constant(value) for value in node.inputs)
    )


def _absorbed(node: ir.Node) -> bool:
    """Whether the node's result is only an operand of a larger sum."""
    result = node.outputs[0]
    if result.is_graph_output() or len(result.uses()) != 1:
        return False
    (use,) = result.uses()
    return use.node.graph is node.graph and _adds(use.node)


def _collect(node: ir.Node, negative: bool, nodes: list[ir.Node], leaves: list[Leaf]) -> None:
    for position, value in enumerate(node.inputs):
        if value is None:  # never: `_adds` has looked
            continue
        sign = negative ^ (node.op_type == "Sub" and position == 1)
        producer = value.producer()
        if producer is not None and _adds(producer) and _absorbed(producer):
            _collect(producer, sign, nodes, leaves)
        else:
            leaves.append(Leaf(value=value, negative=sign, reader=node))
    nodes.append(node)
