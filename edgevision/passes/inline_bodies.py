"""Put the nodes of a body in the place of the custom node, for a target that has neither kernel nor functions for it.

TensorRT's parser looks functions up by op type alone and would take the first overload for all: its graphs must come
without them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from edgevision.errors import GraphError
from edgevision.passes.attach_bodies import custom_nodes, drop_unused_bodies
from edgevision.passes.graph_pass import Application, PassResult

__all__ = ["Selection", "count_nodes", "inline_bodies"]

#: Op types, or a predicate over nodes; None selects every custom node.
Selection = Collection[str] | Callable[[ir.Node], bool] | None

#: Marks the functions of selected nodes while they are inlined: a function may also serve nodes that stay.
_MARK = "#inline"


def inline_bodies(model: ir.Model, which: Selection = None) -> PassResult:
    """Replace the selected custom nodes, each of which must have its body attached, by the nodes of their bodies."""
    applied = []
    for node, _ in list(custom_nodes(model)):
        if not _selected(node, which):
            continue
        body = model.functions.get(node.op_identifier())
        if body is None:
            raise GraphError(f"node {node.name}", f"{node.op_type} has no body in the model", "attach bodies first")
        node.overload += _MARK
        if node.op_identifier() not in model.functions:
            marked = body.clone()
            marked.overload = node.overload
            model.functions[marked.identifier()] = marked
        after = _count(body.graph, model)
        applied.append(
            Application(where=(node.name or "",), equation="inline_bodies", nodes_before=1, nodes_after=after)
        )
    if applied:
        InlinePass(criteria=lambda function: function.overload.endswith(_MARK))(model)
        drop_unused_bodies(model)
    return PassResult(model=model, applied=tuple(applied))


def count_nodes(model: ir.Model) -> int:
    """Nodes after inlining every function, those of subgraphs included and constants left out."""
    return _count(model.graph, model)


def _count(graph: ir.Graph, model: ir.Model) -> int:
    total = 0
    for node in ir.traversal.RecursiveGraphIterator(graph):
        function = model.functions.get(node.op_identifier())
        if function is not None:
            total += _count(function.graph, model)
        elif node.op_type != "Constant":
            total += 1
    return total


def _selected(node: ir.Node, which: Selection) -> bool:
    if which is None:
        return True
    return which(node) if callable(which) else node.op_type in which
