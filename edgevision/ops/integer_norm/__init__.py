"""Layer norm over the last axis from 8 bits to 8 bits: what stands between two quantized tensors on ONNX Runtime.

A norm takes shift and scale of its argument out again: norm(s (q - z)) = norm(q), with epsilon / s^2 for epsilon. So it
works on the integers, and needs no zero point and no scale; those of the result go into weight and bias. No model
writes this operator; a pass puts it in place of DequantizeLinear, norm, QuantizeLinear.
"""

from __future__ import annotations

from edgevision.ops.integer_norm.bodies import BODIES
from edgevision.ops.integer_norm.reference import example, reference
from edgevision.ops.integer_norm.schema import ATTRIBUTES, INPUTS, NAME
from edgevision.ops.operator import Operator, Tensor

__all__ = ["OPERATOR"]

OPERATOR = Operator(
    name=NAME,
    doc="y = (x - mean x) / sqrt(var x + epsilon) · weight + bias over the last axis, rounded to the nearest integer, half to "
    "even, and saturated. x and y are both uint8 or both int8.",
    inputs=INPUTS,
    outputs=(Tensor(name="y", shape="[..., C]", doc="of x's shape", type="8 bits"),),
    attributes=ATTRIBUTES,
    reference=reference,
    example=example,
    bodies=BODIES,
)
