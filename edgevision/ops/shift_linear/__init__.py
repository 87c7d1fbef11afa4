"""A linear layer whose weights are signed powers of two, stored as packed codes: a product is a shift of the exponent.

y = scale · (W x) + bias, W = sign · 2^-shift (`ps`, `q`) or a sum of two such (`apot`); scale is one factor per output.
A kernel reads the codes; the body unpacks them to a dense weight, exact in float32.
"""

from __future__ import annotations

from typing import Any

from edgevision.ops.emit import emit
from edgevision.ops.operator import Operator, Tensor
from edgevision.ops.shift_linear.bodies import BODIES
from edgevision.ops.shift_linear.reference import example, reference
from edgevision.ops.shift_linear.schema import ATTRIBUTES, INPUTS, NAME
from edgevision.ops.shift_linear.torch_op import shift_linear

__all__ = ["OPERATOR", "shift_linear"]


def _translate(
    x: Any,
    packed: Any,
    scale: Any = None,
    bias: Any = None,
    form: str = "ps",
    bits: int = 5,
    activations: str = "float",
) -> Any:
    return emit(OPERATOR, (x, packed, scale, bias), {"form": form, "bits": bits, "activations": activations})


OPERATOR = Operator(
    name=NAME,
    doc="y = scale · (W x) + bias, every weight a signed power of two or 0 (ps, q), or a sum of two such (apot). Activations "
    "fixed: x and bias are floored to 2^-16 and clamped to [-2^15, 2^15 - 1] first. int32: every product is an arithmetic "
    "right shift of the 32-bit x, sums wrap around, and without a scale the bias is part of the sum.",
    inputs=INPUTS,
    outputs=(Tensor(name="y", shape="[..., N]"),),
    attributes=ATTRIBUTES,
    reference=reference,
    example=example,
    bodies=BODIES,
    torch_op="edgevision::shift_linear",
    translate=_translate,
)
