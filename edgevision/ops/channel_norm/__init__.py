"""Layer norm over the channels of a map, of a sum over groups, with a SiLU gate: what follows a vision scan.

v = sum_k x_k, y = ((v - mean v) / sqrt(var v + epsilon) * weight + bias) * silu(z), mean and var over channels. No
model writes this operator; passes put it where a runtime has a kernel for it, in the place of the transposes around a
LayerNormalization.
"""

from __future__ import annotations

from edgevision.ops.channel_norm.bodies import BODIES
from edgevision.ops.channel_norm.reference import example, reference
from edgevision.ops.channel_norm.schema import ATTRIBUTES, INPUTS, NAME
from edgevision.ops.operator import Operator, Tensor

__all__ = ["OPERATOR"]

OPERATOR = Operator(
    name=NAME,
    doc="v = sum_k x_k over the K groups; y = ((v - mean v) / sqrt(var v + epsilon) * weight + bias) * silu(z), mean "
    "and var over the C channels of each pixel.",
    inputs=INPUTS,
    outputs=(Tensor(name="y", shape="[Bt, C, H, W]", doc="[Bt, C, L] for such an x without z"),),
    attributes=ATTRIBUTES,
    reference=reference,
    example=example,
    bodies=BODIES,
)
