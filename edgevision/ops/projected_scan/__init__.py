"""The scan of a vision block from the map it reads to the sum of its directions, one state a channel.

u = silu(x); (dt_k, B_k, C_k) = projection u; delta_k = steps_k dt_k; y = sum_k scan_k(u, delta_k, A_k, B_k, C_k, D_k) with
the row-major pixels as time. No model writes this operator; a pass puts it in the place of EvSelectiveScan and what
surrounds it, where a runtime has the kernel: the step sizes, as large as u for every direction, are then never in memory.
"""

from __future__ import annotations

from edgevision.ops.operator import Operator, Tensor
from edgevision.ops.projected_scan.bodies import BODIES
from edgevision.ops.projected_scan.reference import example, reference
from edgevision.ops.projected_scan.schema import ATTRIBUTES, INPUTS, NAME

__all__ = ["OPERATOR"]

OPERATOR = Operator(
    name=NAME,
    doc="u = silu(x), or x; (dt_k, B_k, C_k) = projection u; delta_k = softplus(steps_k dt_k + delta_bias_k); "
    "h_t = exp(delta_t A) h_{t-1} + delta_t B_t u_t; y = sum_k (C_t h_t + D_k u_t), over the row-major pixels, from the "
    "end for the groups that say so.",
    inputs=INPUTS,
    outputs=(Tensor(name="y", shape="[Bt, C, H, W]", doc="of x's shape"),),
    attributes=ATTRIBUTES,
    reference=reference,
    example=example,
    bodies=BODIES,
)
