"""What a subgraph costs, so that a merge that costs more than it saves is declined.

    price = MACs + TRAFFIC * elements read and written

per position of the output map, which makes the comparison independent of the image. A tap of a depthwise convolution
is dearer than one of a dense convolution, whose loads are shared by many channels.
"""

from __future__ import annotations

import math

from edgevision.reparam.conv_kernel import ConvKernel

__all__ = ["price_of_add", "price_of_affine", "price_of_kernel"]

_TRAFFIC = 16.0
_DEPTHWISE = 4.0


def price_of_kernel(kernel: ConvKernel) -> float:
    """One convolution; a transposed one yields as many positions from one as its strides say."""
    thin = kernel.weight.shape[1] == 1
    work = kernel.weight.size * (_DEPTHWISE if thin else 1.0)
    read = kernel.inputs * min(math.prod(kernel.strides), math.prod(kernel.taps))
    if kernel.transposed:
        return (work + _TRAFFIC * kernel.inputs) / math.prod(kernel.strides) + _TRAFFIC * kernel.outputs
    return work + _TRAFFIC * (read + kernel.outputs)


def price_of_affine(channels: int) -> float:
    """One elementwise operator with a constant."""
    return _TRAFFIC * 2 * channels


def price_of_add(channels: int) -> float:
    """One elementwise operator with two maps."""
    return _TRAFFIC * 3 * channels
