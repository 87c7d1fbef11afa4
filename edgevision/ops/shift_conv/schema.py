"""Name, inputs and attributes of the shift convolution, for the operator and for its bodies."""

from __future__ import annotations

from edgevision.ops.operator import Attribute, Tensor
from edgevision.ops.shift_linear.schema import ACTIVATIONS_ATTRIBUTE, BITS_ATTRIBUTE, FORM_ATTRIBUTE

__all__ = ["ATTRIBUTES", "INPUTS", "NAME"]

NAME = "EvShiftConv"

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
    ACTIVATIONS_ATTRIBUTE,
    Attribute(name="kernel_shape", kind="ints", default=(1, 1), doc="kh, kw"),
    Attribute(name="strides", kind="ints", default=(1, 1)),
    Attribute(name="pads", kind="ints", default=(0, 0, 0, 0), doc="zeros: top, left, bottom, right"),
    Attribute(name="dilations", kind="ints", default=(1, 1)),
    Attribute(name="group", kind="int", default=1),
)
