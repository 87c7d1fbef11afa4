"""The integer response norm in standard operators; QuantizeLinear rounds and saturates."""

from __future__ import annotations

import onnx_ir as ir

from edgevision.errors import GraphError
from edgevision.ops.integer_response_norm.schema import ATTRIBUTES, INPUTS, NAME
from edgevision.ops.operator import Signature
from edgevision.ops.recorder import Recorder, function

__all__ = ["BODIES"]


def _reductions(signature: Signature) -> ir.Function:
    epsilon, scale, zero = (signature.attributes[name] for name in ("epsilon", "scale", "zero_point"))
    if not isinstance(epsilon, float) or not isinstance(scale, float) or not isinstance(zero, int):
        raise GraphError(NAME, "epsilon and scale are floats, zero_point is an int", "fix the node")
    kind = ir.DataType(signature.element_type)
    r = Recorder(int(ir.DataType.FLOAT))
    x, table, gamma = inputs = [ir.Value(name=t.name) for t in INPUTS]
    flat = r.op("GatherElements", table, r.op("Cast", r.reshape(x, -1), to=int(ir.DataType.INT32)), axis=0)
    g = r.op("Reshape", flat, r.op("Shape", x))
    norm = r.op("ReduceL2", g, r.ints(1, 2), keepdims=1)
    mean = r.op("Add", r.op("ReduceMean", norm, r.ints(-1), keepdims=1), r.scalar(epsilon))
    response = r.op("Mul", gamma, r.op("Div", norm, mean))
    scaled = r.op("Mul", r.op("Add", response, r.scalar(1.0)), g)
    y = r.op("QuantizeLinear", scaled, r.scalar(scale), r.op("Constant", value=ir.tensor(zero, kind)))
    overload = f"{kind.name.lower()}_{epsilon.hex()}_{scale.hex()}_{zero}"
    return function(NAME, overload, inputs, y, ATTRIBUTES, r)


BODIES = {"canonical": _reductions}
