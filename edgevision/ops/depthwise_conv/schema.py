"""Name, inputs and attributes of the depthwise convolution, for the operator and for its body."""

from __future__ import annotations

from edgevision.ops.operator import Attribute, Tensor

__all__ = ["ATTRIBUTES", "INPUTS", "NAME"]

NAME = "EvDepthwiseConv"

INPUTS = (
    Tensor(name="x", shape="[Bt, C, H, W]", doc="feature map"),
    Tensor(name="weight", shape="[C, 1, kh, kw]", doc="at most 1024 taps"),
    Tensor(name="bias", shape="[C]", optional=True),
)

ATTRIBUTES = (
    Attribute(name="strides", kind="ints", default=(1, 1)),
    Attribute(name="pads", kind="ints", default=(0, 0, 0, 0), doc="zeros: top, left, bottom, right"),
    Attribute(name="dilations", kind="ints", default=(1, 1)),
)
