"""The channel norm through LayerNormalization, whose axis must come last."""

from __future__ import annotations

import onnx_ir as ir

from edgevision.errors import GraphError
from edgevision.ops.channel_norm.schema import ATTRIBUTES, INPUTS, NAME
from edgevision.ops.operator import Signature
from edgevision.ops.recorder import Recorder, function

__all__ = ["BODIES"]


def _transposed(signature: Signature) -> ir.Function:
    x_dims, weight_dims = signature.shapes[:2]
    total, channels = (dims[axis] if dims else None for dims, axis in ((x_dims, 1), (weight_dims, 0)))
    epsilon = signature.attributes["epsilon"]
    if total is None or channels is None or not isinstance(epsilon, float):
        raise GraphError(NAME, "its channels must be known", "infer shapes")
    groups, gated = total // channels, signature.present(3)
    r = Recorder(signature.element_type)
    x, weight, bias, z = inputs = [ir.Value(name=t.name) for t in INPUTS]
    rows = r.reshape(x, 0, groups, channels, -1)
    v = r.op("ReduceSum", rows, r.ints(1), keepdims=0)
    unit = r.op("LayerNormalization", r.op("Transpose", v, perm=[0, 2, 1]), weight, bias, axis=-1, epsilon=epsilon)
    pixels = r.op("Shape", z if gated else x, start=2)
    shape = r.concat([r.op("Shape", x, start=0, end=1), r.ints(channels), pixels], axis=0)
    y = r.op("Reshape", r.op("Transpose", unit, perm=[0, 2, 1]), shape)
    if gated:
        y = r.op("Mul", y, r.op("Mul", z, r.op("Sigmoid", z)))
    overload = "_".join(["transposed", f"k{groups}c{channels}", epsilon.hex(), *(["gate"] if gated else [])])
    return function(NAME, overload, inputs, y, ATTRIBUTES, r)


BODIES = {"canonical": _transposed}
