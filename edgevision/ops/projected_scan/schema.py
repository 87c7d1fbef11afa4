"""Name, inputs and attributes of the projected scan, for the operator and for its body."""

from __future__ import annotations

from edgevision.ops.operator import Attribute, Tensor

__all__ = ["ATTRIBUTES", "INPUTS", "NAME"]

NAME = "EvProjectedScan"

INPUTS = (
    Tensor(name="x", shape="[Bt, C, H, W]", doc="or [Bt, C, L]"),
    Tensor(name="projection", shape="[K·(R+2), C]", doc="rows of dt of every group, then B of every group, then C"),
    Tensor(name="steps", shape="[K·C, R]", doc="from dt to the step sizes"),
    Tensor(name="A", shape="[K·C, 1]", doc="negative: -exp(A_log)"),
    Tensor(name="D", shape="[K·C]", doc="skip"),
    Tensor(name="delta_bias", shape="[K·C]", doc="added to the step sizes before softplus"),
)

ATTRIBUTES = (
    Attribute(name="reverse", kind="ints", default=(0,), doc="one per group: scan from the end when 1"),
    Attribute(name="silu", kind="int", default=0, doc="u = silu(x), not x"),
)
