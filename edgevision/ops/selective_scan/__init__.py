"""The selective scan of Mamba: a linear recurrence whose decay, input and output maps change at every step.

    dt_t = softplus(delta_t + bias)      h_t = exp(dt_t A) h_{t-1} + dt_t B_t u_t      y_t = C_t·h_t + D u_t

Gu & Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", arXiv:2312.00752. Groups hold the scan
directions of a vision model: each has its own B and C, and may run from the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgevision.ops.emit import emit
from edgevision.ops.operator import AttributeValue, Operator, Tensor
from edgevision.ops.selective_scan.bodies import BODIES
from edgevision.ops.selective_scan.reference import example, reference
from edgevision.ops.selective_scan.schema import ATTRIBUTES, INPUTS, NAME
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
    attributes: dict[str, AttributeValue] = {"delta_softplus": int(delta_softplus), "reverse": tuple(reverse)}
    return emit(OPERATOR, (u, delta, A, B, C, D, delta_bias, z), attributes)


OPERATOR = Operator(
    name=NAME,
    doc="h_t = exp(dt_t A) h_{t-1} + dt_t B_t u_t and y_t = C_t·h_t + D u_t, with dt = delta + delta_bias, through "
    "softplus when delta_softplus; the result is y·silu(z) when z is given. Groups (K) are not summed, and y is in the "
    "input's order whatever the direction of a group.",
    inputs=INPUTS,
    outputs=(Tensor(name="y", shape="[Bt, K·Dg, L]"),),
    attributes=ATTRIBUTES,
    reference=reference,
    example=example,
    bodies=BODIES,
    torch_op="edgevision::selective_scan",
    translate=_translate,
)
