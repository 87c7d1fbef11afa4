"""Name, inputs and attributes of the shift linear layer, for the operator and for its bodies."""

from __future__ import annotations

from edgevision.ops.operator import Attribute, Tensor

__all__ = ["ACTIVATIONS_ATTRIBUTE", "ARITHMETIC", "ATTRIBUTES", "BITS_ATTRIBUTE", "FORM_ATTRIBUTE", "INPUTS", "NAME"]

NAME = "EvShiftLinear"

#: What the documentation of both shift operators says of their arithmetic.
ARITHMETIC = (
    "a signed power of two or 0 (ps, q), or a sum of two such (apot). Activations fixed: x and bias are floored to 2^-16 and "
    "clamped to [-2^15, 2^15 - 1] first. int32: every product is an arithmetic right shift of the 32-bit x, sums wrap around, "
    "and without a scale the bias is part of the sum."
)

INPUTS = (
    Tensor(name="x", shape="[..., K]", doc="rows"),
    Tensor(name="packed", shape="[N, ceil(K/8)·w]", doc="codes of w bits, eight in w bytes", type="uint8"),
    Tensor(name="scale", shape="[N]", doc="factor of each output", optional=True),
    Tensor(name="bias", shape="[N]", optional=True),
)

FORM_ATTRIBUTE = Attribute(name="form", kind="string", default="ps", doc="ps, q, q_nonzero or apot: what a code means")
BITS_ATTRIBUTE = Attribute(name="bits", kind="int", default=5, doc="2 to 8; w is this, one more for q (8 at most)")
ACTIVATIONS_ATTRIBUTE = Attribute(
    name="activations", kind="string", default="float", doc="float; fixed or int32: floored to 2^-16"
)

ATTRIBUTES = (FORM_ATTRIBUTE, BITS_ATTRIBUTE, ACTIVATIONS_ATTRIBUTE)
