"""Global response normalization from 8 bits to 8 bits, channels last, as ONNX Runtime's quantized convolutions work.

EvResponseNorm between two quantized tensors: what its argument goes through first (scale, zero point, GELU) is a table of
256 floats. No model writes this operator; a pass puts it in place of DequantizeLinear, EvResponseNorm, QuantizeLinear.
"""

from __future__ import annotations

from edgevision.ops.integer_response_norm.bodies import BODIES
from edgevision.ops.integer_response_norm.reference import example, reference
from edgevision.ops.integer_response_norm.schema import ATTRIBUTES, INPUTS, NAME
from edgevision.ops.operator import Operator, Tensor

__all__ = ["OPERATOR"]

OPERATOR = Operator(
    name=NAME,
    doc="g = table[x], a negative x counting from the table's end; y = (gamma n / (mean n + epsilon) + 1) g / scale + "
    "zero_point, rounded, half to even, and saturated; n is the Euclidean norm of each channel's pixels and mean over channels. "
    "x and y are both uint8 or both int8.",
    inputs=INPUTS,
    outputs=(Tensor(name="y", shape="[Bt, H, W, C]", type="8 bits"),),
    attributes=ATTRIBUTES,
    reference=reference,
    example=example,
    bodies=BODIES,
)
