"""A depthwise convolution in the wavelet domain, from image to image: y = relu?(residual + IDWT(bias + weight * DWT(x))).

Two taps, zeros outside, odd sizes padded right and bottom and cropped again. No model writes this operator; a pass puts it
in the place of EvDWT, Conv and EvIDWT where a runtime has the kernel: the sub-bands are then never in memory.
"""

from __future__ import annotations

from edgevision.ops.operator import Operator, Tensor
from edgevision.ops.wavelet_conv.bodies import BODIES
from edgevision.ops.wavelet_conv.reference import example, reference
from edgevision.ops.wavelet_conv.schema import ATTRIBUTES, INPUTS, NAME

__all__ = ["OPERATOR"]

OPERATOR = Operator(
    name=NAME,
    doc="y = residual + IDWT(bias + weight * DWT(x)), rectified where asked for: EvDWT with two taps in mode zero, a "
    "depthwise convolution that keeps the size, EvIDWT cropped to x's size.",
    inputs=INPUTS,
    outputs=(Tensor(name="y", shape="[Bt, C, H, W]"),),
    attributes=ATTRIBUTES,
    reference=reference,
    example=example,
    bodies=BODIES,
)
