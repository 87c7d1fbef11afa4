"""Give every custom node its body as a function of the model, so that the file runs where no kernel of ours is loaded.

A runtime that knows the operator uses its kernel; any other inlines the function. Nodes with equal signatures share one
function, told apart from others of the operator by its overload.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import onnx_ir as ir

from edgevision.errors import GraphError
from edgevision.ops.operator import DOMAIN, VERSION, AttributeValue, Operator, Signature, operators
from edgevision.ops.recorder import OPSET
from edgevision.passes.graph_pass import Application, PassResult

__all__ = ["Form", "attach_bodies", "custom_nodes", "drop_unused_bodies", "signature_of"]

#: A form's name, or what makes the body of an operator with a signature.
Form = str | Callable[[Operator, Signature], ir.Function]

#: Functions carry an overload from this version of the ONNX file format on.
_OVERLOADS_SINCE = 10


def custom_nodes(model: ir.Model) -> Iterator[tuple[ir.Node, Operator]]:
    """Nodes of our domain in the graph and its subgraphs, with their operators."""
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if node.domain != DOMAIN:
            continue
        known = operators()  # not sooner: it imports torch, and a file may have no node of ours
        if node.op_type not in known:
            raise GraphError(f"node {node.name}", f"{DOMAIN} has no operator {node.op_type}", "see `edgevision ops`")
        yield node, known[node.op_type]


def signature_of(node: ir.Node, operator: Operator) -> Signature:
    """What a body of `node` may depend on, from the shapes its inputs carry."""
    shapes: list[tuple[int | None, ...] | None] = []
    for i, tensor in enumerate(operator.inputs):
        value = node.inputs[i] if i < len(node.inputs) else None
        if value is None and not tensor.optional:
            raise GraphError(f"node {node.name}", f"input {tensor.name} of {operator.name} is missing", "fix the node")
        if value is not None and value.shape is None:
            raise GraphError(f"node {node.name}", f"the shape of {tensor.name} is unknown", "infer shapes first")
        shapes.append(_dims(value))
    first = node.inputs[0]
    given = {name: _plain(node.attributes[name]) for name in operator.attribute_values({}) if name in node.attributes}
    return Signature(
        shapes=tuple(shapes),
        attributes=operator.attribute_values(given),
        element_type=int(ir.DataType.FLOAT if first is None or first.dtype is None else first.dtype),
    )


def attach_bodies(model: ir.Model, form: Form = "canonical") -> PassResult:
    """Attach a body to every custom node, in place of the one it may already have.

    Args:
        model: changed in place. With custom nodes its opset must be 20 or later, and their inputs must have shapes.
        form: name of the form; an operator that has no such form gets its canonical one.
    """
    applied = []
    for node, operator in custom_nodes(model):
        if model.opset_imports.get("", OPSET) < OPSET:
            raise GraphError(
                "model", f"its opset is {model.opset_imports['']}, bodies need {OPSET}", f"use opset {OPSET}"
            )
        body = _body(operator, signature_of(node, operator), form)
        body.opset_imports[""] = model.opset_imports.get("", OPSET)
        model.functions[body.identifier()] = body
        node.overload = body.overload
        after = sum(1 for _ in body.all_nodes())
        applied.append(
            Application(where=(node.name or "",), equation="attach_bodies", nodes_before=1, nodes_after=after)
        )
    if applied:
        model.opset_imports[DOMAIN] = VERSION
        model.ir_version = max(model.ir_version, _OVERLOADS_SINCE)
        drop_unused_bodies(model)
    return PassResult(model=model, applied=tuple(applied))


def drop_unused_bodies(model: ir.Model) -> None:
    """Remove functions of our domain that no node of the graph calls, and the import of a domain left without nodes."""
    called = {node.op_identifier() for node in ir.traversal.RecursiveGraphIterator(model.graph)}
    for key in [key for key in model.functions if key[0] == DOMAIN and key not in called]:
        del model.functions[key]
    if not any(domain == DOMAIN for domain, _, _ in called):
        model.opset_imports.pop(DOMAIN, None)


def _body(operator: Operator, signature: Signature, form: Form) -> ir.Function:
    if not isinstance(form, str):
        return form(operator, signature)
    return operator.bodies.get(form, operator.bodies["canonical"])(signature)


def _dims(value: ir.Value | None) -> tuple[int | None, ...] | None:
    if value is None or value.shape is None:
        return None
    return tuple(dim if isinstance(dim, int) else None for dim in value.shape)


def _plain(attribute: ir.Attr) -> AttributeValue:
    value = attribute.value
    if isinstance(value, int | float | str):
        return value
    return tuple(int(v) for v in value)
