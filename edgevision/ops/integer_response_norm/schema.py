"""Name, inputs and attributes of the integer response norm, for the operator and for its body."""

from __future__ import annotations

from edgevision.ops.operator import Attribute, Tensor

__all__ = ["ATTRIBUTES", "INPUTS", "NAME"]

NAME = "EvIntegerResponseNorm"

INPUTS = (
    Tensor(name="x", shape="[Bt, H, W, C]", doc="feature map, channels last", type="8 bits"),
    Tensor(name="table", shape="[256]", doc="what an integer stands for"),
    Tensor(name="gamma", shape="[C]", doc="how much the response of a channel counts"),
)

ATTRIBUTES = (
    Attribute(name="epsilon", kind="float", default=1e-6, doc="added to the mean norm"),
    Attribute(name="scale", kind="float", default=1.0, doc="of y"),
    Attribute(name="zero_point", kind="int", default=0, doc="of y"),
)
