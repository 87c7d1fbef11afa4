"""A function of 8 bits as the table of its 256 values: what stands between two quantized tensors on ONNX Runtime.

y = table[x]. No model writes this operator; a pass puts it in place of DequantizeLinear, any elementwise functions of that
one tensor, QuantizeLinear: three walks over floats, four times as wide, become one over bytes.
"""

from __future__ import annotations

from edgevision.ops.lookup.bodies import BODIES
from edgevision.ops.lookup.reference import example, reference
from edgevision.ops.lookup.schema import INPUTS, NAME
from edgevision.ops.operator import Operator, Tensor

__all__ = ["OPERATOR"]

OPERATOR = Operator(
    name=NAME,
    doc="y = table[x], value by value. x, table and y are all uint8 or all int8; a negative x counts from the table's "
    "end, so that the table is in the order of x's bits as an unsigned number.",
    inputs=INPUTS,
    outputs=(Tensor(name="y", shape="[...]", doc="of x's shape", type="8 bits"),),
    attributes=(),
    reference=reference,
    example=example,
    bodies=BODIES,
)
