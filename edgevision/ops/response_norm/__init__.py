"""Global response normalization (Woo et al., arXiv 2301.00808), with the GELU that stands before it in its networks.

g = gelu(x), n_c = ||g_c|| over the pixels, y_c = (gamma_c n_c / (mean_c n_c + epsilon) + 1) g_c. No model writes this
operator; a pass puts it where a runtime has the kernel: seven small nodes and four walks over the map become two walks.
"""

from __future__ import annotations

from edgevision.ops.operator import Operator, Tensor
from edgevision.ops.response_norm.bodies import BODIES
from edgevision.ops.response_norm.reference import example, reference
from edgevision.ops.response_norm.schema import ATTRIBUTES, INPUTS, NAME

__all__ = ["OPERATOR"]

OPERATOR = Operator(
    name=NAME,
    doc="g = gelu(x) or x; y = (gamma n / (mean n + epsilon) + 1) g, n the Euclidean norm of each channel's pixels and "
    "mean over channels.",
    inputs=INPUTS,
    outputs=(Tensor(name="y", shape="[Bt, C, H, W]"),),
    attributes=ATTRIBUTES,
    reference=reference,
    example=example,
    bodies=BODIES,
)
