"""The DWT as one grouped convolution of stride 2.

In mode `zero` the convolution pads: k-2 before, k-1 after. The last zero is read only by odd sizes, so the same node
is right for both parities.
"""

from __future__ import annotations

import onnx_ir as ir

from edgevision.ops.dwt.schema import ATTRIBUTES, INPUTS, NAME
from edgevision.ops.operator import Signature
from edgevision.ops.recorder import Recorder, function
from edgevision.ops.wavelet import analysis
from edgevision.ops.wavelet_bodies import continued, level, per_channel, regrouped

__all__ = ["BODIES"]


def _convolution(signature: Signature) -> ir.Function:
    at = level(NAME, signature, 4)
    r = Recorder(at.element_type)
    x, filters = inputs = [ir.Value(name=t.name) for t in INPUTS]
    wide, pads = x, [at.k - 2, at.k - 2, at.k - 1, at.k - 1]
    if at.mode == "periodization":
        border = at.k // 2 - 1
        wide = continued(r, x, 2, at.rows, border, even=True)
        wide = continued(r, wide, 3, at.columns, border, even=True)
        pads = [0, 0, 0, 0]
    y = r.op("Conv", wide, per_channel(r, filters, at), strides=[2, 2], pads=pads, group=at.channels)
    rows, columns = (None if n is None else analysis(n, at.k, at.mode).size for n in (at.rows, at.columns))
    y = regrouped(r, y, (at.channels, 4), (rows, columns))
    return function(NAME, at.overload("conv"), inputs, y, ATTRIBUTES, r)


BODIES = {"canonical": _convolution}
