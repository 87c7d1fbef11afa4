"""The response norm in standard operators."""

from __future__ import annotations

import onnx_ir as ir

from edgevision.errors import GraphError
from edgevision.ops.operator import Signature
from edgevision.ops.recorder import Recorder, function
from edgevision.ops.response_norm.schema import ATTRIBUTES, INPUTS, NAME

__all__ = ["BODIES"]


def _reductions(signature: Signature) -> ir.Function:
    epsilon, gelu = signature.attributes["epsilon"], bool(signature.attributes["gelu"])
    if not isinstance(epsilon, float):
        raise GraphError(NAME, "its epsilon is no float", "give it as a float attribute")
    r = Recorder(signature.element_type)
    x, gamma = inputs = [ir.Value(name=t.name) for t in INPUTS]
    g = r.op("Gelu", x) if gelu else x
    norm = r.op("ReduceL2", g, r.ints(2, 3), keepdims=1)
    mean = r.op("Add", r.op("ReduceMean", norm, r.ints(1), keepdims=1), r.scalar(epsilon))
    response = r.op("Mul", r.reshape(gamma, 1, -1, 1, 1), r.op("Div", norm, mean))
    y = r.op("Mul", r.op("Add", response, r.scalar(1.0)), g)
    return function(NAME, "_".join([epsilon.hex(), *(["gelu"] if gelu else [])]), inputs, y, ATTRIBUTES, r)


BODIES = {"canonical": _reductions}
