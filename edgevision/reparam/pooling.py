"""An average pool as a depthwise convolution with every tap 1 / taps.

True without padding, and with padding where the zeros are counted (count_include_pad = 1). Otherwise the divisor
changes at the border and the pool is not shift-invariant; ceil_mode lets windows hang over the edge, which is the same.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from edgevision.reparam.conv_kernel import ConvKernel
from edgevision.reparam.matching import Decline
from edgevision.reparam.padding import padding

__all__ = ["read_average_pool"]


def read_average_pool(node: ir.Node, channels: int) -> ConvKernel:
    """The pool's kernel; declines the pools that are no convolution."""
    taps = tuple(node.attributes.get_ints("kernel_shape", ()))
    spatial = len(taps)
    pads = padding(node, taps)
    if pads is None:
        raise Decline("the AveragePool pads by auto_pad, by how much depends on the input size, and that is not known")
    begin, end = pads
    if node.attributes.get_int("ceil_mode", 0):
        raise Decline("the AveragePool rounds its output size up: windows over the edge divide by fewer taps")
    if any(begin + end) and not node.attributes.get_int("count_include_pad", 0):
        raise Decline("the AveragePool does not count its padding: windows at the border divide by fewer taps")
    return ConvKernel(
        weight=np.full((channels, 1, *taps), 1.0 / math.prod(taps)),
        bias=np.zeros(channels),
        groups=channels,
        strides=tuple(node.attributes.get_ints("strides", (1,) * spatial)),
        dilations=tuple(node.attributes.get_ints("dilations", (1,) * spatial)),
        begin=begin,
        end=end,
    )
