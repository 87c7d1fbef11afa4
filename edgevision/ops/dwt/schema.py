"""Name, inputs and attributes of the DWT, for the operator and for its bodies."""

from __future__ import annotations

from edgevision.ops.operator import Attribute, Tensor

__all__ = ["ATTRIBUTES", "INPUTS", "NAME"]

NAME = "EvDWT"

INPUTS = (
    Tensor(name="x", shape="[Bt, C, H, W]", doc="image or feature map"),
    Tensor(
        name="filters",
        shape="[4C, 1, k, k] or [4, 1, k, k]",
        doc="per channel or shared by all, k even, correlation orientation",
    ),
)

ATTRIBUTES = (Attribute(name="mode", kind="string", default="zero", doc="zero or periodization"),)
