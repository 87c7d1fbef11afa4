"""Name, inputs and attributes of the wavelet convolution, for the operator and for its body."""

from __future__ import annotations

from edgevision.ops.operator import Attribute, Tensor

__all__ = ["ATTRIBUTES", "INPUTS", "NAME"]

NAME = "EvWaveletConv"

INPUTS = (
    Tensor(name="x", shape="[Bt, C, H, W]", doc="feature map"),
    Tensor(name="forward", shape="[4C, 1, 2, 2]", doc="filters of the transform, as EvDWT takes them"),
    Tensor(name="inverse", shape="[4C, 1, 2, 2]", doc="filters of the inverse, as EvIDWT takes them"),
    Tensor(name="weight", shape="[4C, 1, k, k]", doc="one filter per channel and sub-band, k odd"),
    Tensor(name="bias", shape="[4C]", optional=True),
    Tensor(name="residual", shape="[Bt, C, H, W]", doc="added to the result", optional=True),
)

ATTRIBUTES = (Attribute(name="relu", kind="int", default=0, doc="max(y, 0)"),)
