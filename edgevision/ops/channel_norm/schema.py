"""Name, inputs and attributes of the channel norm, for the operator and for its body."""

from __future__ import annotations

from edgevision.ops.operator import Attribute, Tensor

__all__ = ["ATTRIBUTES", "INPUTS", "NAME"]

NAME = "EvChannelNorm"

INPUTS = (
    Tensor(name="x", shape="[Bt, K·C, L] or [Bt, K·C, H, W]", doc="K groups, summed first"),
    Tensor(name="weight", shape="[C]", doc="scale"),
    Tensor(name="bias", shape="[C]", doc="shift"),
    Tensor(name="z", shape="[Bt, C, H, W]", doc="gate, L = H·W", optional=True),
)

ATTRIBUTES = (Attribute(name="epsilon", kind="float", default=1e-5, doc="added to the variance"),)
