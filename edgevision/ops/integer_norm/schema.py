"""Name, inputs and attributes of the integer norm, for the operator and for its body."""

from __future__ import annotations

from edgevision.ops.operator import Attribute, Tensor

__all__ = ["ATTRIBUTES", "INPUTS", "NAME"]

NAME = "EvIntegerNorm"

INPUTS = (
    Tensor(name="x", shape="[..., C]", doc="rows of channels", type="8 bits"),
    Tensor(name="weight", shape="[C]", doc="scale, over that of y"),
    Tensor(name="bias", shape="[C]", doc="shift, over the scale of y, and y's zero point"),
)

ATTRIBUTES = (
    Attribute(name="epsilon", kind="float", default=1e-5, doc="added to the variance, over x's scale squared"),
)
