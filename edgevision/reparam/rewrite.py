"""A proposed replacement as a value, and how an accepted one is written into the graph.

An equation describes its new nodes as a tree of `Step`s over graph values and float64 weights. The same tree is proven
first (`local_proof`) and written afterwards, so that what is proven is what is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgevision.errors import GraphError
from edgevision.reparam.matching import Floats, label

__all__ = ["Rewrite", "Step", "Weights", "write"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Weights:
    """A constant of a new node: float64, rounded to `dtype` when written, under `name` where that is free.

    Integers (axes, shapes) are taken as they are.
    """

    array: Floats | NDArray[np.int64]
    name: str
    dtype: np.dtype[np.generic]

    def rounded(self) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
        """The numbers as they will stand in the graph."""
        return np.ascontiguousarray(self.array, dtype=self.dtype)


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One new node; inputs are graph values, weights, or earlier steps.

    Attributes:
        shape: of the result, where it is known.
        domain: of the operator; empty for the ONNX standard.
    """

    op_type: str
    inputs: tuple[ir.Value | Weights | Step, ...]
    attributes: Mapping[str, int | float | str | tuple[int, ...]] = field(default_factory=dict)
    shape: ir.Shape | None = None
    domain: str = ""

    def steps(self) -> Iterator[Step]:
        """This step and those it reads, each once, in an order that can be run."""
        seen: set[int] = set()
        stack: list[tuple[Step, bool]] = [(self, False)]
        while stack:
            step, ready = stack.pop()
            if ready:
                yield step
            elif id(step) not in seen:
                seen.add(id(step))
                stack.append((step, True))
                stack.extend((operand, False) for operand in reversed(step.inputs) if isinstance(operand, Step))


@dataclass(frozen=True, kw_only=True)
class Rewrite:
    """Old nodes, what replaces them, and on which inputs the two are compared.

    Attributes:
        equation: the name of the rule.
        old: the nodes to remove, in topological order; the last one's first output is replaced.
        new: the step that computes that output instead.
        kept: nodes before those, which others read too: they run in the proof and stay in the graph.
        probes: shape of the random input for each data input in the proof.
        note: what a reader of the report should know.
    """

    equation: str
    old: tuple[ir.Node, ...]
    new: Step
    probes: Mapping[ir.Value, tuple[int, ...]]
    kept: tuple[ir.Node, ...] = ()
    note: str = ""

    @property
    def output(self) -> ir.Value:
        """The value that is computed another way."""
        return self.old[-1].outputs[0]


def write(rewrite: Rewrite, root: ir.Graph) -> tuple[ir.Node, ...]:
    """Replace the old nodes by the new ones, in place; returns the new nodes.

    Initializers are never changed: new ones are added under the old name where nothing else reads the old one, so a
    tensor shared with another node keeps its values.

    Args:
        rewrite: what to write.
        root: the model's graph, which may hold the nodes' own as the body of an If or a Loop. New names differ from all
            in it: a body may not give a name a second meaning.
    """
    anchor, output = rewrite.old[-1], rewrite.output
    graph = anchor.graph
    if not isinstance(graph, ir.Graph):
        raise GraphError(label(anchor), "it is not in a graph whose initializers can be replaced")
    _free_names(rewrite)
    values: dict[int, ir.Value] = {}
    nodes: list[ir.Node] = []
    taken = _names(root)
    for step in rewrite.new.steps():
        operands = [_operand(graph, operand, values, taken) for operand in step.inputs]
        result = output.name if step is rewrite.new else _unused(f"{output.name}_{len(nodes)}", taken)
        node = ir.node(
            step.op_type, operands, dict(step.attributes), domain=step.domain, name=f"{step.op_type}_{result}"
        )
        node.metadata_props.update(anchor.metadata_props)  # which module of the network it comes from
        node.outputs[0].name = result
        node.outputs[0].type = output.type
        node.outputs[0].shape = step.shape
        values[id(step)] = node.outputs[0]
        nodes.append(node)
    ir.convenience.replace_nodes_and_values(graph, anchor, rewrite.old, nodes, [output], [nodes[-1].outputs[0]])
    return tuple(nodes)


def _names(root: ir.Graph) -> set[str | None]:
    """Every value's name in `root` and the graphs inside it."""
    graphs = (root, *root.subgraphs())
    given = {value.name for graph in graphs for value in (*graph.inputs, *graph.initializers.values())}
    return given | {value.name for node in root.all_nodes() for value in node.outputs}


def _unused(name: str, taken: set[str | None]) -> str:
    """`name`, or the next like it: exporters number their own values in the same way (`norm`, `norm_1`)."""
    found, number = name, 1
    while found in taken:
        found, number = f"{name}_{number}", number + 1
    taken.add(found)
    return found


def _free_names(rewrite: Rewrite) -> None:
    """Drop the initializers that only the old nodes read, so that the merged ones can take their names."""
    old = set(rewrite.old)
    kept = {id(operand) for step in rewrite.new.steps() for operand in step.inputs}
    for node in rewrite.old:
        for value in node.inputs:
            if value is None or not value.is_initializer() or value.is_graph_output() or value.is_graph_input():
                continue
            if id(value) in kept or value.name is None or value.graph is None or not set(value.consumers()) <= old:
                continue
            value.graph.initializers.pop(value.name, None)


def _operand(
    graph: ir.Graph, operand: ir.Value | Weights | Step, values: dict[int, ir.Value], taken: set[str | None]
) -> ir.Value:
    if isinstance(operand, ir.Value):
        return operand
    if isinstance(operand, Step):
        return values[id(operand)]
    if id(operand) not in values:
        name = _unused(operand.name, taken)
        tensor = ir.tensor(operand.rounded(), name=name)
        value = ir.Value(
            name=name, shape=ir.Shape(tensor.shape.numpy()), type=ir.TensorType(tensor.dtype), const_value=tensor
        )
        graph.register_initializer(value)
        values[id(operand)] = value
    return values[id(operand)]
