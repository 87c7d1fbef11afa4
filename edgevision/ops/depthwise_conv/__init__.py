"""A convolution in which every channel has a filter of its own: ONNX's Conv with as many groups as channels.

No model writes this operator; a pass puts it where a runtime has the kernel and its own convolution is slow: where much of
a large kernel lies outside the map.
"""

from __future__ import annotations

from edgevision.ops.depthwise_conv.bodies import BODIES
from edgevision.ops.depthwise_conv.reference import example, reference
from edgevision.ops.depthwise_conv.schema import ATTRIBUTES, INPUTS, NAME
from edgevision.ops.operator import Operator, Tensor

__all__ = ["OPERATOR"]

OPERATOR = Operator(
    name=NAME,
    doc="y = bias + weight * x, ONNX's Conv with as many groups as channels, one output each.",
    inputs=INPUTS,
    outputs=(Tensor(name="y", shape="[Bt, C, H', W']"),),
    attributes=ATTRIBUTES,
    reference=reference,
    example=example,
    bodies=BODIES,
)
