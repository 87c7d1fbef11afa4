"""The selective scan of Mamba: a linear recurrence whose decay, input and output maps change at every step.

    dt_t = softplus(delta_t + bias)      h_t = exp(dt_t A) h_{t-1} + dt_t B_t u_t      y_t = C_t·h_t + D u_t

Gu & Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", arXiv:2312.00752. Groups hold the scan
directions of a vision model: each has its own B and C, and may run from the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgevision.ops.emit import emit
from edgevision.ops.operator import Attribute, Operator, Tensor
from edgevision.ops.selective_scan.reference import reference
from edgevision.ops.selective_scan.torch_op import selective_scan

__all__ = ["OPERATOR", "selective_scan"]


def _translate(
    u: Any,
    delta: Any,
    A: Any,
    B: Any,
    C: Any,
    D: Any = None,
    delta_bias: Any = None,
    z: Any = None,
    delta_softplus: bool = False,
    reverse: Sequence[int] = (0,),
) -> Any:
    attributes = {"delta_softplus": int(delta_softplus), "reverse": tuple(reverse)}
    return emit(OPERATOR, (u, delta, A, B, C, D, delta_bias, z), attributes)


OPERATOR = Operator(
    name="EvSelectiveScan",
    doc="h_t = exp(dt_t A) h_{t-1} + dt_t B_t u_t and y_t = C_t·h_t + D u_t, with dt = delta + delta_bias, through "
    "softplus when delta_softplus; the result is y·silu(z) when z is given. Groups (K) are not summed, and y is in the "
    "input's order whatever the direction of a group.",
    inputs=(
        Tensor(name="u", shape="[Bt, K·Dg, L] or [Bt, Dg, L]", doc="input; the short form is shared by all groups"),
        Tensor(name="delta", shape="[Bt, K·Dg, L]", doc="step size before bias and softplus"),
        Tensor(name="A", shape="[K·Dg, N]", doc="decay rates, already -exp(A_log)"),
        Tensor(name="B", shape="[Bt, K, N, L]", doc="input map"),
        Tensor(name="C", shape="[Bt, K, N, L]", doc="output map"),
        Tensor(name="D", shape="[K·Dg]", doc="skip connection", optional=True),
        Tensor(name="delta_bias", shape="[K·Dg]", doc="added to delta", optional=True),
        Tensor(name="z", shape="[Bt, K·Dg, L]", doc="gate: y·silu(z)", optional=True),
    ),
    outputs=(Tensor(name="y", shape="[Bt, K·Dg, L]"),),
    attributes=(
        Attribute(name="delta_softplus", kind="int", default=0, doc="1: dt = softplus(delta + delta_bias)"),
        Attribute(
            name="reverse",
            kind="ints",
            default=(0,),
            doc="one per group, 1 scans it from the end; (0,) is forward for every group",
        ),
    ),
    reference=reference,
    bodies={},
    torch_op="edgevision::selective_scan",
    translate=_translate,
)
