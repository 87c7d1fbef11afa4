"""Name, inputs and attributes of the selective scan, for the operator and for its bodies."""

from __future__ import annotations

from edgevision.ops.operator import Attribute, Tensor

__all__ = ["ATTRIBUTES", "INPUTS", "NAME"]

NAME = "EvSelectiveScan"

INPUTS = (
    Tensor(name="u", shape="[Bt, K·Dg, L] or [Bt, Dg, L]", doc="input; the short form is shared by all groups"),
    Tensor(name="delta", shape="[Bt, K·Dg, L]", doc="step size before bias and softplus"),
    Tensor(name="A", shape="[K·Dg, N]", doc="decay rates, already -exp(A_log)"),
    Tensor(name="B", shape="[Bt, K, N, L]", doc="input map"),
    Tensor(name="C", shape="[Bt, K, N, L]", doc="output map"),
    Tensor(name="D", shape="[K·Dg]", doc="skip connection", optional=True),
    Tensor(name="delta_bias", shape="[K·Dg]", doc="added to delta", optional=True),
    Tensor(name="z", shape="[Bt, K·Dg, L]", doc="gate: y·silu(z)", optional=True),
)

ATTRIBUTES = (
    Attribute(name="delta_softplus", kind="int", default=0, doc="1: dt = softplus(delta + delta_bias)"),
    Attribute(
        name="reverse",
        kind="ints",
        default=(0,),
        doc="one per group, 1 scans it from the end; (0,) is forward for every group",
    ),
)
