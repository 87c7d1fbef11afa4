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
from edgevision.ops.shift_linear.schema import ARITHMETIC, ATTRIBUTES, INPUTS, NAME
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
    doc=f"y = scale · (W x) + bias, every weight {ARITHMETIC}",
    inputs=INPUTS,
    outputs=(Tensor(name="y", shape="[..., N]"),),
    attributes=ATTRIBUTES,
    reference=reference,
    example=example,
    bodies=BODIES,
    torch_op="edgevision::shift_linear",
    translate=_translate,
)
