"""Name, inputs and attributes of the shift convolution, for the operator and for its bodies."""

from __future__ import annotations

from edgevision.ops.operator import Attribute, Tensor
from edgevision.ops.shift_linear.schema import BITS_ATTRIBUTE, FORM_ATTRIBUTE

__all__ = ["ACTIVATIONS", "ATTRIBUTES", "INPUTS", "NAME"]

NAME = "EvShiftConv"

#: Without `int32`: a convolution over every shifted copy of a map has no body that a runtime could bear.
ACTIVATIONS = ("float", "fixed")

INPUTS = (
    Tensor(name="x", shape="[Bt, C, H, W]", doc="feature map"),
    Tensor(
        name="packed",
        shape="[M, ceil(C/group·kh·kw/8)·w]",
        doc="codes of w bits, eight in w bytes, one row per output channel",
        type="uint8",
    ),
    Tensor(name="scale", shape="[M]", doc="factor of each output channel", optional=True),
    Tensor(name="bias", shape="[M]", optional=True),
)

ATTRIBUTES = (
    FORM_ATTRIBUTE,
    BITS_ATTRIBUTE,
    Attribute(name="activations", kind="string", default="float", doc="float, or fixed: floored to 2^-16"),
    Attribute(name="kernel_shape", kind="ints", default=(1, 1), doc="kh, kw"),
    Attribute(name="strides", kind="ints", default=(1, 1)),
    Attribute(name="pads", kind="ints", default=(0, 0, 0, 0), doc="zeros: top, left, bottom, right"),
    Attribute(name="dilations", kind="ints", default=(1, 1)),
    Attribute(name="group", kind="int", default=1),
)
