"""Name, inputs and attributes of the response norm, for the operator and for its body."""

from __future__ import annotations

from edgevision.ops.operator import Attribute, Tensor

__all__ = ["ATTRIBUTES", "INPUTS", "NAME"]

NAME = "EvResponseNorm"

INPUTS = (
    Tensor(name="x", shape="[Bt, C, H, W]", doc="feature map"),
    Tensor(name="gamma", shape="[C]", doc="how much the response of a channel counts"),
)

ATTRIBUTES = (
    Attribute(name="epsilon", kind="float", default=1e-6, doc="added to the mean norm"),
    Attribute(name="gelu", kind="int", default=0, doc="x goes through GELU (with the error function) first"),
)
