"""Puts the nodes of a model's own functions in the place of their calls: what is written in a function merges too.

Exporters write a module, or an operator that is no single one of ONNX, as a function of the file. To the algebra that is
a wall: a sum may begin on one side of it and end on the other. The bodies of our own operators stay: those have kernels.
"""

from __future__ import annotations

import itertools

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from edgevision.errors import GraphError
from edgevision.passes.graph_pass import Application, Declined, PassResult
from edgevision.passes.own_bodies import bodies_set_aside

__all__ = ["inline_functions"]

_NAME = "inline_functions"


def inline_functions(model: ir.Model) -> PassResult:
    """Inline every call of a function of `model`, in place; our own operators are no such calls.

    Declines: a function written for another opset than the model; one that is handed a graph.

    Raises:
        GraphError: functions call one another in a circle.
    """
    with bodies_set_aside(model):
        kept = _kept(model)
        applied = tuple(
            Application(where=_where(node), equation=_NAME, nodes_before=1, nodes_after=len(model.functions[key]))
            for node, key in _calls(model)
            if key not in kept
        )
        try:
            InlinePass(criteria=lambda function: function.identifier() not in kept)(model)
        except ir.passes.PreconditionError as error:
            reason = f"its functions call one another in a circle ({error})"
            raise GraphError("the model", reason, "export it again") from error
        left = tuple(Declined(where=_where(node), equation=_NAME, reason=kept[key]) for node, key in _calls(model))
    return PassResult(model=model, applied=applied, declined=left)


def _calls(model: ir.Model) -> list[tuple[ir.Node, ir.OperatorIdentifier]]:
    nodes = ((node, node.op_identifier()) for node in model.graph.all_nodes())
    return [(node, key) for node, key in nodes if key in model.functions]


def _where(node: ir.Node) -> tuple[str, ...]:
    return (node.name or f"{node.op_type}:{node.outputs[0].name}",)


def _kept(model: ir.Model) -> dict[ir.OperatorIdentifier, str]:
    """Functions that cannot be inlined, with the reason."""
    found: dict[ir.OperatorIdentifier, str] = {}
    for key, function in model.functions.items():
        for domain, version in function.opset_imports.items():
            ours = model.opset_imports.get(domain, version)
            if ours != version:
                found[key] = (
                    f"the function is written for opset {version} of '{domain or 'ai.onnx'}', the model for {ours}"
                )
    for node in itertools.chain(model.graph.all_nodes(), *(f.all_nodes() for f in model.functions.values())):
        graphs = any(a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in node.attributes.values())
        if graphs and node.op_identifier() in model.functions:
            found[node.op_identifier()] = "the function is handed a graph, which has no place of its own in its body"
    return found
