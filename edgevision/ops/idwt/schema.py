"""Name, inputs and attributes of the inverse DWT, for the operator and for its bodies."""

from __future__ import annotations

from edgevision.ops.operator import Attribute, Tensor

__all__ = ["ATTRIBUTES", "INPUTS", "NAME"]

NAME = "EvIDWT"

INPUTS = (
    Tensor(name="x", shape="[Bt, C, 4, h, w]", doc="sub-bands in the order of the filters"),
    Tensor(
        name="filters",
        shape="[4C, 1, k, k] or [4, 1, k, k]",
        doc="per channel or shared by all, k even, the weight of a transposed convolution",
    ),
)

ATTRIBUTES = (
    Attribute(name="mode", kind="string", default="zero", doc="zero or periodization"),
    Attribute(name="crop", kind="ints", default=(0, 0), doc="rows dropped at the bottom, columns at the right"),
)
