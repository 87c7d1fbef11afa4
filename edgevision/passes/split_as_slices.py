"""Split(x) -> one Slice for each part that is read.

Parts that nothing reads cost nothing then, and each can be rewritten apart from the others.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgevision.passes.graph_pass import Application, PassResult
from edgevision.reparam.matching import label

__all__ = ["split_as_slices"]


def split_as_slices(model: ir.Model) -> PassResult:
    """Replace every Split of constant sizes, in place."""
    applied = []
    for node in list(model.graph):
        if node.op_type != "Split" or node.domain != "":
            continue
        sizes = _sizes(node)
        if sizes is None:
            continue
        made = _replace(model.graph, node, sizes)
        applied.append(Application(where=(label(node),), equation="split_as_slices", nodes_before=1, nodes_after=made))
    return PassResult(model=model, applied=tuple(applied))


def _sizes(node: ir.Node) -> list[int] | None:
    """Sizes of the parts, from the shapes of the outputs."""
    axis = node.attributes.get_int("axis", 0)
    sizes = [None if v.shape is None or v.is_graph_output() else v.shape[axis] for v in node.outputs]
    return [s for s in sizes if isinstance(s, int)] if all(isinstance(s, int) for s in sizes) else None


def _replace(graph: ir.Graph, node: ir.Node, sizes: list[int]) -> int:
    axis, start, made = node.attributes.get_int("axis", 0), 0, 0
    for output, size in zip(list(node.outputs), sizes, strict=True):
        if output.uses():
            bounds = [_constant(graph, f"{output.name}_{name}", v) for name, v in _bounds(start, start + size, axis)]
            piece = ir.node("Slice", [node.inputs[0], *bounds], name=f"Slice_{output.name}")
            piece.outputs[0].type, piece.outputs[0].shape = output.type, output.shape
            graph.insert_before(node, piece)
            output.replace_all_uses_with(piece.outputs[0])
            piece.outputs[0].name, output.name = output.name, None
            made += 1
        start += size
    graph.remove(node, safe=True)
    return made


def _bounds(start: int, end: int, axis: int) -> tuple[tuple[str, int], ...]:
    return ("start", start), ("end", end), ("axis", axis)


def _constant(graph: ir.Graph, name: str, number: int) -> ir.Value:
    tensor = ir.tensor(np.array([number], np.int64), name=name)
    value = ir.Value(name=name, shape=ir.Shape([1]), type=ir.TensorType(ir.DataType.INT64), const_value=tensor)
    graph.register_initializer(value)
    return value
