"""The projected scan written out: products with the projections, the portable body of the scan, the sum of the groups."""

from __future__ import annotations

import onnx_ir as ir

from edgevision.errors import GraphError
from edgevision.ops.operator import Signature
from edgevision.ops.projected_scan.schema import ATTRIBUTES, INPUTS, NAME
from edgevision.ops.recorder import Recorder, function
from edgevision.ops.selective_scan.bodies import BODIES as SCANS

__all__ = ["BODIES"]


def _written_out(signature: Signature) -> ir.Function:
    x_dims, steps_dims = signature.shapes[0] or (), signature.shapes[2] or ()
    batch, C, *pixels = (*x_dims, None, None)[: max(2, len(x_dims))]
    KC, R = (*steps_dims, None, None)[:2]
    if C is None or KC is None or R is None:
        raise GraphError(NAME, "its channels must be known", "infer shapes")
    K, length = KC // C, _product(pixels)
    scan = SCANS["canonical"](_scan_signature(signature, batch, C, K, length))
    r = Recorder(signature.element_type, prefix="p")
    x, projection, steps, A, D, bias = inputs = [ir.Value(name=t.name) for t in INPUTS]
    u = r.reshape(x, 0, C, -1)
    silu = bool(signature.attributes["silu"])
    if silu:
        u = r.op("Mul", u, r.op("Sigmoid", u))
    low, *coefficients = r.split(r.op("MatMul", projection, u), [K * R, K, K], axis=1)
    weights = r.reshape(steps, K, C, R)
    delta = r.reshape(r.op("MatMul", weights, r.reshape(low, 0, K, R, -1)), 0, KC, -1)
    B, Cs = (r.op("Unsqueeze", rows, r.ints(2)) for rows in coefficients)
    y = _call(r, scan, [u, delta, A, B, Cs, D, bias])
    total = r.op("ReduceSum", r.reshape(y, 0, K, C, -1), r.ints(1), keepdims=0)
    y = r.op("Reshape", total, r.op("Shape", x))
    overload = f"{scan.overload}_r{R}_x{len(x_dims)}{'_silu' if silu else ''}"
    return function(NAME, overload, inputs, y, ATTRIBUTES, r)


def _product(dims: list[int | None]) -> int | None:
    product = 1
    for dim in dims:
        if dim is None:
            return None
        product *= dim
    return product


def _scan_signature(signature: Signature, batch: int | None, C: int, K: int, length: int | None) -> Signature:
    maps, coefficients = (batch, K * C, length), (batch, K, 1, length)
    return Signature(
        shapes=((batch, C, length), maps, (K * C, 1), coefficients, coefficients, (K * C,), (K * C,), None),
        attributes={"delta_softplus": 1, "reverse": signature.attributes["reverse"]},
        element_type=signature.element_type,
    )


def _call(r: Recorder, body: ir.Function, arguments: list[ir.Value]) -> ir.Value:
    """Record the nodes of `body` with its inputs replaced; a function may not refer to another here."""
    for formal, argument in zip(body.inputs, arguments, strict=False):
        formal.replace_all_uses_with(argument)
    result = body.outputs[0]
    nodes = list(body.graph)
    body.graph.outputs.clear()
    body.graph.remove(nodes)
    r.nodes.extend(nodes)
    return result


BODIES = {"canonical": _written_out}
