"""The integer norm through LayerNormalization and QuantizeLinear, which rounds and saturates."""

from __future__ import annotations

import onnx_ir as ir

from edgevision.errors import GraphError
from edgevision.ops.integer_norm.schema import ATTRIBUTES, INPUTS, NAME
from edgevision.ops.operator import Signature
from edgevision.ops.recorder import Recorder, function

__all__ = ["BODIES"]


def _rounded(signature: Signature) -> ir.Function:
    epsilon = signature.attributes["epsilon"]
    if not isinstance(epsilon, float):
        raise GraphError(NAME, "its epsilon is no float", "give it as a float attribute")
    r = Recorder(int(ir.DataType.FLOAT))
    x, weight, bias = inputs = [ir.Value(name=t.name) for t in INPUTS]
    unit = r.op(
        "LayerNormalization", r.op("Cast", x, to=int(ir.DataType.FLOAT)), weight, bias, axis=-1, epsilon=epsilon
    )
    kind = ir.DataType(signature.element_type)
    zero = r.op("Constant", value=ir.tensor(0, kind))
    y = r.op("QuantizeLinear", unit, r.scalar(1.0), zero)
    return function(NAME, f"{kind.name.lower()}_{epsilon.hex()}", inputs, y, ATTRIBUTES, r)


BODIES = {"canonical": _rounded}
